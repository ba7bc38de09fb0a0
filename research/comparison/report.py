"""A comparison as JSON, Parquet, Markdown and figures: the same values give the same bytes; what it cost is told apart."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.pipelines.results.figures import bars, confusion, line
from causalprint.pipelines.results.sections import FIGURES
from causalprint.research.comparison.data import Data
from causalprint.research.comparison.records import ComparedMethod, Comparison, SplitRow
from causalprint.research.comparison.scoring import Pooled
from causalprint.schemas.rendering import markdown_table, number, render


def key_of(comparison: Comparison) -> str:
    """The section's key: another track, the open set, and what a JPEG costs stand beside the first in one ``RESULTS.md``."""
    track = "" if comparison.track == "png" else f"-{comparison.track}"
    jpeg = "-jpeg75" if _measured(comparison, "flips") else ""
    return f"compare{track}{'-open' if comparison.leave_out else ''}{jpeg}"


def section(comparison: Comparison) -> str:
    """The section of ``RESULTS.md``."""
    rows = sorted(comparison.rows, key=lambda row: (row.audit, _rank(row), row.name))
    measured = [row for row in rows if row.figures]
    return render(
        "research/comparison/section.md.j2",
        comparison=comparison,
        key=key_of(comparison),
        jpeg=_measured(comparison, "flips"),
        listed=listed(comparison.sources, comparison.headline),
        swaps=_measured(comparison, "swap"),
        verdict=_verdict(comparison),
        accuracies=_accuracies(comparison, measured),
        recalls=[[row.title, *(number(recall.value, 2) for recall in row.recalls)] for row in measured],
        rows=rows,
        measured=measured,
    )


def summary(comparison: Comparison) -> str:
    """The headline of every row, the best first, for a terminal."""
    rows = sorted(comparison.rows, key=_rank)
    width = max(len(row.title) for row in rows)
    lines = [f"{row.title:{width}}  {row.unavailable or row.figure('accuracy').show()}" for row in rows]
    return "\n".join([_headline(comparison), *lines, _verdict(comparison).replace("**", "")])


def predictions(pools: Mapping[str, Pooled], data: Data) -> bytes:
    """Every answer on the test, a row a method, seed and image, as Parquet."""
    names = np.array(data.sources)
    tables = []
    for method, pooled in pools.items():
        rows = pooled.rows
        columns = {
            "method": pa.array([method] * len(rows), pa.string()).dictionary_encode(),
            "seed": pa.array(pooled.run, pa.int32()),
            "image_id": pa.array(data.images.image_id[rows].tolist()),
            "source": pa.array(data.images.source[rows].tolist()).dictionary_encode(),
            "origin": pa.array(data.images.origin[rows].tolist()).dictionary_encode(),
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
    rows = sorted((row for row in comparison.rows if row.figures), key=_rank)
    ours = [row.name.startswith("causal") for row in rows]
    lengths = line([row.figure("accuracy") for row in rows])
    path = f"{FIGURES}/{key_of(comparison)}"
    found = {f"{path}-accuracy.png": bars([row.title for row in rows], lengths, ours, _headline(comparison))}
    if comparison.best:
        pooled = pools[comparison.best]
        truth = data.ground.truth[pooled.rows]
        counts = np.zeros((len(data.sources), len(data.sources)), np.int64)
        np.add.at(counts, (truth[truth >= 0], pooled.found[truth >= 0]), 1)
        best = next(row.title for row in rows if row.name == comparison.best)
        title = f"{best}: share of each source's test images, %"
        found[f"{path}-confusion.png"] = confusion(data.sources, data.sources, counts, title)
    return found


def _rank(row: ComparedMethod) -> float:
    """Sorts by the headline, the best first, those without one last."""
    accuracy = row.figure("accuracy").value
    return -accuracy if math.isfinite(accuracy) else 1.0


def _measured(comparison: Comparison, name: str) -> bool:
    """Whether some method has the figure ``name``: ``flips`` where the test was repeated after a JPEG, ``swap`` of contents."""
    return any(math.isfinite(row.figure(name).value) for row in comparison.rows)


def headline_of(sources: Sequence[str], splits: Sequence[SplitRow]) -> str:
    """What the headline is over: the ``sources`` that it counts, and the seeds."""
    return f"macro accuracy over {len(sources)} sources, {len(splits)} {'seed' if len(splits) == 1 else 'seeds'}"


def listed(sources: Sequence[str], headline: Sequence[str]) -> str:
    """The sources, those that the headline counts in bold."""
    return ", ".join(f"**{name}**" if name in headline else name for name in sources)


def _headline(comparison: Comparison) -> str:
    return headline_of(comparison.headline or comparison.sources, comparison.splits)


def _verdict(comparison: Comparison) -> str:
    if comparison.void:
        return (
            f"**The track is void as evidence of fingerprints**: the audit of {' and that of '.join(comparison.void)} is "
            "above chance by three standard errors, so part of every figure below may come from how these images were collected. "
            "Compare the methods with each other, and with these audits."
        )
    return "No audit of shortcuts is above chance by three standard errors."


def _accuracies(comparison: Comparison, rows: Sequence[ComparedMethod]) -> str:
    """The main table; columns of what was not asked for are left out, as is a difference to itself."""
    recipe = comparison.recipe if any(row.name == comparison.recipe for row in rows) else None
    columns = {
        "accuracy": "macro accuracy",
        "deviation": "± seeds",
        "accuracy_all": "all sources",
        "f1": "macro F1",
        "real_auc": "real AUC",
        "audits_fail": "where audits fail",
    }
    columns |= {"swap": "swap test"} if _measured(comparison, "swap") else {}
    columns |= {"over_best": "less the best"}
    columns |= {"over_recipe": f"less `{recipe}`"} if recipe else {}
    columns |= {"jpeg75": "by JPEG 75", "flips": "flips"} if _measured(comparison, "flips") else {}
    itself = {("over_best", comparison.best), ("over_recipe", recipe)}

    def cell(row: ComparedMethod, column: str) -> str:
        if column == "deviation":
            return number(row.deviation)
        return "" if (column, row.name) in itself else row.figure(column).show()

    def title(row: ComparedMethod) -> str:
        return f"*{row.title}*" if row.audit else f"**{row.title}**" if row.name == comparison.best else row.title

    return markdown_table(
        [[title(row), *(cell(row, column) for column in columns)] for row in rows], ["method", *columns.values()]
    )
