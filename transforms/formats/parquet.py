"""Parquet files with images in columns, nested fields or lists of bytes: plain, or Hugging Face's ``struct<bytes, path>``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import reduce
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from causalprint.schemas.config import MEBIBYTE, ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, ShardDamageError, Skipped
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.formats.columns import (
    HEAD_BYTES,
    Holds,
    Leaf,
    Value,
    holds,
    is_base64_image,
    is_url,
    leaves_of,
    may_hold,
    usual_first,
    values_of,
)
from causalprint.transforms.formats.items import Damage, Item, checked_image, metadata_json
from causalprint.transforms.formats.parquet_file import UNREADABLE, Group, TableFile, open_table
from causalprint.transforms.images.kinds import looks_like_image
from causalprint.transforms.storage.lookup import InputError
from causalprint.transforms.storage.storage import RangeFile, ShardSource

SUFFIXES = (".parquet", ".parq", ".pq")
MAX_NULLS = 10_000
MAX_REFUSED = 100_000
SAMPLED_ROWS = 8
PROBED_ROWS = 1024
PROBED_BYTES = 4 * MEBIBYTE
PROBED_GROUPS = 8


def read(source: ShardSource, options: ReadOptions) -> Iterator[Item]:
    """Every row of the shard, in order; the footer tells how many there are.

    The images are those of all columns, nested fields and lists of bytes whose first values begin an image, or of
    ``source.columns`` where those are given. Where that is one field of bytes, the member is the ``path`` beside it, or the
    row's number; else ``row/column``, in a list ``row/column/index``. The offset is the row. A row without bytes is one
    reject; a null beside an image of the same row is nothing, and a row whose list is empty is skipped. Other columns become
    metadata where their values are small. Where one of them cannot be read, the images go on without any; where the images
    cannot, the rest of the row group is rejected row by row.

    Memory is bounded by a page of each column, which writers cut as they like, and a few rows.

    Raises:
        ShardDamageError: there is no footer, or no column of images, or a part could not be read, after everything else
            was given. Or the connection broke (retryable).
    """
    damage = Damage()
    with _open(source) as file:
        table = _table(file, source.columns, damage)
        for group in table.groups:
            yield from _rows(table, group, damage, options)
        total, listed = table.file.parquet.metadata.num_rows, sum(group.rows for group in table.groups)
        if total != listed:
            damage.note(f"the footer counts {total} rows, but its row groups hold {listed}")
    damage.raise_if_any()


def read_one(source: ShardSource, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image ``member`` in row ``offset``, whatever columns were chosen when it was found; reads its row group up to there."""
    with _open(source) as file:
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


def is_parquet(head: bytes) -> bool:
    """Whether ``head`` begins a Parquet file."""
    return head.startswith(b"PAR1")


def why_no_images(stored: RangeFile, columns: Sequence[str]) -> str | None:
    """Why a whole Parquet file is no shard of images; ``None`` where it is one, or where reading it will tell.

    Reads the footer, and of the columns of bytes the first values.

    Raises:
        InputError: it holds images, but not in one of ``columns``.
        ShardDamageError: retryable; the store did not give it.
    """
    try:
        with open_table(stored) as file:
            found = _found(file, encoded=False)
            if found.images or found.unseen:
                _chosen(file, columns, InputError)
                return None
            if columns and all(any(leaf.is_called(name) for leaf in found.leaves) for name in columns):
                return None
            return None if found.encoded else _no_images(file, found)
    except UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        return None


class _Found(NamedTuple):
    """What the first values of a file's columns are: ``encoded`` and ``linked`` are names of columns of text."""

    leaves: list[Leaf]
    images: list[Leaf]
    unseen: list[Leaf]
    encoded: list[str]
    linked: list[str]


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


@contextmanager
def _open(source: ShardSource) -> Iterator[TableFile]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_table(source.file()))
        except UNREADABLE as error:
            what = f"no Parquet footer can be read from {source.size} bytes" if source.size else "the shard is an empty file"
            raise ShardDamageError(f"{what}, so none of its rows can: {error}") from error
        yield file


