"""The rows of an open table, Parquet or Arrow, as images, rejects and skipped members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, ShardDamageError, Skipped
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.formats.columns import (
    HEAD_BYTES,
    Leaf,
    Value,
    leaves_of,
    may_hold,
    usual_first,
    values_of,
)
from causalprint.transforms.formats.image_columns import SAMPLED_ROWS, chosen_leaves, encoded_text, found_in, no_images
from causalprint.transforms.formats.items import Damage, Item, bounded, checked_image, metadata_json
from causalprint.transforms.formats.parquet_file import UNREADABLE, Group, TableFile
from causalprint.transforms.images.kinds import looks_like_image

MAX_NULLS = 10_000
MAX_REFUSED = 100_000


def items_of(file: TableFile, columns: Sequence[str], damage: Damage, options: ReadOptions) -> Iterator[Item]:
    """Every row of an open file; see :func:`causalprint.transforms.formats.parquet.read`."""
    table = _table(file, columns, damage)
    rows = (item for group in table.groups for item in _rows(table, group, damage, options))
    yield from bounded(rows, file.stored.size, options, damage)


def image_in(file: TableFile, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image ``member`` in row ``offset`` of an open file."""
    leaves = [leaf for leaf in leaves_of(file.schema) if not leaf.text]
    table = _table(file, (), Damage())
    named = [leaf for leaf in leaves if f"{member}/".startswith(f"{offset}/{leaf.name}/")]
    ways = [table, table._replace(images=named, maybe=[], plain=False)]
    ways += [table._replace(images=[leaf], maybe=[], plain=True) for leaf in usual_first(table.images)]
    for way in ways:
        for group in way.groups:
            if group.first <= offset < group.first + group.rows and way.images:
                for item in _rows(way, group, Damage(), options):
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


class _Table(NamedTuple):
    """What is read of an open file.

    Attributes:
        file: the file.
        groups: its groups of rows.
        images: whose values are images.
        maybe: of which no value was seen yet: those that begin an image are.
        plain: whether a row has one image at most, so that its member is the row.
        others: columns of metadata.
        nulls: how many rows without images may still be told each by itself.
    """

    file: TableFile
    groups: list[Group]
    images: list[Leaf]
    maybe: list[Leaf]
    plain: bool
    others: list[str]
    nulls: _Budget

    @property
    def columns(self) -> list[str]:
        """The columns that hold images."""
        return list(dict.fromkeys(leaf.column for leaf in (*self.images, *self.maybe)))


class _Run(NamedTuple):
    """Rows without images, too many to tell each by itself."""

    rows: int


class _Row(NamedTuple):
    """What the columns of images hold in a row, as scalars, and the values of the others."""

    scalars: dict[str, Any]
    told: dict[str, Any]


class _UnreadableError(Exception):
    """The next row cannot be read."""


def _table(file: TableFile, asked: Sequence[str], damage: Damage) -> _Table:
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
    elif found.encoded:
        damage.note(encoded_text(found.encoded))
    taken = {leaf.column for leaf in (*images, *found.images, *found.unseen)}
    return _Table(file, file.groups, images, maybe, plain, _small_columns(file, taken), _Budget(MAX_NULLS))


def _rows(table: _Table, group: Group, damage: Damage, options: ReadOptions) -> Iterator[Item]:
    """All rows of a group: as many as the footer says, read or rejected."""
    costly = [why for name in table.columns if (why := table.file.too_costly(group, name))]
    if costly:
        yield from _refused(table, group, 0, Reason.TOO_LARGE, costly[0])
        return
    others = [name for name in table.others if not table.file.too_costly(group, name)]
    done = 0
    run = 0
    why = "the group ends early"
    for columns in ([*table.columns, *others], table.columns):
        try:
            for row in _values(table, group, columns, done):
                if isinstance(row, _Run):
                    run += row.rows
                    done += row.rows
                else:
                    yield from _items(table, row, group.first + done, options)
                    done += 1
            break
        except _UnreadableError as error:
            why = str(error)
            span = f"from row {group.first + done} to the end of row group {group.number}"
            if columns != table.columns:
                damage.note(f"metadata {span} could not be read ({why})")
    if run:
        detail = f"{run} more rows between row {group.first} and row {group.first + done} hold no bytes"
        yield Reject(str(group.first), group.first, Stage.READ, Reason.NO_BYTES, detail)
    if done < group.rows:
        first, end = group.first + done, group.first + group.rows
        damage.note(f"rows {first} to {end - 1} of {table.groups[-1].first + table.groups[-1].rows} could not be read ({why})")
        yield from _refused(table, group, done, Reason.CORRUPT_RECORD, why)


