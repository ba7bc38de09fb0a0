"""Frozen dataclasses from parsed JSON, checked: the boundary behind which no dict travels."""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from typing import TypeVar

RecordT = TypeVar("RecordT")


def from_json(kind: type[RecordT], data: object, where: str = "") -> RecordT:
    """The value of dataclass ``kind`` that ``data`` (from ``json.loads``) describes.

    Raises:
        ValueError: a key is missing or unknown, or a value has another type; the message says where.
    """
    value: RecordT = _convert(kind, data, where)
    return value


def _convert(kind: typing.Any, data: object, where: str) -> typing.Any:
    if is_dataclass(kind):
        return _record(kind, data, where)
    if typing.get_origin(kind) is tuple:
        if not isinstance(data, list):
            raise ValueError(f"{where or 'the document'} must be a list, not {data!r}")
        inner = typing.get_args(kind)[0]
        return tuple(_convert(inner, item, f"{where}[{index}]") for index, item in enumerate(data))
    if typing.get_origin(kind) is types.UnionType:
        return None if data is None else _convert(typing.get_args(kind)[0], data, where)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise ValueError(f"{where} must be {kind.__name__}, not {data!r}")
    return data


def _record(kind: typing.Any, data: object, where: str) -> object:
    if not isinstance(data, dict):
        raise ValueError(f"{where or 'the document'} must be an object, not {data!r}")  # noqa: TRY004 - the JSON type is the value's
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    prefix = f"{where}." if where else ""
    if unknown := data.keys() - known.keys():
        raise ValueError(f"{prefix}{min(unknown)} is unknown; {kind.__name__} has {', '.join(known)}")
    for name, field in known.items():
        if name not in data and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{prefix}{name} is missing")
    return kind(**{name: _convert(hints[name], value, f"{prefix}{name}") for name, value in data.items()})
