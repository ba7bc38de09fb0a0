"""Arrow IPC files and streams, as ``datasets`` of Hugging Face keeps its tables; their columns are those of Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, pairwise
from typing import Any

import pyarrow as pa

from causalprint.schemas.config import MEBIBYTE, ReadOptions
from causalprint.schemas.elements import EncodedImage
from causalprint.transforms.formats.arrow_messages import DICTIONARY, Message, blocks_of, message_at
from causalprint.transforms.formats.columns import leaves_of
from causalprint.transforms.formats.image_columns import why_none
from causalprint.transforms.formats.items import Damage, Item, nothing_read
from causalprint.transforms.formats.parquet_file import MOST_ROWS, SUSPICIOUS, UNREADABLE, Group, why_unreadable
from causalprint.transforms.formats.table_rows import image_in, items_of
from causalprint.transforms.storage.lookup import InputError
from causalprint.transforms.storage.storage import RangeFile, ShardSource

SUFFIXES = (".arrow", ".feather")
FILE_MARK = b"ARROW1"
STREAM_MARK = b"\xff\xff\xff\xff"
MAX_SCHEMA = 16 * MEBIBYTE
MAX_BATCH = 256 * MEBIBYTE
FILE_HEAD, FILE_TAIL = 8, 10
"""Bytes of a file before its schema, and behind its footer."""
END_BYTES = 64
"""More than the end mark before the footer has, with what pads it; less than any record batch has."""


class ArrowFile:
    """An open file or stream: what :class:`~causalprint.transforms.formats.parquet_file.TableFile` is of Parquet.

    A record batch is a group, and is held as a whole.

    Attributes:
        stored: its bytes.
        schema: the columns.
        groups: its record batches, as far as they can be read, which is found out by reading them; or the first of them.
        damage: what is wrong, in one sentence; ``None`` where nothing is.
    """

    def __init__(self, stored: RangeFile, most: int | None = None) -> None:
        self.stored = stored
        self.damage: str | None = None
        self._buffered = buffered = _Bounded(stored, MEBIBYTE)  # else each length that is read would be a request
        self._source = pa.PythonFile(buffered, mode="r")
        self._is_file = buffered.read(len(FILE_MARK)) == FILE_MARK
        self._start, cut = 0, None
        try:
            self._reader = self._open()
        except UNREADABLE as error:
            stored.raise_failure()
            if not self._is_file:
                raise
            cut = f"no footer can be read ({error}), so the record batches were read in the order in which they come"
            self._is_file, self._start = False, FILE_HEAD
            self._reader = self._open()
        dictionaries, self._blocks = blocks_of(self._footer()) if self._is_file else ([], [])
        self._dictionaries = [message for at in dictionaries if (message := message_at(self._fetch, at))]
        buffered.passed = 0
        if self._is_file and not self._begins_alike():
            self.damage = "the schema at the beginning is not that of the footer"
        self._next = 0  # the batch of a stream that comes next
        self._held: tuple[int, pa.RecordBatch] | None = None
        self._refused: dict[int, tuple[str, int]] = {}  # why, and the byte behind
        self.schema: pa.Schema = self._reader.schema
        leaves_of(self.schema)  # raises where a name is no text
        self.groups = list(islice(self._listed(), most))
        if self.damage is None and most is None:
            self.damage = self._surplus(buffered) if self._is_file else self._end(buffered)
        if cut:
            self.damage = f"{cut}; {self.damage}" if self.damage else cut

    def batches(self, group: Group, columns: Sequence[str], most: int = MOST_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows of a group in order, at most so many together.

        Raises:
            pa.ArrowException, OSError, ValueError: they cannot be read.
            ShardDamageError: retryable; the store did not give them.
        """
        batch = self._batch(group.number).select(list(columns))
        for start in range(0, batch.num_rows, most):
            yield batch.slice(start, most)

    def begins_image(self, path: tuple[str | None, ...]) -> bool:
        """That is told by reading its first rows."""
        del path
        return False

    def too_costly(self, group: Group, column: str) -> str | None:
        """That of a record batch too costly is not, whatever its size: a batch is read as a whole."""
        del column
        return self._refused[group.number][0] if group.number in self._refused else None

    def _begins_alike(self) -> bool:
        """Whether a file begins with the schema of its footer, or with something else than a schema, as Polars has it."""
        self._source.seek(FILE_HEAD)
        try:
            begins: pa.Schema = pa.ipc.open_stream(self._source).schema
        except UNREADABLE:
            self.stored.raise_failure()
            return True
        return bool(begins.equals(self._reader.schema))

    def _footer(self) -> bytes:
        end = self.stored.size - FILE_TAIL
        return self._fetch(end - int.from_bytes(self._fetch(end, end + 4), "little"), end)

    def _fetch(self, start: int, end: int) -> bytes:
        """Bytes of the file, which leave the place at which it is read as it was."""
        place = self._buffered.tell()
        self._buffered.seek(max(0, start))
        data = self._buffered.read(max(0, end - start))
        self._buffered.seek(place)
        return data

    def _surplus(self, buffered: _Bounded) -> str | None:
        """What a file has between the record batches that its footer lists and the footer."""
        passed = max(buffered.passed, *(end for _, end in self._refused.values()), 0)
        footer = self.stored.size - FILE_TAIL - len(self._footer())
        return f"bytes {passed} to {footer} are in no record batch of the footer" if footer - passed > END_BYTES else None

    def _end(self, buffered: _Bounded) -> str | None:
        """What is wrong with the end of a stream."""
        end = buffered.tell()
        marked = self._fetch(self._start, self._start + len(STREAM_MARK)) == STREAM_MARK  # else as before Arrow 0.15
        mark = STREAM_MARK + bytes(4) if marked else bytes(4)  # zeros alone may be what pads a batch
        if self._fetch(end - len(mark), end) != mark:
            return f"no end mark: the stream ends at byte {self.stored.size} after {len(self.groups)} record batches"
        if end < self.stored.size:
            return f"an end mark at byte {end} of {self.stored.size}, after {len(self.groups)} record batches"
        return None

    def _listed(self) -> Iterator[Group]:
        number = first = 0
        while not self._is_file or number < self._reader.num_record_batches:
            try:
                rows = self._rows(number)
            except StopIteration:
                return
            except Exception as error:  # noqa: BLE001 - it costs this batch
                self.damage = self.damage or f"record batch {number} could not be read ({why_unreadable(error)})"
                if not self._is_file:
                    self.damage += ", nor what follows it"
                    return
            else:
                yield Group(number, first, rows)
                first += rows
            number += 1

    def _rows(self, number: int) -> int:
        """The rows of a record batch, which of a stream is the next; whether it is too costly is found out before it is read."""
        messages = self._messages(number)
        if why := _too_costly(messages, self.stored.size):
            if messages[-1].kind == DICTIONARY:
                raise ValueError(why)
            self._refused[number] = why, messages[-1].end
            if not self._is_file:
                self._pass()
            return messages[-1].rows
        return int(self._batch(number).num_rows)

    def _messages(self, number: int) -> list[Message]:
        """What is read with a record batch, which comes last: dictionaries; of a stream, up to the first that is too costly."""
        if self._is_file:
            last = message_at(self._fetch, self._blocks[number]) if number < len(self._blocks) else None
            return [*self._dictionaries, last] if last else []
        at, messages = self._buffered.tell(), list[Message]()
        while message := message_at(self._fetch, at):
            messages.append(message)
            at = message.end
            if message.kind != DICTIONARY or _too_costly(messages, self.stored.size):
                break
        return messages

    def _batch(self, number: int) -> pa.RecordBatch:
        """The record batch; of a stream, those before it are passed over."""
        if self._held is None or self._held[0] != number:
            self._held = None
            try:
                batch = self._read(number)
                batch.validate(full=True)
                if _overlaps(batch):
                    self.damage = self.damage or f"values of record batch {number} overlap, so it may hold others than it did"
            except Exception:
                self.stored.raise_failure()
                raise
            self._held = number, batch
        return self._held[1]

    def _read(self, number: int) -> pa.RecordBatch:
        if self._is_file:
            return self._reader.get_batch(number)
        if number < self._next:
            self._reader, self._next = self._open(), 0
        while self._next < number:
            self._pass()
        return self._pass()

    def _pass(self) -> pa.RecordBatch | None:
        """The record batch of a stream that comes next, which is passed over where it is too costly."""
        number, self._next = self._next, self._next + 1
        if number not in self._refused:
            return self._reader.read_next_batch()
        self._buffered.seek(self._refused[number][1])
        return None

    def _open(self) -> Any:
        self._source.seek(self._start)
        return pa.ipc.open_file(self._source) if self._is_file else pa.ipc.open_stream(self._source)


