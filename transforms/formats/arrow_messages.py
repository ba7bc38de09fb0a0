"""What the messages of an Arrow file or stream say of sizes, read without pyarrow, which decompresses a record batch as a whole.

Messages are flatbuffers of ``Message.fbs`` and ``File.fbs``; those fields that are used are named here by number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from causalprint.transforms.formats.parquet_footer import Fetch

DICTIONARY, BATCH = 2, 3
"""Kinds of messages."""
_MARK = b"\xff\xff\xff\xff"
_LENGTH, _BUFFER = 8, 16
"""Bytes before a compressed buffer that say how many it becomes, and of what says where a buffer is."""


class Message(NamedTuple):
    """A message.

    Attributes:
        kind: what it is.
        rows: of a record batch.
        packed: bytes of its buffers in the file.
        sizes: of each compressed buffer, bytes in the file and bytes once decompressed.
        end: where the next message begins.
    """

    kind: int
    rows: int
    packed: int
    sizes: list[tuple[int, int]]
    end: int


def message_at(fetch: Fetch, at: int) -> Message | None:
    """The message at byte ``at``; ``None`` where there is none."""
    try:
        head = fetch(at, at + 8)
        start = at + 8 if head.startswith(_MARK) else at + 4  # as before Arrow 0.15
        (length,) = struct.unpack_from("<i", head, start - at - 4)
        if length <= 0:
            return None
        data = fetch(start, start + length)
        root = _target(data, 0)
        body, packed = start + length, _number(data, root, 3, "<q")
        kind, header = _number(data, root, 1, "<B"), _table(data, root, 2)
        batch = _table(data, header, 1) if kind == DICTIONARY and header else header
        if packed < 0:
            return None
        if batch is None or kind not in (DICTIONARY, BATCH):
            return Message(kind, 0, packed, [], body + packed)
        sizes = list(_sizes(fetch, data, batch, body)) if _field(data, batch, 3) else []
        return Message(kind, max(0, _number(data, batch, 0, "<q")), packed, sizes, body + packed)
    except struct.error:
        return None


def blocks_of(footer: bytes) -> tuple[list[int], list[int]]:
    """Where the messages of dictionaries and those of record batches begin, by a file's footer; none where it does not say."""
    try:
        root = _target(footer, 0)
        dictionaries, batches = (
            [struct.unpack_from("<q", footer, place)[0] for place in _vector(footer, root, number, 24)] for number in (2, 3)
        )
    except struct.error:
        return [], []
    return dictionaries, batches


def _sizes(fetch: Fetch, data: bytes, batch: int, body: int) -> Iterator[tuple[int, int]]:
    for place in _vector(data, batch, 2, _BUFFER):
        offset, packed = struct.unpack_from("<qq", data, place)
        if packed > _LENGTH:
            (size,) = struct.unpack("<q", fetch(body + offset, body + offset + _LENGTH))
            yield packed, packed if size == -1 else max(0, size)


def _vector(data: bytes, table: int, number: int, width: int) -> range:
    """Where the values of a vector are, each ``width`` bytes long."""
    field = _field(data, table, number)
    if field is None:
        return range(0)
    start = _target(data, field)
    (length,) = struct.unpack_from("<I", data, start)
    return range(start + 4, start + 4 + length * width, width)


def _table(data: bytes, table: int, number: int) -> int | None:
    field = _field(data, table, number)
    return None if field is None else _target(data, field)


def _number(data: bytes, table: int, number: int, form: str) -> int:
    field = _field(data, table, number)
    return 0 if field is None else int(struct.unpack_from(form, data, field)[0])


def _field(data: bytes, table: int, number: int) -> int | None:
    """Where a field of a table is; ``None`` where it has none."""
    (back,) = struct.unpack_from("<i", data, table)
    names, place = table - back, 4 + 2 * number
    if place >= struct.unpack_from("<H", data, names)[0]:
        return None
    (offset,) = struct.unpack_from("<H", data, names + place)
    return table + offset if offset else None


def _target(data: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])
