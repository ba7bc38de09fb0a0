"""The rows of an open table, Parquet or Arrow, as images, rejects and skipped members."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, ShardDamageError, Skipped
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.faults import raise_foreign, unforeseen
from causalprint.transforms.formats.columns import (
    HEAD_BYTES,
    Leaf,
    Value,
    distinct,
    leaves_of,
    may_hold,
    repeated_in,
    too_wide,
    usual_first,
    values_of,
)
from causalprint.transforms.formats.image_columns import (
    SAMPLED_ROWS,
    chosen_leaves,
    encoded_text,
    found_in,
    no_images,
    repeated_text,
)
from causalprint.transforms.formats.items import Damage, Item, bounded, checked_image, metadata_json, metadata_or_none
from causalprint.transforms.formats.parquet_file import Group, TableFile, why_unreadable
from causalprint.transforms.images.kinds import looks_like_image

MAX_NULLS = 10_000
MAX_REFUSED = 100_000
UNREAD_COLUMN = "column of metadata too costly to read"
"""What such a column is counted as, once a group of rows."""


def items_of(file: TableFile, columns: Sequence[str], damage: Damage, options: ReadOptions) -> Iterator[Item]:
    """Every row of an open file; see :func:`causalprint.transforms.formats.parquet.read`."""
    table = _table(file, columns, damage, options)
    rows = (item for group in table.groups for item in _rows(table, group, options))
    yield from bounded(rows, file.stored.size, options, damage)


def image_in(file: TableFile, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image ``member`` in row ``offset`` of an open file."""
    leaves = [leaf for leaf in leaves_of(file.schema) if not leaf.text]
    table = _table(file, (), Damage(), options)
    named = [leaf for leaf in leaves if f"{member}/".startswith(f"{offset}/{leaf.name}/")]
    ways = [table, table._replace(images=named, maybe=[], plain=False)]
    ways += [table._replace(images=[leaf], maybe=[], plain=True) for leaf in usual_first(table.images)]
    for way in ways:
        for group in way.groups:
            if group.first <= offset < group.first + group.rows and way.images:
                for item in _rows(way, group, options):
                    if item.offset > offset:
                        break
                    if isinstance(item, EncodedImage) and (item.member, item.offset) == (member, offset):
                        return item
    return None