class _Bounded(io.BufferedReader):
    """Asks for no more bytes than there are, whatever length a damaged message claims.

    Attributes:
        passed: the byte behind the last one that was read.
    """

    passed = 0

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self.raw.size - self.tell())  # type: ignore[attr-defined]
        data = super().read(left if size is None or size < 0 else min(size, left))
        self.passed = max(self.passed, self.tell())
        return data


def _too_costly(messages: Sequence[Message], file_bytes: int) -> str | None:
    """Why messages are not read together, by what they say of sizes: buffers so much larger than in the file are of no images."""
    sizes = [each for message in messages for each in message.sizes]
    packed = min(file_bytes, sum(message.packed for message in messages))
    total = sum(size for _, size in sizes)
    if total <= SUSPICIOUS * packed:  # else buffers may share their bytes
        total = sum(size for packed, size in sizes if size > SUSPICIOUS * packed)
    return f"a record batch of {total} bytes, more than {MAX_BATCH}, in {packed} of the file" if total > MAX_BATCH else None


def _overlaps(batch: pa.RecordBatch) -> bool:
    """Whether values of a record batch share bytes, which no writer makes them do."""
    buffers = (buffer for column in batch.columns for buffer in column.buffers() if buffer is not None and buffer.size)
    return any(start + size > following for (start, size), (following, _) in pairwise(sorted(map(_place, buffers))))


