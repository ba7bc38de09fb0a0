"""Slices and accounts into the files of packs, and out of them again, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow.fs import FSSpecHandler, PyFileSystem

from causalprint.schemas.accounts import ShardAccount, SliceReceipt, WrittenFile
from causalprint.schemas.elements import digest
from causalprint.schemas.packs import SCHEMA, Pack
from causalprint.schemas.records import from_json, to_json
from causalprint.schemas.tables import stored_schema
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.packs import PREFIX, RECORDS, Index, PackError, index_path, place_of
from causalprint.transforms.tables.parquet_bytes import plain
from causalprint.transforms.tables.write_tables import ROW_GROUP, encode, parquet_writer

PACK_BYTES = 256 * 1024 * 1024
"""Of the files of a pack together: the slice with which they have as many is its last."""
PACK_NAMES = 16_384
"""Slices and accounts of a pack at most, whose records are held while it is written."""
_ROWS = 1024
"""Rows of a pack that are looked through together for where a slice ends."""
_GROUP = 2048
"""Rows with which a row group ends, between two slices: bounds of ``slice_id`` tell readers which one they need."""
_TOGETHER = 64
"""Tables that are held, at most, until they make a row group."""
_LAST = 1 << 62
"""Sorts an account behind its slices."""


class Item(NamedTuple):
    """A slice or an account on its way into a pack or out of one.

    Attributes:
        name: its id.
        shard_id: of its shard.
        record: its receipt or account, as JSON text.
        tables: its rows, of the tables in which it has any.
        order: what packs are sorted by: the shard's URI and id, then the slice's index.
    """

    name: str
    shard_id: str
    record: str
    tables: Mapping[str, pa.Table]
    order: tuple[str, str, int]


def slice_item(receipt: SliceReceipt, tables: Mapping[str, pa.Table], output: Output) -> Item:
    """A slice of ``output``: its receipt as of :meth:`~SliceReceipt.stored`, and its rows."""
    shard_id = receipt.shard.shard_id(output.bundle_id)
    return Item(receipt.slice_id, shard_id, to_json(receipt), tables, (receipt.shard.uri, shard_id, receipt.index))


def account_item(account: ShardAccount, rows: pa.Table) -> Item:
    """An account, and its row of table ``shards``."""
    name = account.shard_id
    return Item(name, name, to_json(account), {"shards": rows}, (account.uri, name, _LAST))


def write_packs(items: Iterable[Item], output: Output, number: int, size: int = PACK_BYTES) -> Iterator[str]:
    """Writes packs and gives the place of each, see :func:`place_of`, once it counts: its index is put last.

    The names and bytes are functions of the items, of ``number`` and of the versions of this package and of pyarrow.

    Args:
        items: in the order in which they are to lie.
        output: the partition.
        number: of the packs.
        size: bytes of a pack.
    """
    pack = _Pack()
    for item in items:
        pack.add(item)
        if pack.size >= size or len(pack.items) >= PACK_NAMES:
            yield pack.put(output, number)
            pack = _Pack()
    if pack.items:
        yield pack.put(output, number)


def items_of(index: Index, rows: Iterable[int], output: Output) -> Iterator[Item]:
    """Slices and accounts in the given rows of a pack's index, in the order of these.

    Raises:
        PackError: the pack has not the rows that its index says.
    """
    runs = {file.table: _Runs(output, file) for file in index.pack.files}
    wanted = set(rows)
    for row, name in enumerate(index.names):
        found = {table: run.take(name) for table, run in runs.items()}
        if row not in wanted:
            continue
        tables = {table: rows for table, rows in found.items() if rows.num_rows}
        where = f"{output.root}/{index_path(output, index.pack_id)}"
        if name == index.shard_ids[row]:
            account = from_json(ShardAccount, index.record(row), where)
            yield account_item(account, found["shards"])
            continue
        receipt = from_json(SliceReceipt, index.record(row), where)
        if (found[output.mark].num_rows if output.mark in found else 0) != receipt.attributed:
            raise PackError(
                f"the pack of {where} has not the rows of slice {name} that its receipt counts; run causalprint verify "
                f"{output.root} --deep --repair, and the audit again"
            )
        yield slice_item(receipt, tables, output)


def rows_in_pack(output: Output, pack_id: str, receipt: SliceReceipt, table: str, columns: Sequence[str]) -> pa.RecordBatch:
    """Columns of the rows of one slice, of the row groups in which it may be."""
    # Packs are sorted by shard, so that this alone rules most row groups out.
    wanted = (ds.field("shard") == receipt.shard.uri) & (ds.field("slice_id") == receipt.slice_id)
    rows = _fragment(output, table_path(output, table, pack_id)).to_table(columns=list(columns), filter=wanted, use_threads=False)
    found = rows.combine_chunks().to_batches()
    return found[0] if found else pa.RecordBatch.from_pylist([], rows.schema)


def all_rows_in_pack(output: Output, index: Index, receipt: SliceReceipt) -> dict[str, pa.Table]:
    """The rows of one slice in all tables, with the metadata that their own files would have."""
    found = {}
    for file in index.pack.files:
        if file.table in output.tables:
            rows = rows_in_pack(output, index.pack_id, receipt, file.table, stored_schema(file.table).names)
            found[file.table] = pa.Table.from_batches([rows.cast(plain(_fragment(output, file.path).physical_schema))])
    told = next((rows.schema.metadata for rows in found.values()), None)
    return {table: found[table] if table in found else without_rows(table, told) for table in output.tables}


def without_rows(table: str, told: Mapping[bytes, bytes] | None = None) -> pa.Table:
    """A table of a slice that has no rows in it; ``told`` is the metadata of another table of the slice."""
    schema = stored_schema(table)
    return schema.with_metadata({**(told or {}), **(schema.metadata or {})}).empty_table()


def table_path(output: Output, table: str, name: str) -> str:
    """Where a file of the partition of ``output`` itself lies below the root."""
    return f"{table}/bundle={output.bundle_id}/{name}.parquet"


@lru_cache(maxsize=16)
def _fragment(output: Output, path: str) -> ds.Fragment:
    """A file of a pack, whose footer is read once: no other content gets its name."""
    fs, base = filesystem(output.root, output.storage, patient=True)
    return ds.ParquetFileFormat().make_fragment(f"{base}/{path}", PyFileSystem(FSSpecHandler(fs)))


class _Pack:
    """One pack while it is filled: of each table the file so far, compressed."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._files: dict[str, _File] = {}

    @property
    def size(self) -> int:
        """Bytes of all files so far."""
        return sum(file.size for file in self._files.values())

    def add(self, item: Item) -> None:
        self.items.append(item._replace(tables={}))
        for table, rows in item.tables.items():
            if table not in self._files:
                self._files[table] = _File(rows.schema)
            self._files[table].add(rows)

    def put(self, output: Output, number: int) -> str:
        files = {table: self._files[table].close() for table in sorted(self._files)}
        digests = {table: hashlib.sha256(data).hexdigest() for table, data in files.items()}
        pack_id = PREFIX + digest(number, *digests, *digests.values(), *(item.record for item in self.items))[:32]
        written = []
        for table, data in files.items():
            path = table_path(output, table, pack_id)
            output.put(path, data.to_pybytes())
            written.append(WrittenFile(path, digests[table], data.size))
        columns = {name: [getattr(item, name) for item in self.items] for name in ("name", "shard_id", "record")}
        rows = pa.table(columns | {"number": [number] * len(self.items)}).select(SCHEMA.names).cast(SCHEMA)
        index = encode(rows, to_json(Pack(number, tuple(written))), RECORDS)
        output.put(index_path(output, pack_id), index)
        return place_of(pack_id, len(index), {table: data.size for table, data in files.items()})