class _Budget:
    """What is left of a number."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, wanted: int) -> int:
        """Takes ``wanted``, or what is left; how much that is."""
        taken = min(wanted, self.left)
        self.left -= taken
        return taken


class _Last:
    """The bytes of the last value: those of the next one are held in their place where they are the same."""

    def __init__(self) -> None:
        self._data = b""

    def held(self, value: Value) -> Value:
        """The value, with the bytes that are held already."""
        if isinstance(value.data, bytes) and value.data != self._data:
            self._data = value.data
        return value._replace(data=self._data) if isinstance(value.data, bytes) else value


class _Table(NamedTuple):
    """What is read of an open file.

    Attributes:
        file: the file.
        groups: its groups of rows.
        images: whose values are images.
        maybe: of which no value was seen yet: those that begin an image are.
        plain: whether a row has one image at most, so that its member is the row.
        others: columns of metadata.
        gaps: whether rows without images are told.
        nulls: how many rows without images may still be told each by itself.
        refused: how many of those that are not read.
        damage: told of what cannot be read.
        told: how many bytes of metadata may still be read.
        last: the value before the next.
    """

    file: TableFile
    groups: list[Group]
    images: list[Leaf]
    maybe: list[Leaf]
    plain: bool
    others: list[str]
    gaps: bool
    nulls: _Budget
    refused: _Budget
    damage: Damage
    told: _Budget
    last: _Last

    @property
    def columns(self) -> list[str]:
        """The columns that hold images."""
        return list(dict.fromkeys(leaf.column for leaf in (*self.images, *self.maybe)))

    def without(self, columns: set[str]) -> _Table:
        """What is left to read; where it is not all that may hold images, no row is told to be without."""
        images, maybe = ([leaf for leaf in leaves if leaf.column not in columns] for leaves in (self.images, self.maybe))
        others = [name for name in self.others if name not in columns]
        return self._replace(images=images, maybe=maybe, others=others, gaps=columns.isdisjoint(self.columns))


class _Run(NamedTuple):
    """Rows without images, too many to tell each by itself."""

    rows: int


class _Row(NamedTuple):
    """A row of a batch: the columns of images, its place in them, and the values of the others."""

    images: dict[str, pa.Array]
    place: int
    told: dict[str, Any]


class _UnreadableError(Exception):
    """The next row cannot be read."""


def _table(file: TableFile, asked: Sequence[str], damage: Damage, options: ReadOptions) -> _Table:
    if why := too_wide(file.schema):
        rows = sum(group.rows for group in file.groups)
        raise ShardDamageError(f"{why}, so none of {rows} rows can be read: write those that are needed to a file of their own")
    found = found_in(file)
    images, maybe = (found.images, found.unseen) if found.images else (found.unseen, [])
    plain = len(images) == 1 and not images[0].in_list
    if asked:
        chosen = chosen_leaves(file, asked, ShardDamageError)
        images, maybe, plain = chosen, [], plain and chosen == images
    elif not images:
        raise ShardDamageError(
            f"{no_images(file, found)}, so none of {sum(group.rows for group in file.groups)} rows can be read"
        )
    else:
        if found.encoded:
            damage.note(encoded_text(found.encoded))
        if repeated := repeated_in(file.schema):
            damage.note(repeated_text(repeated))
    taken = {leaf.column for leaf in (*images, *found.images, *found.unseen)}
    others = _small_columns(file, taken, damage)
    nulls, refused, told = map(_Budget, (MAX_NULLS, MAX_REFUSED, options.most_from(file.stored.size)))
    return _Table(file, file.groups, images, maybe, plain, others, True, nulls, refused, damage, told, _Last())


def _rows(table: _Table, group: Group, options: ReadOptions) -> Iterator[Item]:
    """All rows of a group: as many as the footer says, read or rejected. A column that is too costly costs no other's values."""
    refused, left_out = _costly(table, group, table.columns), _costly(table, group, table.others)
    yield from _read(table.without({*refused, *left_out}) if refused or left_out else table, group, options)
    alone = [leaf.column for leaf in table.images] if table.plain else table.columns
    for name, why in refused.items():
        yield from _refused(table, group, 0, Reason.TOO_LARGE, why, "" if alone == [name] else f"/{name}")
    for name in left_out:
        yield Skipped(f"{group.first}/{name}", group.first, UNREAD_COLUMN)


def _costly(table: _Table, group: Group, names: Sequence[str]) -> dict[str, str]:
    """The columns of a group that are not read, and why."""
    return {name: why for name in names if (why := table.file.too_costly(group, name))}


def _read(table: _Table, group: Group, options: ReadOptions) -> Iterator[Item]:
    if not table.columns:
        return
    done = 0
    run = 0
    why = "the group ends early"
    for columns in ([*table.columns, *(table.others if table.told.left else ())], table.columns):
        try:
            for row in _values(table, group, columns, done):
                if isinstance(row, _Run):
                    run += row.rows
                    done += row.rows
                else:
                    yield from _items(table, row, group.first + done, options)
                    done += 1
                del row  # with the batch that it is of, which would be held while the next is read
            break
        except _UnreadableError as error:
            why = str(error)
            span = f"from row {group.first + done} to the end of row group {group.number}"
            if columns != table.columns:
                table.damage.note(f"metadata {span} could not be read ({why})")
    if run and table.gaps:
        detail = f"{run} more rows between row {group.first} and row {group.first + done} hold no bytes"
        yield Reject(str(group.first), group.first, Stage.READ, Reason.NO_BYTES, detail)
    if done < group.rows:
        first, end = group.first + done, group.first + group.rows
        total = table.groups[-1].first + table.groups[-1].rows
        table.damage.note(f"rows {first} to {end - 1} of {total} could not be read ({why})")
        yield from _refused(table, group, done, Reason.CORRUPT_RECORD, why)


