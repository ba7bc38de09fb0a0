"""An ablation as Markdown, and in few lines for a terminal."""

from __future__ import annotations

import math

from causalprint.pipelines.results.sections import markdown_table, titled, with_interval
from causalprint.research.ablation.records import Ablation, AblationRow
from causalprint.research.comparison.records import Measured

SECTION = "ablation"


def section(ablation: Ablation) -> str:
    """The section of ``RESULTS.md``."""
    table = markdown_table(
        ["row", "macro accuracy", "seeds", "less the recipe", "all sources", "real AUC", "invariance", "independence"],
        [_line(row, place == 0) for place, row in enumerate(ablation.rows)],
    )
    return titled(
        f"What each part of the recipe {ablation.recipe} is worth", ablation.command, _setting(ablation), table, verdict(ablation)
    )


def summary(ablation: Ablation) -> str:
    """Every row's accuracy, in order, for a terminal."""
    width = max(len(row.title) for row in ablation.rows)
    lines = [f"{row.title:{width}}  {_cell(row.figure('accuracy'))}" for row in ablation.rows]
    return "\n".join([_headline(ablation), *lines, verdict(ablation)]).rstrip()


def verdict(ablation: Ablation) -> str:
    """Whether fusion beats its best lens, and by how much; empty where no lens was tried alone."""
    lens = next((row for row in ablation.rows if row.name == ablation.best_lens), None)
    gained = ablation.rows[0].figure("over_best")
    if lens is None or gained.value is None or gained.low is None or gained.high is None:
        return ""
    best = f"its best lens, {lens.title}, which the same test chose"
    if gained.low > 0:
        return f"Fusion beats {best}, by {_cell(gained)} of macro accuracy."
    if gained.high < 0:
        return f"Fusion loses to {best}, by {with_interval(-gained.value, -gained.high, -gained.low)} of macro accuracy."
    return f"Fusion is not told apart from {best}: its macro accuracy less that of the lens is {_cell(gained)}."


def _setting(ablation: Ablation) -> str:
    count = len(ablation.sources)
    listed = ", ".join(f"**{name}**" if name in ablation.headline else name for name in ablation.sources)
    split = markdown_table(
        ["seed", "learned from", "tuned on", "tested"],
        [[str(value) for value in (each.seed, each.train, each.validation, each.test)] for each in ablation.splits],
        words=0,
    )
    return (
        f"Shown is {_headline(ablation)}. Candidates, by chance {1 / count:.3f} right: {listed}. The headline "
        "counts those in bold, of at least two origins each. Each seed tests a whole origin of a source with several, a quarter "
        "of the contents of a source with one. In brackets are 95 % intervals of a bootstrap over contents, all seeds together, "
        "those of differences paired; the column of seeds has their mean and standard deviation. Invariance is how far "
        "interventions move a test image's fingerprint, a share of the spread of all; independence is the HSIC of fingerprints "
        f"with codes of content and style within a source. Of both, less is better.\n\n{split}"
    )


def _headline(ablation: Ablation) -> str:
    seeds = len(ablation.splits)
    sources = len(ablation.headline) or len(ablation.sources)
    return f"macro accuracy over {sources} sources, {seeds} {'seed' if seeds == 1 else 'seeds'}"


def _line(row: AblationRow, full: bool) -> list[str]:
    return [
        f"**{row.title}**" if full else row.title,
        _cell(row.figure("accuracy")),
        f"{_number(row.accuracy)} ± {_number(row.deviation)}",
        "" if full else _cell(row.figure("over_recipe")),
        _cell(row.figure("accuracy_all")),
        _cell(row.figure("real_auc")),
        _number(row.invariance),
        _number(row.independence),
    ]


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"


def _cell(one: Measured) -> str:
    if one.value is None:
        return "—"
    low, high = (math.nan if edge is None else edge for edge in (one.low, one.high))
    return with_interval(one.value, low, high)