def _place(buffer: pa.Buffer) -> tuple[int, int]:
    return buffer.address, buffer.size


def read(source: ShardSource, options: ReadOptions) -> Iterator[Item]:
    """Every row of the shard, in order, as of :func:`causalprint.transforms.formats.parquet.read`.

    Memory is bounded by a record batch, which writers cut as they like; one that is compressed as no images are, and becomes more
    than 256 MiB, is refused row by row before it is read.

    Raises:
        ShardDamageError: there is no schema, or no column of images, or a record batch could not be read, after everything
            else was given; or a stream has no end mark. Or the connection broke (retryable).
    """
    damage = Damage()
    with _open(source) as file:
        if file.damage:
            damage.note(file.damage)
        yield from items_of(file, source.columns, damage, options)
    damage.raise_if_any()


def read_one(source: ShardSource, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image ``member`` in row ``offset``."""
    with _open(source) as file:
        return image_in(file, member, offset, options)


def is_arrow(head: bytes) -> bool:
    """Whether ``head`` begins an Arrow IPC file or stream."""
    size = int.from_bytes(head[4:8], "little")
    return head.startswith(FILE_MARK + b"\0\0") or (head.startswith(STREAM_MARK) and 0 < size < MAX_SCHEMA and size % 8 == 0)


def why_no_images(stored: RangeFile, columns: Sequence[str]) -> str | None:
    """Why a whole file is no shard of images; as of :func:`causalprint.transforms.formats.parquet.why_no_images`."""
    try:
        file = ArrowFile(stored, most=1)
        if file.damage or not file.schema.names:  # reading tells
            return None
        return why_none(file, columns)
    except InputError:
        raise
    except UNREADABLE:
        stored.raise_failure()
        return None


@contextmanager
def _open(source: ShardSource) -> Iterator[ArrowFile]:
    stored = source.file()
    try:
        file = ArrowFile(stored)
    except UNREADABLE as error:
        stored.raise_failure()
        raise nothing_read(source, "schema", "Arrow", "rows", error) from error
    yield file
