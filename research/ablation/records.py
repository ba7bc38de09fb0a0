"""``ablation.json``: what each part of a recipe is worth, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from causalprint.research.comparison.records import Measured, SplitRow, figure
from causalprint.schemas.estimates import Estimate


class AblationSeed(NamedTuple):
    """One training: macro accuracy on its test and on its validation, and how far its fingerprints are decoupled on the test.

    ``None`` where there was nothing to measure it on. See :class:`~causalprint.research.ablation.parts.Outcome`.
    """

    seed: int
    accuracy: float | None
    validated: float | None
    invariance: float | None
    independence: float | None


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
