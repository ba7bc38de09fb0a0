"""A comparison as JSON, Parquet, Markdown and figures: the same values give the same bytes; what it cost is told apart."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalprint.pipelines.results.sections import FIGURES, image, markdown_table, titled
from causalprint.research.comparison.records import ComparedMethod, Comparison

if TYPE_CHECKING:
    from causalprint.research.comparison.data import Data
    from causalprint.research.comparison.runs import Answers
    from causalprint.research.comparison.scoring import Pooled

SECTION = "compare"
COSTS = "costs"


def key_of(comparison: Comparison) -> str:
    """The section's key: another track, the open set, and what a JPEG costs stand beside the first in one ``RESULTS.md``."""
    track = "" if comparison.track == "png" else f"-{comparison.track}"
    return f"{SECTION}{track}{'-open' if comparison.leave_out else ''}{'-jpeg75' if _robustness(comparison) else ''}"


def section(comparison: Comparison) -> str:
    """The section of ``RESULTS.md``."""
    rows = sorted(comparison.rows, key=lambda row: (row.audit, _rank(row), row.name))
    there = [row for row in rows if row.figures]
    missing = [f"- **{row.title}** did not run: {row.unavailable}" for row in rows if row.unavailable]
    about = markdown_table(
        ["method", "reference", "published", "why ours differs"],
        [[row.title, row.reference, row.published, row.differs] for row in rows if not row.audit],
        words=4,
    )
    shown = [image(f"{FIGURES}/{key_of(comparison)}-accuracy.png", "macro accuracy of every method, with 95 % intervals")]
    if comparison.best:
        shown.append(image(f"{FIGURES}/{key_of(comparison)}-confusion.png", "confusion of the best method"))
    return titled(
        f"Methods, trained and tested alike{_which(comparison)}",
        comparison.command,
        _setting(comparison),
        _verdict(comparison),
        _accuracies(comparison, there),
        _calibrations(there),
        _recalls(comparison, there),
        _open_set(comparison, there),
        "\n".join(missing),
        "\n\n".join(shown),
        "### The methods, and what their authors published",
        about,
    )


def summary(comparison: Comparison) -> str:
    """The headline of every row, the best first, for a terminal."""
    rows = sorted(comparison.rows, key=_rank)
    width = max(len(row.title) for row in rows)
    lines = [f"{row.title:{width}}  {row.unavailable or row.figure('accuracy').show()}" for row in rows]
    return "\n".join([_headline(comparison), *lines, _verdict(comparison).replace("**", "")])


def costs(answers: Mapping[str, Answers], command: Sequence[str]) -> str:
    """The section on seconds, which no two runs share."""
    rows = [
        [name, "—" if one.feature_seconds is None else f"{one.feature_seconds:.3f}", f"{one.fit_seconds:.1f}"]
        for name, one in answers.items()
        if one.runs
    ]
    return titled(
        "What the comparison cost",
        command,
        "Seconds on one thread for the features of an image, and for a training with its answers on the test.",
        markdown_table(["method", "features, s an image", "training, s"], rows),
    )


