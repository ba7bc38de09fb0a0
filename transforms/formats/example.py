"""``tf.train.Example`` and ``SequenceExample`` without TensorFlow, as their ``example.proto`` and ``feature.proto`` define them.

Read by hand since a record may hold 260 million numbers, of which parsers make gigabytes: long lists of numbers are stepped
over, and the parts are counted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

Features = dict[str, list[bytes] | list[float] | list[int]]

MAX_FIELDS = 500_000
MAX_NUMBER_BYTES = 20 * 1024
"""Longer lists of numbers are no metadata: their JSON would have more than 4,096 characters."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FEATURES, _FEATURE_LISTS = 1, 2
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


class ExampleError(ValueError):
    """The bytes are no example; the message says why."""


class TooManyFieldsError(ExampleError):
    """The bytes may be an example, but have more parts than are read."""


def parse_example(data: bytes) -> Features:
    """The features of one serialised example, ordered by name; those of a sequence have the values of all its steps.

    A list of numbers whose encoding is longer than 20 KiB has no values here.

    Raises:
        ExampleError: it is none, or has more than 500,000 parts.
    """
    features: Features = {}
    left = iter(range(MAX_FIELDS))
    for number, message in _messages(memoryview(data), left):
        for _, entry in _messages(message, left, 1):
            parts = dict(_messages(entry, left))
            name, value = _text(parts.get(1, memoryview(b""))), parts.get(2, memoryview(b""))
            if number == _FEATURES:
                features[name] = _values(value, left)
            elif number == _FEATURE_LISTS:
                steps = [_values(feature, left) for _, feature in _messages(value, left, 1)]
                features[name] = [value for step in steps for value in step]  # type: ignore[assignment]  # of one kind each
    return dict(sorted(features.items()))


def _values(feature: memoryview, left: Iterator[int]) -> list[bytes] | list[float] | list[int]:
    values: list[bytes] | list[float] | list[int] = []
    for kind, listed in _messages(feature, left):
        if kind == _BYTES_LIST:
            values = [bytes(text) for _, text in _messages(listed, left, 1)]
        elif len(listed) > MAX_NUMBER_BYTES:
            values = []
        elif kind == _FLOAT_LIST:
            values = _floats(listed, left)
        elif kind == _INT64_LIST:
            values = _integers(listed, left)
    return values


def _floats(listed: memoryview, left: Iterator[int]) -> list[float]:
    floats: list[float] = []
    for number, wire, value in _fields(listed, left):
        if number == 1 and wire == _BYTES and isinstance(value, memoryview):
            floats += struct.unpack(f"<{len(value) // 4}f", value[: len(value) // 4 * 4])
        elif number == 1 and wire == _FIXED32 and isinstance(value, memoryview):
            floats += struct.unpack("<f", value)
    return floats


def _integers(listed: memoryview, left: Iterator[int]) -> list[int]:
    integers = []
    for number, wire, value in _fields(listed, left):
        if number != 1:
            continue
        if wire == _VARINT and isinstance(value, int):
            integers.append(_signed(value))
        elif wire == _BYTES and isinstance(value, memoryview):
            at = 0
            while at < len(value):
                integer, at = _varint(value, at)
                integers.append(_signed(integer))
    return integers


def _messages(data: memoryview, left: Iterator[int], only: int | None = None) -> Iterator[tuple[int, memoryview]]:
    """The fields of bytes in a message, by their number."""
    for number, wire, value in _fields(data, left):
        if wire == _BYTES and isinstance(value, memoryview) and only in (None, number):
            yield number, value


def _fields(data: memoryview, left: Iterator[int]) -> Iterator[tuple[int, int, memoryview | int]]:
    """The fields of a message in order: number, wire type, value; takes one of ``left`` for each."""
    at = 0
    while at < len(data):
        if next(left, None) is None:
            raise TooManyFieldsError(f"more than {MAX_FIELDS} parts")
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ExampleError(f"a field of wire type {wire}")
        if not number or at + length > len(data):
            raise ExampleError("a field goes beyond its message" if number else "a field of number 0")
        yield number, wire, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + place + 1
    raise ExampleError("a number without an end")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _text(data: memoryview) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError as error:
        raise ExampleError("a feature's name is no UTF-8") from error