class _File:
    """One file of a pack while it is written, a row group at a time."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._sink = pa.BufferOutputStream()
        self._writer = parquet_writer(self._sink, schema, 2 * _GROUP)
        self._held: list[pa.Table] = []
        self._rows = 0

    @property
    def size(self) -> int:
        return int(self._sink.tell())

    def add(self, rows: pa.Table) -> None:
        self._held.append(rows.replace_schema_metadata(self._schema.metadata).cast(self._schema))
        self._rows += rows.num_rows
        if self._rows >= _GROUP:
            self._flush()
        elif len(self._held) >= _TOGETHER:  # a table of one row takes kilobytes
            self._held = [pa.concat_tables(self._held).combine_chunks()]

    def close(self) -> pa.Buffer:
        if self._rows:
            self._flush()
        self._writer.close()
        return self._sink.getvalue()

    def _flush(self) -> None:
        self._writer.write_table(pa.concat_tables(self._held).combine_chunks(), row_group_size=ROW_GROUP)
        self._held, self._rows = [], 0


class _Runs:
    """A file of a pack as runs of rows of one name, which are asked for in their order."""

    def __init__(self, output: Output, file: WrittenFile) -> None:
        data = output.get(file.path, size=file.size)
        if data is None:
            raise PackError(f"{output.root}/{file.path} is missing: run causalprint verify {output.root} --repair and the audit")
        opened = pq.ParquetFile(pa.BufferReader(data))
        self._schema = plain(opened.schema_arrow)
        self._key = "shard_id" if file.table == "shards" else "slice_id"
        self._batches = opened.iter_batches(_ROWS, use_threads=False)
        self._rest: pa.RecordBatch | None = None

    def take(self, name: str) -> pa.Table:
        """The rows of that name that come next; none where another comes."""
        found = list[pa.RecordBatch]()
        while (batch := self._rest or next(self._batches, None)) is not None:
            other = pc.index(pc.equal(batch[self._key], name), False).as_py()
            count = batch.num_rows if other < 0 else other
            found.append(batch.slice(0, count))
            self._rest = batch.slice(count) if count < batch.num_rows else None
            if self._rest is not None:
                break
        rows = [one.cast(self._schema) for one in found]
        return pa.Table.from_batches(rows, self._schema).combine_chunks()