def _table(file: TableFile, asked: Sequence[str], damage: Damage) -> _Table:
    found = _found(file)
    images, maybe = (found.images, found.unseen) if found.images else (found.unseen, [])
    plain = len(images) == 1 and not images[0].in_list
    if asked:
        chosen = _chosen(file, asked, ShardDamageError)
        images, maybe, plain = chosen, [], plain and chosen == images
    elif not images:
        raise ShardDamageError(f"{_no_images(file, found)}, so none of {file.parquet.metadata.num_rows} rows can be read")
    elif found.encoded:
        damage.note(_encoded(found.encoded))
    taken = {leaf.column for leaf in (*images, *found.images, *found.unseen)}
    return _Table(file, file.groups, images, maybe, plain, _small_columns(file, taken), _Budget(MAX_NULLS))


def _chosen(file: TableFile, asked: Sequence[str], kind: type[Exception]) -> list[Leaf]:
    leaves = [leaf for leaf in leaves_of(file.schema) if not leaf.text]
    for name in asked:
        if not any(leaf.is_called(name) for leaf in leaves):
            able = ", ".join(leaf.name for leaf in leaves) or "none"
            raise kind(f"image column {name!r} is not there or holds no bytes; columns are {_names(file)}, and of bytes {able}")
    return [leaf for leaf in leaves if any(leaf.is_called(name) for name in asked)]


def _found(file: TableFile, *, encoded: bool = True) -> _Found:
    """What the first values of every column of bytes are; of text where none are images, or ``encoded`` asks."""
    leaves = leaves_of(file.schema)
    able = [leaf for leaf in leaves if not leaf.text]
    certain = {leaf for leaf in able if file.begins_image(leaf.steps)}
    seen = _sampled(file, [leaf for leaf in able if leaf not in certain])
    what = dict.fromkeys(certain, Holds.IMAGES) | {leaf: holds(values) for leaf, values in seen.items()}
    images = [leaf for leaf in able if what[leaf] is Holds.IMAGES]
    unseen = [leaf for leaf in able if what[leaf] is Holds.UNSEEN]
    texts = _sampled(file, [leaf for leaf in leaves if leaf.text and (encoded or not (images or unseen))], SAMPLED_ROWS)
    seen |= texts
    in_base64 = [leaf.name for leaf in leaves if any(map(is_base64_image, seen.get(leaf, ())))]
    linked = [leaf.name for leaf in texts if any(map(is_url, seen[leaf]))]
    return _Found(able, images, unseen, in_base64, linked)


def _sampled(file: TableFile, leaves: Sequence[Leaf], rows: int = PROBED_ROWS) -> dict[Leaf, list[bytes | str]]:
    """The first values of each leaf: those of up to ``rows`` rows, until each leaf of a column has some."""
    seen: dict[Leaf, list[bytes | str]] = {leaf: [] for leaf in leaves}
    for column in dict.fromkeys(leaf.column for leaf in leaves):
        within = [leaf for leaf in leaves if leaf.column == column]
        passed = size = 0
        for group in file.groups[:PROBED_GROUPS]:
            if file.too_costly(group, column):
                continue
            try:
                for batch in file.batches(group, [column], SAMPLED_ROWS // 2):
                    values = batch.column(0)
                    for row in range(batch.num_rows):
                        for leaf in within:
                            seen[leaf] += _present(leaf, values[row])
                    passed, size = passed + batch.num_rows, size + batch.nbytes
                    if passed >= rows or size > PROBED_BYTES or all(len(seen[leaf]) >= SAMPLED_ROWS for leaf in within):
                        break
                else:
                    continue
                break
            except UNREADABLE:
                continue  # where it is read, it is told that it cannot be
    return seen


def _present(leaf: Leaf, scalar: Any) -> list[bytes | str]:
    try:
        return [value.data for value in islice(values_of(leaf, scalar), SAMPLED_ROWS) if value.data]
    except ValueError:  # text that is no UTF-8
        return []


def _no_images(file: TableFile, found: _Found) -> str:
    if found.encoded:
        return _encoded(found.encoded)
    if found.linked:
        what = f"no column holds image bytes, but {', '.join(map(repr, found.linked))} links"
        return f"{what} (download the images first, for example with img2dataset); there are {_names(file)}"
    return f"no column holds image bytes; there are {_names(file)}"


def _encoded(names: Sequence[str]) -> str:
    held = ", ".join(map(repr, names))
    return f"images in base64 are not read: decode {held} to bytes first, or choose other columns with --image-column"


def _names(file: TableFile) -> str:
    return ", ".join(file.schema.names) or "none"


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
