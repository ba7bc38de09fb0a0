"""An output from which rows are to go, the command that erases them, and what must hold of it then."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.pipelines.commands.forget import ForgetConfig
from causalprint.pipelines.forget import ForgetReport, forget
from causalprint.pipelines.open_audit import open_audit
from causalprint.schemas.accounts import Scored, SliceReceipt, receipt_of, spread
from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import AttributedSlice, Shard, Slice
from causalprint.transforms.score_embeddings import ScoredSlice, close_scored, write_scored
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.settings import agree
from causalprint.transforms.tables.skip_committed import skip_shard
from causalprint.transforms.tables.verify import verify
from causalprint.transforms.tables.write_manifest import write_run
from causalprint.transforms.tables.write_tables import verdict_counts, write_slice
from tests.outputs import (
    BUNDLE_ID,
    NIGHTS,
    output_at,
    rows,
    run_into,
    slices_of,
)
from tests.samples import sample_shard

LOCAL = Storage()
OTHER = "other-000000000000"
SHARDS = tuple(sample_shard(number) for number in range(3))


def begun(root: str, storage: Storage = LOCAL) -> Output:
    """Two slices each of three shards, of which the last repeats images of the first; and other verdicts on two of them."""
    agree(root, storage, None, None)
    output = output_at(root, storage)
    other = replace(output, bundle_id=OTHER, scored=BUNDLE_ID)
    accounts, others = [], []
    for shard in SHARDS:
        slices = [marked(each, SHARDS[0] if shard == SHARDS[2] else shard) for each in slices_of(shard, 2)]
        receipts = [write_slice(each, output) for each in slices]
        accounts.append(write_account(reduce(Ledger.add, receipts, Ledger(shard)).close(BUNDLE_ID), output))
        if shard != SHARDS[1]:
            scored = [write_scored(other_verdicts(*pair, other), other) for pair in zip(slices, receipts, strict=True)]
            others.append(write_account(close_scored(reduce(Ledger.add, scored, Ledger(shard)), other), other))
    write_run(accounts, run_into(output, NIGHTS[0]))
    write_run(others, replace(run_into(other, NIGHTS[1]), config=AttributeConfig(root, storage=storage), bundle_id=OTHER))
    return output


def marked(attributed: AttributedSlice, shard: Shard) -> AttributedSlice:
    """The slice with digests, names and sidecars of which nothing else in the output holds a part, but copies of the images."""
    fingerprinted, word = attributed.fingerprinted, shard.uri[-9:-4]

    def with_words(batch: pa.RecordBatch) -> pa.RecordBatch:
        table = pa.table(batch)
        for name in ("image_id", "member", "metadata"):
            if name in table.column_names:
                kind = "%064x" if name == "image_id" else '{"url": "https://example.org/%x"}' if name == "metadata" else "%x.jpg"
                values = [kind % int(f"a{word}{member[:9]}", 16) for member in batch["member"].to_pylist()]
                table = table.set_column(table.column_names.index(name), batch.schema.field(name), pa.array(values))
        return table.combine_chunks().to_batches()[0]

    tables = {name: with_words(getattr(fingerprinted, name)) for name in ("images", "embeddings", "rejects")}
    return AttributedSlice(replace(fingerprinted, **tables), with_words(attributed.attributions))


def other_verdicts(attributed: AttributedSlice, receipt: SliceReceipt, other: Output) -> ScoredSlice:
    verdicts = attributed.attributions
    source = Slice(**spread(receipt, Slice))
    own = receipt_of(source, verdicts.num_rows, verdict_counts(verdicts), receipt.reasons, receipt.resampled)
    return ScoredSlice(source, replace(own, files=receipt.files, scored=Scored(BUNDLE_ID, other.bundle_id)), verdicts)


def copied(whole: Path, root: Path) -> Path:
    return Path(shutil.copytree(whole, root))


def forgotten(root: Path | str, storage: Storage = LOCAL, **asked: tuple[str, ...] | str | bool) -> ForgetReport:
    return forget(ForgetConfig(str(root), storage=storage, **asked))  # type: ignore[arg-type]


def ids_in(root: Path) -> list[str]:
    """All digests, each once."""
    return sorted({*rows(root, "images")["image_id"].to_pylist(), *rows(root, "rejects")["image_id"].to_pylist()})


def without(table: pa.Table, ids: set[str]) -> list[dict[str, object]]:
    return [row for row in table.to_pylist() if row["image_id"] not in ids]


def texts_in(root: Path) -> Iterator[str]:
    """All that any file says, as bytes and as rows."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield path.read_bytes().decode("latin-1")
            if path.suffix == ".parquet":
                yield str(pq.read_table(path, partitioning=None).to_pylist())


def check_closed(root: Path) -> None:
    """Every account closes, in the tables and in what the audit is now, and nothing is wrong."""
    assert verify(str(root), LOCAL, deep=True).findings == ()
    with open_audit(str(root)) as tables:
        ((missing, verdicts, rejects, twice),) = tables._connection.execute(
            """SELECT sum(seen) - sum(attributed) - sum(rejected) - sum(forgotten),
                      sum(attributed) - (SELECT count(*) FROM current_attributions),
                      sum(rejected) - (SELECT count(*) FROM current_rejects), count(*) - count(DISTINCT uri)
               FROM current_shards"""
        ).fetchall()
    assert (missing, verdicts, rejects, twice) == (0, 0, 0, 0)


def computed(output: Output) -> list[str]:
    """The shards that an audit would read again."""
    return [shard.uri for shard in SHARDS if skip_shard(shard, output) is None]


def query(root: Path, sql: str) -> list[dict[str, object]]:
    with open_audit(str(root)) as tables:
        return tables.sql(sql).rows()
