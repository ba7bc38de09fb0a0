"""An ablation as Markdown, and in few lines for a terminal."""

from __future__ import annotations

import math

from causalprint.pipelines.results.sections import markdown_table, titled
from causalprint.research.ablation.records import Ablation, AblationRow
from causalprint.schemas.estimates import Estimate

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
        row.figure("accuracy").show(),
        f"{_number(row.accuracy)} ± {_number(row.deviation)}",
        "" if full else row.figure("over_recipe").show(),
        row.figure("accuracy_all").show(),
        row.figure("real_auc").show(),
        _number(row.invariance),
        _number(row.independence),
    ]


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"
