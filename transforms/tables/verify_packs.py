"""The packs of one partition: indexes with the files that they name, and the receipts and accounts that they hold."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.schemas.accounts import ShardAccount, SliceReceipt
from causalprint.schemas.packs import PACKS
from causalprint.schemas.records import from_json
from causalprint.transforms.tables.output import EMPTY, Output
from causalprint.transforms.tables.pack_rows import table_path
from causalprint.transforms.tables.packs import SUFFIX, Index, PackError, Packs, index_path, is_pack, read_index
from causalprint.transforms.tables.verify_output import Check, Kind

_STOPPED = "; the same causalprint compact or forget finishes what was stopped"


class Held(NamedTuple):
    """What whole packs hold.

    Attributes:
        packs: they.
        receipts: of slices, by id.
        accounts: of shards, by id.
    """

    packs: Packs
    receipts: dict[str, SliceReceipt]
    accounts: dict[str, ShardAccount]


def check_packs(check: Check, output: Output, sizes: Mapping[str, Mapping[str, int]]) -> Held:
    """Looks at all packs of a partition, and for files of packs that are none.

    Args:
        check: takes the findings.
        output: the partition.
        sizes: of its files, by name and table.
    """
    packs = Packs.of(list(_sound(check, output, sizes)))
    for pack_id in packs.outlived:
        dead = not any(packs.live(pack_id))
        detail = f"a newer pack has {'all' if dead else 'some'} of what it holds{_STOPPED}"
        check.found(index_path(output, pack_id), Kind.ORPHAN if dead else Kind.STOPPED, detail)
    for table, found in sizes.items():
        for name in found:
            path = table_path(output, table, name)
            if name in packs.places:
                check.found(path, Kind.ORPHAN, f"its rows are in {packs.places[name].pack_id}{_STOPPED}")
            elif is_pack(name) and name not in packs.indexes and path not in check.findings:
                check.found(path, Kind.ORPHAN, f"no index names it{_STOPPED}")
    held = Held(packs, {}, {})
    for name, place in packs.places.items():
        record = packs.record(name) or ""
        if packs.shard_id(name) == name:
            held.accounts[name] = from_json(ShardAccount, record, place.pack_id)
        else:
            held.receipts[name] = from_json(SliceReceipt, record, place.pack_id)
    return held


def _sound(check: Check, output: Output, sizes: Mapping[str, Mapping[str, int]]) -> Iterator[Index]:
    """The indexes of packs with which nothing is wrong."""
    ids = check.list(f"{PACKS}/bundle={output.bundle_id}", lambda name: is_pack(name) or name == f"{EMPTY}{SUFFIX}")
    for name in (name.removesuffix(SUFFIX) for name in sorted(ids) if is_pack(name)):
        path = index_path(output, name)
        try:
            index = read_index(output, name)
        except PackError as error:
            check.found(path, Kind.DAMAGED, str(error), *(table_path(output, one, name) for one in sizes if name in sizes[one]))
            continue
        if index is not None and _is_sound(check, output, index, sizes):
            check.packs[path] = index.sha256
            yield index


def _is_sound(check: Check, output: Output, index: Index, sizes: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether a pack has the files that its index names, and where all is read, these the rows that its receipts count."""
    path = index_path(output, index.pack_id)
    found = len(check.findings)
    also = (path, *(table_path(output, table, index.pack_id) for table in sizes if index.pack_id in sizes[table]))
    for file in index.pack.files:
        size = sizes.get(file.table, {}).get(index.pack_id)
        if size is None:
            check.found(file.path, Kind.MISSING, f"{path} names it", *also)
        elif size != file.size:
            check.found(file.path, Kind.SIZE, f"{size} bytes are there, {file.size} were written", *also)
        elif check.deep:
            data = output.get(file.path) or b""
            if (actual := hashlib.sha256(data).hexdigest()) != file.sha256:
                check.found(file.path, Kind.DAMAGED, f"its SHA-256 is {actual}, {path} says {file.sha256}", *also)
    if check.deep and len(check.findings) == found:
        for table, detail in _miscounted(output, index):
            check.found(table_path(output, table, index.pack_id), Kind.DAMAGED, detail, *also)
    return len(check.findings) == found


def _miscounted(output: Output, index: Index) -> Iterator[tuple[str, str]]:
    """Tables whose rows of a slice are not as many as its receipt says, and in one sentence of which."""
    rows = {file.table: _rows(output, file.path) for file in index.pack.files}
    for row, name in enumerate(index.names):
        if name == index.shard_ids[row]:
            counted = {"shards": 1}
        else:
            receipt = from_json(SliceReceipt, index.record(row), index.pack_id)
            counted = {output.mark: receipt.attributed}
            if not receipt.scored:
                counted |= {"images": receipt.attributed, "rejects": receipt.rejected}
        for table, count in counted.items():
            there = rows.get(table, Counter())[name]
            if there != count:
                yield table, f"it has {there} rows of {name}, whose record in {index.pack_id} says {count}"


def _rows(output: Output, path: str) -> Counter[str]:
    """How many rows of each slice, or shard, a file has."""
    key = "shard_id" if path.startswith("shards/") else "slice_id"
    counts = Counter[str]()
    for batch in pq.ParquetFile(pa.BufferReader(output.get(path) or b"")).iter_batches(columns=[key], use_threads=False):
        counts.update({one["values"]: one["counts"] for one in batch[key].value_counts().to_pylist()})
    return counts