def _refused(table: _Table, group: Group, done: int, reason: Reason, why: str) -> Iterator[Reject]:
    """A reject for each row of a group from its ``done``-th on; no more than bytes, whatever a broken footer says."""
    first, end = group.first + done, group.first + group.rows
    for row in range(first, min(end, first + min(table.file.stored.size, MAX_REFUSED))):
        yield Reject(str(row), row, Stage.READ, reason, why)
    if (left := end - first - MAX_REFUSED) > 0:
        yield Reject(str(end - 1), end - 1, Stage.READ, reason, f"{left} rows up to this one: {why}")


def _values(table: _Table, group: Group, columns: list[str], start: int) -> Iterator[_Row | _Run]:
    """The rows of a group from its ``start``-th on."""
    passed = 0
    try:
        for batch in table.file.batches(group, columns):
            first, rows = max(0, start - passed), min(batch.num_rows, group.rows - passed)
            passed += batch.num_rows
            if first < rows:
                yield from _batch(table, batch.slice(first, rows - first), columns)
    except UNREADABLE as error:
        raise _UnreadableError(" ".join(str(error).split())) from error


def _batch(table: _Table, batch: pa.RecordBatch, columns: list[str]) -> Iterator[_Row | _Run]:
    """The rows of a batch: those with images, and as many of the others as may be told."""
    kept, gaps = _kept(table, batch)
    if len(kept) < batch.num_rows // 2:
        batch = batch.take(pa.array(kept, pa.int64()))
        kept = list(range(len(kept)))
    by_name = {name: batch.column(batch.schema.get_field_index(name)) for name in columns}
    images = {name: by_name.pop(name) for name in table.columns}
    others = {name: _plain(column) for name, column in by_name.items()}
    for place, row in enumerate(kept):
        if gaps[place]:
            yield _Run(gaps[place])
        yield _Row({name: each[row] for name, each in images.items()}, {name: each[row] for name, each in others.items()})
    if gaps[-1]:
        yield _Run(gaps[-1])


def _kept(table: _Table, batch: pa.RecordBatch) -> tuple[list[int], list[int]]:
    """The rows of a batch that are told each by itself, and how many are not before each of them and after the last."""
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
    """The images of one row; where there are none, why."""
    scalars, told = found
    metadata = metadata_json(told)
    nulls, empty = 0, True
    for leaf in (*table.images, *table.maybe):
        for value in values_of(leaf, scalars[leaf.column]):
            beside = {name: _as_python(each) for name, each in value.beside.items()}
            path = beside.get("path")
            member = str(path or row) if table.plain and leaf in table.images else _member(row, leaf, value)
            if value.data is None and not path:
                nulls += 1
            elif value.data is None:
                empty = False
                detail = f"no bytes, only the path {path!r}, which is not opened"
                yield Reject(member, row, Stage.READ, Reason.NO_BYTES, detail, metadata=metadata)
            elif isinstance(value.data, bytes) and (leaf in table.images or looks_like_image(value.data[:HEAD_BYTES])):
                empty = False
                own = {f"{leaf.name}.{name}": each for name, each in beside.items() if each is not None}
                if table.plain:
                    own.pop(f"{leaf.name}.path", None)
                yield checked_image(member, row, value.data, metadata_json(told | own) if own else metadata, options)
    if empty and nulls:
        yield checked_image(str(row), row, None, metadata, options)
    elif empty:
        yield Skipped(str(row), row)


def _member(row: int, leaf: Leaf, value: Value) -> str:
    return "/".join([str(row), leaf.name, *map(str, value.places)])


def _as_python(scalar: Any) -> Any:
    return _plain(pa.array([scalar], scalar.type))[0]


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


def _small_columns(file: TableFile, taken: set[str]) -> list[str]:
    """Columns other than those ``taken`` that become metadata: all but those of long bytes, lists or structs.

    How long those are is told by the first rows. The footer would tell of all, but pyarrow ends the process where what the footer
    says of a column's sizes is broken.
    """
    schema = file.schema
    others = [name for name in schema.names if name not in taken and schema.names.count(name) == 1]
    held = {leaf.column for leaf in leaves_of(schema) if not leaf.text}
    long = held | {field.name for field in schema if pa.types.is_nested(field.type)}
    return [name for name in others if name not in long or _is_short(file, name)]


def _is_short(file: TableFile, name: str) -> bool:
    try:
        group = next((group for group in file.groups if group.rows and not file.too_costly(group, name)), None)
        batch = next(file.batches(group, [name], SAMPLED_ROWS), None) if group else None
    except UNREADABLE:
        return True  # where it is read, it is told that it cannot be
    values = [] if batch is None else _plain(batch.column(0))
    return all(metadata_json({name: value}) for value in values)