def predictions(pools: Mapping[str, Pooled], data: Data) -> bytes:
    """Every answer on the test, a row a method, seed and image, as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = np.array(data.sources)
    tables = []
    for method, pooled in pools.items():
        rows = pooled.rows
        seeds = np.concatenate([np.full(int(split.test.sum()), seed) for seed, split in enumerate(data.splits)])
        columns = {
            "method": pa.array([method] * len(rows), pa.string()).dictionary_encode(),
            "seed": pa.array(seeds, pa.int32()),
            "image_id": pa.array(data.table.image_id[rows].tolist()),
            "source": pa.array(data.table.source[rows].tolist()).dictionary_encode(),
            "origin": pa.array(data.table.origin[rows].tolist()).dictionary_encode(),
            "content": pa.array(data.ground.contents[rows].tolist()),
            "known": pa.array(data.ground.truth[rows] >= 0),
            "answer": pa.array(names[pooled.found].tolist()).dictionary_encode(),
            "probability": pa.array(pooled.chances.max(axis=1).astype(np.float32)),
            "probabilities": pa.FixedSizeListArray.from_arrays(pooled.chances.astype(np.float32).ravel(), len(names)),
            "familiarity": pa.array(pooled.familiarity.astype(np.float32)),
        }
        tables.append(pa.table(columns))
    sink = io.BytesIO()
    pq.write_table(pa.concat_tables(tables).unify_dictionaries(), sink, compression="zstd")
    return sink.getvalue()


def draw(comparison: Comparison, pools: Mapping[str, Pooled], data: Data) -> dict[str, bytes]:
    """The figures by their path below the output."""
    from causalprint.pipelines.results.figures import bars, confusion, line

    rows = sorted((row for row in comparison.rows if row.figures), key=_rank)
    ours = [row.name.startswith("causal") for row in rows]
    lengths = line([row.figure("accuracy") for row in rows])
    drawn = bars([row.title for row in rows], lengths, ours, _headline(comparison))
    found = {f"{FIGURES}/{key_of(comparison)}-accuracy.png": drawn}
    if comparison.best:
        pooled = pools[comparison.best]
        truth = data.ground.truth[pooled.rows]
        counts = np.zeros((len(data.sources), len(data.sources)), np.int64)
        np.add.at(counts, (truth[truth >= 0], pooled.found[truth >= 0]), 1)
        title = next(row.title for row in rows if row.name == comparison.best)
        found[f"{FIGURES}/{key_of(comparison)}-confusion.png"] = confusion(
            data.sources, data.sources, counts, f"{title}: share of each source's test images, %"
        )
    return found


def _rank(row: ComparedMethod) -> float:
    """Sorts by the headline, the best first, those without one last."""
    accuracy = row.figure("accuracy").value
    return -accuracy if math.isfinite(accuracy) else 1.0


def _which(comparison: Comparison) -> str:
    track = "" if comparison.track == "png" else f", {comparison.track} track"
    left_out = f", without {', '.join(comparison.leave_out)}" if comparison.leave_out else ""
    return f"{track}{left_out}{', and after JPEG 75' if _robustness(comparison) else ''}"


def _robustness(comparison: Comparison) -> bool:
    """Whether the test was repeated after a JPEG of quality 75."""
    return any(math.isfinite(row.figure("flips").value) for row in comparison.rows)


def _swaps(comparison: Comparison) -> bool:
    """Whether contents were swapped."""
    return any(math.isfinite(row.figure("swap").value) for row in comparison.rows)


def _headline(comparison: Comparison) -> str:
    seeds = len(comparison.splits)
    sources = len(comparison.headline) or len(comparison.sources)
    return f"macro accuracy over {sources} sources, {seeds} {'seed' if seeds == 1 else 'seeds'}"


def _setting(comparison: Comparison) -> str:
    count = len(comparison.sources)
    tests = (
        "Each seed tests other origins: a whole origin of a source with several, a quarter of the contents of a source with one."
        if comparison.rotates
        else "The test images are given; seeds change the training alone."
    )
    split = markdown_table(
        ["seed", "learned from", "tuned on", "tested", "unknown, tested"],
        [
            [str(value) for value in (each.seed, each.train, each.validation, each.test, each.unknown)]
            for each in comparison.splits
        ],
        words=0,
    )
    listed = ", ".join(f"**{name}**" if name in comparison.headline else name for name in comparison.sources)
    swap = (
        " *Swap test*: of images attributed rightly, how many stay so with another content of the same source, within a training."
        if _swaps(comparison)
        else ""
    )
    about = (
        f"{count} sources to choose from, chance {1 / count:.3f}: {listed}. The headline is the macro accuracy over those in "
        f"bold, of at least two origins each. Track: {comparison.track}. {tests} Near-duplicates and images of one content are "
        "never on two sides. *Where audits fail* is the headline over the test images of which neither audit of a shortcut names "
        "the source: a method that lives off the same shortcuts falls below chance there. In brackets are 95 % intervals of a "
        "bootstrap over contents, all seeds together; ± is the standard deviation over seeds."
    )
    return f"{about}{swap}\n\n{split}"


def _verdict(comparison: Comparison) -> str:
    if comparison.void:
        return (
            f"**The track is void as evidence of fingerprints**: the audit of {' and that of '.join(comparison.void)} is "
            "above chance by three standard errors, so part of every figure below may come from how these images were collected. "
            "Compare the methods with each other, and with these audits."
        )
    return "No audit of shortcuts is above chance by three standard errors."


def _accuracies(comparison: Comparison, rows: Sequence[ComparedMethod]) -> str:
    jpeg = _robustness(comparison)
    recipe = comparison.recipe if any(row.name == comparison.recipe for row in rows) else None
    head = ["method", "macro accuracy", "± seeds", "all sources", "macro F1", "real AUC", "where audits fail"]
    swaps = _swaps(comparison)
    head += [*(["swap test"] if swaps else []), "less the best"]
    head += [f"less `{recipe}`"] if recipe else []
    head += ["by JPEG 75", "flips"] if jpeg else []
    lines = []
    for row in rows:
        line = [
            f"*{row.title}*" if row.audit else f"**{row.title}**" if row.name == comparison.best else row.title,
            row.figure("accuracy").show(),
            "—" if row.deviation is None else f"{row.deviation:.3f}",
            row.figure("accuracy_all").show(),
            row.figure("f1").show(),
            row.figure("real_auc").show(),
            row.figure("audits_fail").show(),
            *([row.figure("swap").show()] if swaps else []),
            "" if row.name == comparison.best else row.figure("over_best").show(),
        ]
        line += [("" if row.name == recipe else row.figure("over_recipe").show())] if recipe else []
        line += [row.figure("jpeg75").show(), row.figure("flips").show()] if jpeg else []
        lines.append(line)
    return markdown_table(head, lines)


def _calibrations(rows: Sequence[ComparedMethod]) -> str:
    names = ("ece_before", "ece", "nll_before", "nll")
    table = markdown_table(
        ["method", "ECE before", "ECE after", "NLL before", "NLL after"],
        [[row.title, *(row.figure(name).show() for name in names)] for row in rows if not row.audit],
    )
    told = "found on the validation images (those of origins not learned from weigh as much as in the test)"
    return f"Calibration, before and after one temperature, {told}:\n\n{table}"


def _recalls(comparison: Comparison, rows: Sequence[ComparedMethod]) -> str:
    table = markdown_table(
        ["method", *comparison.sources],
        [[row.title, *("—" if one.value is None else f"{one.value:.2f}" for one in row.recalls)] for row in rows],
    )
    return f"Recall of each source:\n\n{table}"


def _open_set(comparison: Comparison, rows: Sequence[ComparedMethod]) -> str:
    if not comparison.leave_out:
        return ""
    names = ("open_auroc", "open_fpr95", "open_oscr")
    table = markdown_table(
        ["method", "AUROC", "FPR at 95 % TPR", "OSCR"],
        [[row.title, *(row.figure(name).show() for name in names)] for row in rows if not row.audit],
    )
    left_out = ", ".join(comparison.leave_out)
    return f"Open set: {left_out} left out of the training; told by novelty, else by the largest probability:\n\n{table}"
