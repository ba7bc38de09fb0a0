"""Which files an audit will write, and how large: by those of a few slices, written to memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from causalprint.schemas.config import NO_OPTIONS

if TYPE_CHECKING:
    from causalprint.schemas.accounts import SliceReceipt
    from causalprint.schemas.elements import AttributedSlice
    from causalprint.transforms.tables.output import Output

Written = TypeVar("Written")


class WrittenFiles(NamedTuple):
    """So many files of the tables, and their bytes."""

    files: int
    size: int


def written_alone(attributed: Sequence[AttributedSlice], images: int, slices: int, shards: int, output: Output) -> WrittenFiles:
    """What is written alone: by the files of the sample, and files without rows."""
    import pyarrow as pa

    from causalprint.schemas.records import to_json
    from causalprint.schemas.tables import TABLES
    from causalprint.transforms.tables.close_accounts import write_account
    from causalprint.transforms.tables.ledger import Ledger
    from causalprint.transforms.tables.write_tables import encode, stored_table, write_slice

    if not attributed or not shards:
        return WrittenFiles(0, 0)

    def write(scratch: Output) -> list[SliceReceipt]:
        receipts = [write_slice(each, scratch) for each in attributed]
        for receipt in receipts:
            write_account(Ledger(receipt.shard).add(receipt).close(output.bundle_id), scratch)
        return receipts

    receipts, sizes = _to_memory(write, output)
    seen = max(1, sum(receipt.seen for receipt in receipts))
    record = sum(len(to_json(receipt)) for receipt in receipts) / len(receipts)
    files, size = shards, shards * sum(sizes["shards"]) / len(receipts)
    for table in output.tables:
        rows = pa.RecordBatch.from_pylist([], schema=TABLES[table])
        fixed = len(encode(stored_table(table, rows, output))) + record * (table == output.mark)
        held = min(slices, ceil(images * len(sizes[table]) / seen)) if len(sizes[table]) < len(receipts) else slices
        files += held
        size += held * fixed + images / seen * max(0.0, sum(sizes[table]) - len(sizes[table]) * fixed)
    return WrittenFiles(files, round(size))


def written_together(attributed: Sequence[AttributedSlice], images: int, groups: int, output: Output) -> WrittenFiles:
    """What is written of small shards that are committed together, in so many groups: by packs of the sample and of its half."""
    from causalprint.transforms.tables.write_tables import rows_of_slice
    from causalprint.transforms.tables.write_together import write_together

    if len(attributed) < 2 or not groups:
        return WrittenFiles(0, 0)
    seen, size, files = [], [], 0
    for several in (attributed[::2], attributed):
        accounts, sizes = _to_memory(partial(write_together, several, rows_of_slice), output)
        seen.append(sum(account.seen for account in accounts))
        size.append(sum(map(sum, sizes.values())))
        files = sum(map(len, sizes.values()))
    an_image = (size[1] - size[0]) / max(1, seen[1] - seen[0])
    return WrittenFiles(groups * files, round(groups * (size[1] - an_image * seen[1]) + images * an_image))


def _to_memory(write: Callable[[Output], Written], output: Output) -> tuple[Written, dict[str, list[int]]]:
    """What ``write`` gives for an output in memory, and the bytes of each file that it writes, by table."""
    from causalprint.schemas.packs import PACKS
    from causalprint.schemas.tables import TABLES
    from causalprint.transforms.storage.storage import filesystem
    from causalprint.transforms.tables.output import listed

    scratch = replace(output, root=f"memory://forecast-{uuid.uuid4().hex}", storage=NO_OPTIONS)
    given = write(scratch)
    folders = {table: f"{table}/bundle={output.bundle_id}" for table in (*TABLES, PACKS)}
    sizes = {table: [size or 0 for size in listed(scratch.root, folders[table], NO_OPTIONS).values()] for table in folders}
    fs, base = filesystem(scratch.root, NO_OPTIONS)
    fs.rm(base, recursive=True)
    return given, sizes