def _refused(table: _Table, group: Group, done: int, reason: Reason, why: str, within: str = "") -> Iterator[Reject]:
    """A reject for each row of a group from its ``done``-th on, or of what is ``within`` it; those after many, together."""
    first, end = group.first + done, group.first + group.rows
    alone = table.refused.take(min(end - first, table.file.stored.size))
    for row in range(first, first + alone):
        yield Reject(f"{row}{within}", row, Stage.READ, reason, why)
    if (left := end - first - alone) > 0:
        yield Reject(f"{end - 1}{within}", end - 1, Stage.READ, reason, f"{left} rows up to this one: {why}")


def _values(table: _Table, group: Group, columns: list[str], start: int) -> Iterator[_Row | _Run]:
    """The rows of a group from its ``start``-th on."""
    passed = 0
    try:
        for batch in table.file.batches(group, columns):
            first, rows = max(0, start - passed), min(batch.num_rows, group.rows - passed)
            passed += batch.num_rows
            if first < rows:
                yield from _batch(table, batch.slice(first, rows - first), columns)
            del batch
    except Exception as error:
        raise _UnreadableError(why_unreadable(error)) from error


def _batch(table: _Table, batch: pa.RecordBatch, columns: list[str]) -> Iterator[_Row | _Run]:
    """The rows of a batch: those with images, and as many of the others as may be told."""
    kept, gaps = _kept(table, batch)
    if len(kept) < batch.num_rows // 2:
        batch = batch.take(pa.array(kept, pa.int64()))
        kept = list(range(len(kept)))
    by_name = {name: batch.column(batch.schema.get_field_index(name)) for name in columns}
    images = {name: by_name.pop(name) for name in table.columns}
    size = sum(column.nbytes for column in by_name.values())
    if table.told.take(size) < size:
        raise ValueError("the columns of metadata become too many bytes")
    others = {name: as_python(column, table.damage) for name, column in by_name.items()}
    for place, row in enumerate(kept):
        if gaps[place]:
            yield _Run(gaps[place])
        yield _Row(images, row, {name: each[row] for name, each in others.items()})
    if gaps[-1]:
        yield _Run(gaps[-1])


def _kept(table: _Table, batch: pa.RecordBatch) -> tuple[list[int], list[int]]:
    """The rows of a batch that are told each by itself, and how many are not before each of them and after the last."""
    try:
        return _sparse(table, batch)
    except Exception as error:  # noqa: BLE001 - then each by itself
        raise_foreign(error)
        return list(range(batch.num_rows)), [0] * (batch.num_rows + 1)


def _sparse(table: _Table, batch: pa.RecordBatch) -> tuple[list[int], list[int]]:
    found = [batch.column(batch.schema.get_field_index(name)) for name in table.columns]
    if any(column.null_count == 0 and not pa.types.is_nested(column.type) for column in found):
        return list(range(batch.num_rows)), [0] * (batch.num_rows + 1)
    if table.nulls.left == 0 and all(column.null_count == batch.num_rows for column in found):
        return [], [batch.num_rows]
    keep: NDArray[np.bool_] = reduce(pc.or_, map(may_hold, found)).to_numpy(zero_copy_only=False).copy()
    empty = np.flatnonzero(~keep)
    keep[empty[: table.nulls.take(len(empty))]] = True
    kept = np.flatnonzero(keep)
    gaps = np.diff(np.concatenate([[-1], kept, [batch.num_rows]])) - 1
    return kept.tolist(), gaps.tolist()


def _items(table: _Table, found: _Row, row: int, options: ReadOptions) -> Iterator[Item]:
    """The images of one row; where there are none, why. Whatever the row makes a parser raise, the next ones are read."""
    try:
        yield from _images(table, found, row, options)
    except Exception as error:  # noqa: BLE001 - it costs what is left of the row
        why = unforeseen(error)
        table.damage.note(f"row {row} could not be read ({why})")
        yield Reject(str(row), row, Stage.READ, Reason.READER_ERROR, why)


