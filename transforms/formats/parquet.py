"""Parquet files with a column of encoded images: plain bytes, or Hugging Face's ``struct<bytes, path>``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, islice
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.schemas.config import MEBIBYTE, ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, ShardDamageError
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.formats.items import Damage, checked_image, metadata_json
from causalprint.transforms.storage.storage import RangeFile, ShardSource

SUFFIXES = (".parquet", ".parq", ".pq")
BATCH_ROWS = 32
SAMPLED_ROWS = 8
UNREADABLE = (pa.ArrowException, OSError, ValueError)  # ValueError: text in a broken footer that is no UTF-8
BUFFER_BYTES = 4 * MEBIBYTE
_NAMES = "image images img jpg jpeg png webp image_bytes image_data bytes content data encoded"
IMAGE_COLUMNS = tuple(_NAMES.split())


def read(source: ShardSource, options: ReadOptions) -> Iterator[EncodedImage | Reject]:
    """Every row of the shard, in order; the footer tells how many there are.

    The images are the column ``options.image_column``; else that of the usual names, else the first that is a
    ``struct<bytes, path>``, else the first of bytes. The member is its ``path``, or the row's number; the offset is the
    row. Other columns become metadata where their values are small. Where one of them cannot be read, the images go on
    without any; where the images cannot, the rest of the row group is rejected row by row.

    Memory is bounded by a page of each column, which writers cut as they like, and a few rows.

    Raises:
        ShardDamageError: there is no footer, or no column of images, or a part could not be read, after everything else
            was given. Or the connection broke (retryable).
    """
    damage = Damage()
    with _open(source, options) as table:
        for group in table.groups:
            yield from _rows(table, group, damage, options)
        total, listed = table.file.metadata.num_rows, sum(group.rows for group in table.groups)
        if total != listed:
            damage.note(f"the footer counts {total} rows, but its row groups hold {listed}")
    damage.raise_if_any()


def read_one(source: ShardSource, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image ``member`` in row ``offset``; reads its row group up to there."""
    with _open(source, options) as table:
        groups = [group for group in table.groups if group.first <= offset < group.first + group.rows]
        rows = (row for group in groups for row in _rows(table, group, Damage(), options) if row.offset >= offset)
        row = next(rows, None)
        return row if isinstance(row, EncodedImage) and row.member == member else None


def is_parquet(head: bytes) -> bool:
    """Whether ``head`` begins a Parquet file."""
    return head.startswith(b"PAR1")


def image_column(schema: pa.Schema, asked: str | None) -> str | None:
    """The name of the column that holds the images; see :func:`read`."""
    able = [field.name for field in schema if _holds_images(field.type) and schema.names.count(field.name) == 1]
    if asked:
        return asked if asked in able else None
    usual = [name for wanted in IMAGE_COLUMNS for name in able if name.lower() == wanted]
    structs = [name for name in able if pa.types.is_struct(schema.field(name).type)]
    return next(iter(usual + structs + able), None)


class _Group(NamedTuple):
    """A row group: its number, its first row in the file, its rows."""

    number: int
    first: int
    rows: int


class _Table(NamedTuple):
    """An open file: its groups of rows, the column of images and those of metadata."""

    file: pq.ParquetFile
    stored: RangeFile
    groups: list[_Group]
    image: str
    others: list[str]


class _UnreadableError(Exception):
    """The next row cannot be read."""


@contextmanager
def _open(source: ShardSource, options: ReadOptions) -> Iterator[_Table]:
    stored = source.file()
    try:
        file = pq.ParquetFile(
            pa.PythonFile(stored, mode="r"), pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True
        )
    except UNREADABLE as error:
        stored.raise_failure()
        what = f"no Parquet footer can be read from {source.size} bytes" if source.size else "the shard is an empty file"
        raise ShardDamageError(f"{what}, so none of its rows can: {error}") from error
    with file:
        image = image_column(file.schema_arrow, options.image_column)
        if image is None:
            wanted = f"column {options.image_column!r} is not there or holds no" if options.image_column else "no column holds"
            names = ", ".join(file.schema_arrow.names)
            raise ShardDamageError(
                f"{wanted} image bytes, so none of {file.metadata.num_rows} rows can be read; there are {names}"
            )
        rows = [max(0, file.metadata.row_group(number).num_rows) for number in range(file.num_row_groups)]
        firsts = accumulate(rows, initial=0)
        groups = [_Group(number, first, count) for number, (first, count) in enumerate(zip(firsts, rows, strict=False))]
        yield _Table(file, stored, groups, image, _small_columns(file, image))


