"""An ablation: what ``ablation.json`` holds, as Markdown, and in few lines for a terminal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from causalprint.research.comparison.records import Measured, SplitRow, figure
from causalprint.research.comparison.report import headline_of, listed
from causalprint.schemas.estimates import Estimate
from causalprint.schemas.rendering import render

SECTION = "ablation"


class AblationSeed(NamedTuple):
    """One training: macro accuracy on its test and on its validation, and how far its fingerprints are decoupled on the test.

    Of ``detection`` a pair of images as they are and of each version: area under the curve, and share found at 1 % accused.
    ``None`` where there was nothing to measure it on. See :class:`~causalprint.research.ablation.parts.Outcome`.
    """

    seed: int
    accuracy: float | None
    validated: float | None
    invariance: float | None
    independence: float | None
    detection: tuple[tuple[float | None, float | None], ...]


@dataclass(frozen=True, slots=True)
class AblationRow:
    """One row of the table.

    Attributes:
        name: as ``--only`` takes it.
        title: as shown.
        lens: whether it is a lens alone.
        figures: of :class:`~causalprint.research.comparison.scoring.Figures`, of the answers of all seeds: ``accuracy``,
            ``accuracy_all``, ``real_auc``, and ``accuracy`` less that of the recipe (``over_recipe``) and of its best lens
            (``over_best``).
        seeds: of each training.
        accuracy: mean of the seeds' accuracies; ``deviation`` their standard deviation, ``None`` for a single one.
        invariance, independence: means of the seeds'; less is better.
        detection: means of the seeds', of images as they are and of each version that the recipe makes of them; more is better.
    """

    name: str
    title: str
    lens: bool
    figures: tuple[Measured, ...]
    seeds: tuple[AblationSeed, ...]
    accuracy: float | None
    deviation: float | None
    invariance: float | None
    independence: float | None
    detection: tuple[tuple[float | None, float | None], ...]

    def figure(self, name: str) -> Estimate:
        """The figure of that name."""
        return figure(self.figures, name)


@dataclass(frozen=True, slots=True)
class Ablation:
    """``ablation.json``.

    Attributes:
        command: that repeats it.
        recipe: its name.
        images: digest of the images' identifiers and their order.
        sources: what there was to choose from.
        headline: of these, those with at least two origins.
        splits: one a seed.
        best_lens: name of the row of the lens that does best alone on the test; ``None`` where no lens was tried alone.
        rows: the recipe as it is, then the others.
    """

    command: tuple[str, ...]
    recipe: str
    images: str
    sources: tuple[str, ...]
    headline: tuple[str, ...]
    splits: tuple[SplitRow, ...]
    best_lens: str | None
    rows: tuple[AblationRow, ...]


def section(ablation: Ablation) -> str:
    """The section of ``RESULTS.md``."""
    return render(
        "research/ablation/section.md.j2",
        ablation=ablation,
        headline=_headline(ablation),
        listed=listed(ablation.sources, ablation.headline),
        verdict=verdict(ablation),
    )


def summary(ablation: Ablation) -> str:
    """Every row's accuracy, in order, for a terminal."""
    width = max(len(row.title) for row in ablation.rows)
    lines = [f"{row.title:{width}}  {row.figure('accuracy').show()}" for row in ablation.rows]
    return "\n".join([_headline(ablation), *lines, verdict(ablation)]).rstrip()


def verdict(ablation: Ablation) -> str:
    """Whether fusion beats its best lens, and by how much; empty where no lens was tried alone."""
    lens = next((row for row in ablation.rows if row.name == ablation.best_lens), None)
    gained = ablation.rows[0].figure("over_best")
    if lens is None or math.isnan(gained.value):
        return ""
    best = f"its best lens, {lens.title}, which the same test chose"
    if gained.low > 0:
        return f"Fusion beats {best}, by {gained.show()} of macro accuracy."
    if gained.high < 0:
        return f"Fusion loses to {best}, by {Estimate(-gained.value, -gained.high, -gained.low).show()} of macro accuracy."
    return f"Fusion is not told apart from {best}: its macro accuracy less that of the lens is {gained.show()}."


def _headline(ablation: Ablation) -> str:
    return headline_of(ablation.headline or ablation.sources, ablation.splits)