def _images(table: _Table, found: _Row, row: int, options: ReadOptions) -> Iterator[Item]:
    told = found.told
    metadata = _metadata(table, row, told)
    nulls, empty = 0, table.gaps
    around: dict[object, dict[str, Any]] = {}
    for leaf in (*table.images, *table.maybe):
        for value in map(table.last.held, values_of(leaf, found.images[leaf.column].slice(found.place, 1))):
            path = _told(value.beside("path"), table.damage).get("path")
            member = str(path or row) if table.plain and leaf in table.images else _member(row, leaf, value)
            if value.data is None and not path:
                nulls += 1
            elif value.data is None:
                empty = False
                detail = f"no bytes, only the path {path!r}, which is not opened"
                yield Reject(member, row, Stage.READ, Reason.NO_BYTES, detail, metadata=metadata)
            elif isinstance(value.data, bytes) and (leaf in table.images or looks_like_image(value.data[:HEAD_BYTES])):
                empty = False
                struct = leaf.steps[:-1], value.places
                if struct not in around:
                    around[struct] = _told(value.beside(), table.damage)
                own = {f"{leaf.name}.{name}": each for name, each in around[struct].items() if each is not None}
                if table.plain:
                    own.pop(f"{leaf.name}.path", None)
                yield checked_image(member, row, value.data, _metadata(table, row, told | own) if own else metadata, options)
    if empty and nulls:
        yield checked_image(str(row), row, None, metadata, options)
    elif empty:
        yield Skipped(str(row), row)


def _told(scalars: Mapping[str, Any], damage: Damage) -> dict[str, Any]:
    return {name: as_python(pa.array([each], each.type), damage)[0] for name, each in scalars.items()}


def _metadata(table: _Table, row: int, told: dict[str, Any]) -> str | None:
    return metadata_or_none(lambda: metadata_json(told), f"row {row}", table.damage)


def _member(row: int, leaf: Leaf, value: Value) -> str:
    return "/".join([str(row), leaf.name, *map(str, value.places)])


def as_python(column: pa.Array, damage: Damage) -> list[Any]:
    """The values as Python's; those that it cannot hold (text that is no UTF-8, years beyond 9999) as text or null."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return _as_text(column)
        stored = column.cast(pa.large_binary()).to_pylist()
        return [None if data is None else data.decode("utf-8", "replace") for data in stored]
    except Exception as error:  # noqa: BLE001 - it costs one value
        why = unforeseen(error)
        if len(column) > 1:
            return [value for place in range(len(column)) for value in as_python(column.slice(place, 1), damage)]
        damage.note(f"a value of metadata could not be read ({why})")
        return [None]
    return values


def _as_text(column: pa.Array) -> list[str | None]:
    try:
        values: list[str | None] = column.cast(pa.string()).to_pylist()
    except (pa.ArrowException, ValueError):
        return [None] * len(column)
    return values


def _small_columns(file: TableFile, taken: set[str], damage: Damage) -> list[str]:
    """Columns other than those ``taken`` that become metadata: all but those of long bytes, lists or structs.

    How long those are is told by the first rows. The footer would tell of all, but pyarrow ends the process where what the footer
    says of a column's sizes is broken.
    """
    schema = file.schema
    others = [field.name for field in distinct(schema) if field.name not in taken]
    held = {leaf.column for leaf in leaves_of(schema) if not leaf.text}
    long = held | {field.name for field in schema if pa.types.is_nested(field.type)}
    return [name for name in others if name not in long or _is_short(file, name, damage)]


def _is_short(file: TableFile, name: str, damage: Damage) -> bool:
    try:
        group = next((group for group in file.groups if group.rows and not file.too_costly(group, name)), None)
        batch = next(file.batches(group, [name], SAMPLED_ROWS), None) if group else None
        values = [] if batch is None else as_python(batch.column(0), damage)
        return all(metadata_json({name: value}) for value in values)
    except Exception as error:  # noqa: BLE001 - where it is read, it is told that it cannot be
        why_unreadable(error)
        return True
