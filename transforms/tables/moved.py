"""Slices of shards that lie elsewhere now, with the same bytes: their rows are written for the new address, and not computed.

What proves the sameness are the SHA-256 digests of the images that the output holds. The shard is read where it lies now, and
nothing of it is decoded.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from causalprint.schemas.accounts import SliceReceipt, spread
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import ImageSlice, Reject, Shard, Slice, Version
from causalprint.schemas.moves import Move
from causalprint.schemas.names import well_formed
from causalprint.schemas.urls import public
from causalprint.transforms.storage.lookup import InputError
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.committed import committed, record_in
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.pack_rows import all_rows_in_pack, without_rows
from causalprint.transforms.tables.parquet_bytes import read_parquet, without_record
from causalprint.transforms.tables.partition import read_columns
from causalprint.transforms.tables.seals import check_body
from causalprint.transforms.tables.stored import Stored
from causalprint.transforms.tables.write_tables import commit

_log = logging.getLogger(__name__)
_TOLD_OF_SLICES = ("last", "damage", "unfinished", "skipped", "skipped_kinds")
"""What a slice says of its shard besides its images."""


class _Told(NamedTuple):
    """What rows and a slice that was read both tell of an image: with the same, the image has the same rows."""

    member: str
    offset: int
    image_id: str | None
    metadata: str | None


def as_uris(moves: Iterable[Move], storage: Storage) -> tuple[Move, ...]:
    """The moves with their prefixes spelled as URIs of shards are."""

    def uri(prefix: str) -> str:
        fs, path = filesystem(prefix, storage)
        return public(well_formed(fs.unstrip_protocol(path)))

    return tuple(Move(uri(move.old), uri(move.new)) for move in moves)


def address_before(uri: str, moves: Iterable[Move]) -> str | None:
    """Where a shard lay before the first of ``moves`` that concerns it; ``None`` where none does."""
    return next((old for move in moves if (old := move.before(uri)) is not None), None)


def with_versions(shards: Sequence[Shard], moves: Sequence[Move], output: Output) -> tuple[Shard, ...]:
    """The shards, those that moved with the versions at their old address that have an account in ``output``.

    Raises:
        InputError: a move concerns none of them, or none of its shards was ever audited.
    """
    known: defaultdict[str, list[Version]] = defaultdict(list)
    for rows in read_columns(output, "shards", "uri", "generation"):
        for version in map(Version, *(column.to_pylist() for column in rows.columns)):
            known[version.uri].append(version)
    moved = tuple(replace(shard, was=tuple(known.get(address_before(shard.uri, moves) or "", ()))) for shard in shards)
    for move in moves:
        own = [shard for shard in moved if move.before(shard.uri) is not None]
        if not any(shard.was for shard in own):
            why = (
                f"{output.root} holds no shard of that bundle below {move.old}"
                if own
                else f"no shard of the input is below {move.new}"
            )
            raise InputError(f"--same-as {move}: {why}; OLD is the beginning of a URI as column `shard` has it")
    return moved


def move_slice(source: ImageSlice, output: Output, stored: Stored) -> SliceReceipt | None:
    """Writes the rows of a slice for its new address, where a committed one at an old address has the same images.

    Returns:
        its receipt; ``None`` where there is none such, or it could not be read or written: the slice is to be computed.
    """
    for version in source.shard.was:
        shard = replace(source.shard, uri=version.uri, generation=version.generation)
        receipt = committed(output, shard.slice_id(output.bundle_id, source.index), stored)
        if receipt is None or receipt.shard != shard or receipt.seen != source.seen:
            continue
        if any(getattr(receipt, name) != getattr(source, name) for name in _TOLD_OF_SLICES):
            continue
        try:
            tables = _read(receipt, output, stored)
            if _is_same(source, tables["images"], tables["rejects"], receipt.forgotten):
                own = Slice(**spread(source, Slice))
                receipt = replace(receipt, **spread(own), files=(), seal="", footprint="", moved_from=receipt.slice_id)
                return commit(receipt, {table: _at(rows, source) for table, rows in tables.items()}, output)
        except (OSError, ValueError) as error:
            _log.warning("slice %d of %s is computed: %s", source.index, source.shard.uri, error)
    return None


def _read(receipt: SliceReceipt, output: Output, stored: Stored) -> dict[str, pa.Table]:
    """The rows of a slice in all tables, once its files are found to be what was written."""
    pack_id = stored.pack_of(receipt.slice_id)
    if pack_id is not None:
        return all_rows_in_pack(output, stored.packs.indexes[pack_id], receipt)
    tables = {table: without_rows(table) for table in output.tables}
    digests = {file.path: file.sha256 for file in receipt.files}
    for table in (*(file.table for file in receipt.files), output.mark):
        path = output.path(table, receipt.slice_id)
        data = output.get(path)
        if data is None:
            raise FileNotFoundError(f"{output.root}/{path} is gone")
        if path in digests and hashlib.sha256(data).hexdigest() != digests[path]:
            raise ValueError(f"{output.root}/{path} is not what was written")
        if table == output.mark and (seal := record_in(data, path).seal):
            check_body(data, seal)
        tables[table] = without_record(read_parquet(data))
    return tables


def _is_same(source: ImageSlice, images: pa.Table, rejects: pa.Table, forgotten: int) -> bool:
    """Whether each row tells of an image of ``source``, and each image but so many that are ``forgotten`` has its row.

    What reading rejects has no bytes that could differ unseen: all that its row says must be the same.
    """
    unread = Counter(source.rejects)
    read = Counter(_Told(image.member, image.offset, image.image_id, image.metadata) for image in source.images)
    rows = [*_rows(images)]
    for reject in (Reject(**row) for row in rejects.select(Reject._fields).to_pylist()):
        if unread[reject]:
            unread[reject] -= 1
        else:
            rows.append(_Told(reject.member, reject.offset, reject.image_id, reject.metadata))
    read.subtract(rows)
    return min(read.values(), default=0) >= 0 and read.total() + unread.total() == forgotten


def _rows(images: pa.Table) -> Iterator[_Told]:
    return (_Told(**row) for row in images.select(_Told._fields).to_pylist())


def _at(rows: pa.Table, source: ImageSlice) -> pa.Table:
    """The same rows at another address."""
    for name, value in (("shard", source.shard.uri), ("slice_id", source.slice_id)):
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, rows.schema.field(index), pa.array([value] * rows.num_rows, pa.string()))
    return rows
