"""An ablation as Markdown, and in few lines for a terminal."""

from __future__ import annotations

import math

from causalprint.research.ablation.records import Ablation
from causalprint.research.comparison.report import headline_of, listed
from causalprint.schemas.estimates import Estimate
from causalprint.schemas.rendering import render

SECTION = "ablation"


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
