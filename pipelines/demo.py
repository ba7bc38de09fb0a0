"""The demo: an audit of images whose makers are known, and its verdicts beside the truth."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from causalprint.pipelines.report import new_table, share
from causalprint.schemas.config import AuditConfig
from causalprint.schemas.reasons import Verdict

if TYPE_CHECKING:
    from rich.console import Console

SHARDS, TABLES = "shards", "tables"


@dataclass(frozen=True, slots=True)
class TruthRow:
    """What the audit said of the images of one true source.

    Attributes:
        source: who made them, by their sidecars.
        images: how many have a verdict, of any kind.
        right: attributed to that source.
        wrong: attributed to another.
        unknown: said to be unlike everything that was trained on.
        abstained: nothing said.
        mistaken_for: the most frequent wrong source, where there is one.
    """

    source: str
    images: int
    right: int
    wrong: int
    unknown: int
    abstained: int
    mistaken_for: str | None


def demo_config(output: Path) -> AuditConfig:
    """The audit of the shards in ``output/shards``, with tables in ``output/tables``."""
    return AuditConfig(inputs=(str(output / SHARDS),), output=str(output / TABLES))


def compare(tables: Path, bundle_id: str) -> list[TruthRow]:
    """The verdicts of one bundle beside the truth in the images' sidecars, a row a true source, sorted by name.

    Args:
        tables: root of an audit's output.
        bundle_id: whose verdicts.
    """
    import pyarrow.dataset as ds

    partition = f"bundle={bundle_id}"
    keys = ["slice_id", "member"]
    images = ds.dataset(tables / "images" / partition).to_table(columns=[*keys, "metadata"])
    verdicts = ds.dataset(tables / "attributions" / partition).to_table(columns=[*keys, "verdict", "source"])
    joined = images.join(verdicts, keys).select(["metadata", "verdict", "source"]).to_pylist()
    said: dict[str, Counter[str]] = {}
    for row in joined:
        truth = json.loads(row["metadata"])["source"]
        named = row["source"] if row["verdict"] == Verdict.KNOWN else row["verdict"]
        said.setdefault(truth, Counter())[named] += 1
    return [_row(source, said[source]) for source in sorted(said)]


def _row(source: str, said: Counter[str]) -> TruthRow:
    others = Counter({name: n for name, n in said.items() if name not in (source, Verdict.UNKNOWN, Verdict.ABSTAIN)})
    return TruthRow(
        source=source,
        images=said.total(),
        right=said[source],
        wrong=others.total(),
        unknown=said[Verdict.UNKNOWN],
        abstained=said[Verdict.ABSTAIN],
        mistaken_for=others.most_common(1)[0][0] if others else None,
    )


def print_truth(rows: Iterable[TruthRow], console: Console) -> None:
    """The comparison as a table, with the figures that a reader should take from it."""
    rows = list(rows)
    table = new_table("truth", numbers=("images", "right", "unknown", "abstained", "wrong"))
    table.columns[0].no_wrap = True
    for row in rows:
        counts = (row.images, row.right, row.unknown, row.abstained, row.wrong)
        table.add_row(row.source, *(f"{n:,}" for n in counts))
    console.print(table)
    if mistakes := ", ".join(f"{row.source} for {row.mistaken_for}" for row in rows if row.mistaken_for):
        console.print(f"Most often mistaken: {mistakes}.")
    images, right, wrong = (sum(getattr(row, name) for row in rows) for name in ("images", "right", "wrong"))
    said = right + wrong
    console.print(
        f"{share(right, images)} of {images:,} images were attributed to their true source; where the audit named one "
        f"({said:,} images), it was right in {share(right, said)}."
    )
    console.print(
        "Most of the photographs also trained the prior and the autoencoders, and every image here is one generation from its "
        "source: expect less on the open web. The bundle's card has the figures by origin."
    )
