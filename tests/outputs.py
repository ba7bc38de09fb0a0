"""An audit's writing half over made-up slices, with no model and no images, and what tests compare of its output."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.pipelines.describe import CARD, CROISSANT
from causalprint.schemas.accounts import ShardAccount, SliceReceipt
from causalprint.schemas.config import AuditConfig, Slicing, Storage
from causalprint.schemas.elements import AttributedSlice, Shard
from causalprint.schemas.records import from_json
from causalprint.schemas.runs import Run
from causalprint.schemas.tables import stored_schema
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.committed import read_receipt, read_sealed
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output, folder_names, listed
from causalprint.transforms.tables.settings import agree
from causalprint.transforms.tables.skip_committed import skip_shard, skip_slice
from causalprint.transforms.tables.write_manifest import write_run
from causalprint.transforms.tables.write_tables import write_slice
from tests.samples import sample_shard, sample_slice

BUNDLE_ID = "sample-000000000000"
BUNDLE_DIGEST = "0" * 64
TABLES_OF_IMAGES = ("images", "embeddings", "rejects", "attributions")


def output_at(root: Path | str, storage: Storage | None = None, slicing: Slicing | None = None) -> Output:
    return Output(str(root), BUNDLE_ID, BUNDLE_DIGEST, storage or Storage(), slicing=slicing)


def run_into(output: Output, run_id: str = "run") -> Run:
    config = AuditConfig(("s3://crawl/*.tar",), output.root, storage=output.storage)
    return Run(run_id, "2026-01-31T23:59:59+00:00", config, BUNDLE_ID, BUNDLE_DIGEST, "prior:./residual", device="cpu")


def slices_of(shard: Shard, count: int = 3, images: int = 5, rejects: int = 2) -> list[AttributedSlice]:
    return [sample_slice(shard, index, images=images, rejects=rejects, last=index == count - 1) for index in range(count)]


def audit(shards: list[Shard], output: Output, run_id: str = "run", count: int = 3) -> list[str]:
    """What the pipeline does with these shards, one slice after another; returns the ids of the slices that it computed."""
    computed: list[str] = []
    accounts = [skip_shard(shard, output) or _read(shard, output, computed, count) for shard in shards]
    write_run(accounts, run_into(output, run_id))
    return computed


def _read(shard: Shard, output: Output, computed: list[str], count: int) -> ShardAccount:
    ledger = Ledger(shard)
    for attributed in slices_of(shard, count):
        source = attributed.fingerprinted.source
        receipts = list(skip_slice(source, output))
        if not receipts:
            computed.append(source.slice_id)
            receipts = [write_slice(attributed, output)]
        for receipt in receipts:
            ledger = ledger.add(receipt)
    return write_account(ledger.close(output.bundle_id), output)


NIGHTS = ("20260101T000000Z-00000000", "20260102T000000Z-00000000")
"""The runs of :func:`two_nights`."""


def two_nights(root: Path) -> Output:
    """An output after three shards of 15 images and 6 rejects; then one of them, a new version of another, and a new one."""
    agree(str(root), Storage(), None, None)
    output = output_at(root)
    vanishes, changes, stays, comes = shards(4)
    audit([vanishes, changes, stays], output, NIGHTS[0])
    audit([replace(changes, generation="2"), stays, comes], output, NIGHTS[1])
    return output


def audit_and_kill(root: str, shard_count: int, count: int, seed: int, kills: int) -> None:
    """Starts an audit again and again and kills it, with -9, a moment after its next commit. For a process of its own."""
    generator = random.Random(seed)
    for _ in range(kills):
        committed = _marks(root)
        child = os.fork()
        if child == 0:
            audit(list(shards(shard_count)), output_at(root), count=count)
            os._exit(0)
        while _marks(root) == committed:
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "the audit ended before it could be killed"
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _marks(root: str) -> int:
    return sum(1 for _ in Path(root).glob("attributions/*/*.parquet"))


def files_below(root: Path) -> dict[str, bytes]:
    """Every file below ``root`` by its path, but those of runs, for the views, and of the description."""
    apart = [*(root / name for name in (CROISSANT, CARD, "views.sql")), *root.glob("packs/*/without-rows.parquet")]
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path not in apart)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths if path.parent.name != "runs"}


def rows(root: Path, table: str) -> pa.Table:
    """All rows of a table in one order."""
    files = sorted((root / table).glob("*/*.parquet"))
    found = pa.concat_tables([stored_schema(table).empty_table(), *(pq.read_table(path, partitioning=None) for path in files)])
    keys = [name for name in ("slice_id", "member", "uri", "generation") if name in found.column_names]
    return found.sort_by([(name, "ascending") for name in keys])


def accounts_in(output: Output) -> list[ShardAccount]:
    """Every closed account below the output."""
    return [from_json(ShardAccount, record) for record in _records(output, "shards")]


def receipts_in(output: Output) -> list[SliceReceipt]:
    """The receipt of every commit mark below the output, by its file's name."""
    folder = f"attributions/bundle={output.bundle_id}"
    marks = listed(output.root, folder, output.storage)
    found = [read_receipt(output, f"{folder}/{name}", marks[name] or 0) for name in sorted(marks) if name.endswith(".parquet")]
    return [receipt for receipt in found if receipt is not None]


def _records(output: Output, table: str) -> Iterator[str]:
    for name in folder_names(output.root, f"{table}/bundle={output.bundle_id}", output.storage):
        record = read_sealed(output, f"{table}/bundle={output.bundle_id}/{name}") if name.endswith(".parquet") else None
        if record is not None:
            yield record.text


def shards(count: int) -> Iterator[Shard]:
    return (sample_shard(number) for number in range(count))