def _rows(table: _Table, group: _Group, damage: Damage, options: ReadOptions) -> Iterator[EncodedImage | Reject]:
    """All rows of a group: as many as the footer says, read or rejected."""
    done = 0
    why = "the group ends early"
    for columns in ([table.image, *table.others], [table.image]):
        try:
            for value, metadata in islice(_values(table, group, columns, done), group.rows - done):
                yield _item(value, group.first + done, metadata, options)
                done += 1
            break
        except _UnreadableError as error:
            why = str(error)
            span = f"from row {group.first + done} to the end of row group {group.number}"
            if columns != [table.image]:
                damage.note(f"metadata {span} could not be read ({why})")
    if done < group.rows:
        first, end = group.first + done, group.first + group.rows
        damage.note(f"rows {first} to {end - 1} of {table.groups[-1].first + table.groups[-1].rows} could not be read ({why})")
        for row in range(first, min(end, first + table.stored.size)):  # no more than bytes, whatever a broken footer says
            yield Reject(str(row), row, Stage.READ, Reason.CORRUPT_RECORD, why)


def _values(table: _Table, group: _Group, columns: list[str], start: int) -> Iterator[tuple[Any, str | None]]:
    """What the column of images holds in each row of a group from its ``start``-th on, and the row's metadata."""
    passed = 0
    try:
        for batch in table.file.iter_batches(BATCH_ROWS, row_groups=[group.number], columns=columns, use_threads=False):
            images = batch.column(batch.schema.get_field_index(table.image))
            others = {name: _plain(batch.column(batch.schema.get_field_index(name))) for name in columns if name != table.image}
            for row in range(max(0, start - passed), batch.num_rows):
                metadata = metadata_json({name: values[row] for name, values in others.items()})
                yield images[row].as_py(), metadata
            passed += batch.num_rows
    except UNREADABLE as error:
        table.stored.raise_failure()
        raise _UnreadableError(" ".join(str(error).split())) from error


def _item(value: Any, row: int, metadata: str | None, options: ReadOptions) -> EncodedImage | Reject:
    path = value.get("path") if isinstance(value, dict) else None
    data = value.get("bytes") if isinstance(value, dict) else value
    member = str(path or row)
    if data is None and path:
        detail = f"no bytes, only the path {path!r}, which is not opened"
        return Reject(member, row, Stage.READ, Reason.NO_BYTES, detail, metadata=metadata)
    return checked_image(member, row, data, metadata, options)


def _plain(column: pa.Array) -> list[Any]:
    """The values as Python's; those that it cannot hold (text that is no UTF-8, years beyond 9999) as text or null."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return _as_text(column)
        stored = column.cast(pa.large_binary()).to_pylist()
        return [None if data is None else data.decode("utf-8", "replace") for data in stored]
    return values


def _as_text(column: pa.Array) -> list[str | None]:
    try:
        values: list[str | None] = column.cast(pa.string()).to_pylist()
    except (pa.ArrowException, ValueError):
        return [None] * len(column)
    return values


def _small_columns(file: pq.ParquetFile, image: str) -> list[str]:
    """Columns other than ``image`` that become metadata: all but those of long bytes, lists or structs.

    How long those are is told by the first rows. The footer would tell of all, but pyarrow ends the process where what the footer
    says of a column's sizes is broken.
    """
    schema = file.schema_arrow
    others = [name for name in schema.names if name != image and schema.names.count(name) == 1]
    long = {field.name for field in schema if pa.types.is_nested(field.type) or _holds_images(field.type)}
    return [name for name in others if name not in long or _is_short(file, name)]


def _is_short(file: pq.ParquetFile, name: str) -> bool:
    try:
        batch = next(file.iter_batches(SAMPLED_ROWS, columns=[name], use_threads=False), None)
    except UNREADABLE:
        return True  # where it is read, it is told that it cannot be
    values = [] if batch is None else _plain(batch.column(0))
    return all(metadata_json({name: value}) for value in values)


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _holds_images(kind.field(index).type)
    if pa.types.is_dictionary(kind):
        return _holds_images(kind.value_type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))
