"""What a Parquet file's footer and page headers say of sizes, read without pyarrow, which ends the process where they are broken.

A message of Thrift's compact protocol becomes a dict by field number; those used are of ``parquet.thrift``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

FOOTER_BYTES = 64 * 1024
MAX_FOOTER = 4 * 1024 * 1024
"""Longer footers are left to pyarrow alone."""
HEADER_BYTES = (1024, 64 * 1024)
"""Headers are short, but those with statistics hold two values."""
MAX_DEPTH = 20
_DICTIONARY, _DELTA_BYTE_ARRAY = (2, 8), 7

Fetch = Callable[[int, int], bytes]


class Chunk(NamedTuple):
    """A column within a row group.

    Attributes:
        path: the column of the table, and the fields within it.
        kind: the physical type's number.
        codec: the compression's number.
        values: nulls and those of lists among them.
        packed: bytes in the file.
        size: bytes once decompressed.
        offset: of its first page.
        dictionary: whether that is one of a dictionary, whose values may be repeated for nothing.
        prefixes: whether a value may repeat for nothing what the one before it begins with.
    """

    path: tuple[str, ...]
    kind: int
    codec: int
    values: int
    packed: int
    size: int
    offset: int
    dictionary: bool
    prefixes: bool = False

    @property
    def column(self) -> str:
        """The column of the table."""
        return self.path[0]


class Page(NamedTuple):
    """A page: bytes in the file, bytes once decompressed, and where the next one begins."""

    packed: int
    size: int
    end: int


def tail_of(fetch: Fetch, size: int) -> bytes:
    """The end of a file of ``size`` bytes, with all of its footer."""
    tail = fetch(max(0, size - FOOTER_BYTES), size)
    wanted = int.from_bytes(tail[-8:-4], "little") + 8
    return fetch(max(0, size - wanted), size) if len(tail) < wanted <= size else tail


def chunks_of(tail: bytes) -> list[list[Chunk]] | None:
    """The columns of each row group; ``None`` where the footer does not say."""
    length = int.from_bytes(tail[-8:-4], "little")
    if not 0 < length <= min(MAX_FOOTER, len(tail) - 8):
        return None
    try:
        footer, _ = _struct(tail[-8 - length : -8], 0, 0)
        return [[_chunk(chunk[3]) for chunk in group[1]] for group in footer[4]]
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def page_at(fetch: Fetch, offset: int) -> Page | None:
    """The page at ``offset``; ``None`` where there is none."""
    for most in HEADER_BYTES:
        try:
            header, length = _struct(fetch(offset, offset + most), 0, 0)
            size, packed = int(header[2]), int(header[3])
        except (KeyError, IndexError, TypeError, ValueError):
            continue
        return Page(packed, size, offset + length + packed) if packed >= 0 and size >= 0 else None
    return None


def _chunk(told: dict[int, Any]) -> Chunk:
    first = told.get(11) or told[9]
    values, packed, size = (int(told[number]) for number in (5, 7, 6))
    if min(values, packed, size) < 0:
        raise ValueError((values, packed, size))
    path = tuple(bytes(name).decode() for name in told[3])
    encodings = set(told[2])
    dictionary = bool(told.get(11)) or not encodings.isdisjoint(_DICTIONARY)  # not all writers say where it is
    start = int(min(first, told[9]))
    return Chunk(path, int(told[1]), int(told[4]), values, packed, size, start, dictionary, _DELTA_BYTE_ARRAY in encodings)


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    if depth > MAX_DEPTH:
        raise ValueError(depth)
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at)
        fields[number], at = _value(head & 15, data, at, depth)
    return fields, at + 1


def _value(kind: int, data: bytes, at: int, depth: int) -> tuple[Any, int]:  # noqa: PLR0911 - a line a type
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _integer(data, at)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = _varint(data, at)
        if at + length > len(data):
            raise ValueError(length)
        return data[at : at + length], at + length
    if kind in (9, 10):
        return _list(data, at, depth)
    if kind == 12:
        return _struct(data, at, depth + 1)
    raise ValueError(kind)


def _list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    head, at = data[at], at + 1
    length = head >> 4
    if length == 15:
        length, at = _varint(data, at)
    if length > len(data):
        raise ValueError(length)
    values = []
    for _ in range(length):
        kind = head & 15
        value, at = (data[at] == 1, at + 1) if kind in (1, 2) else _value(kind, data, at, depth + 1)
        values.append(value)
    return values, at


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError(value)
