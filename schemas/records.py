"""Frozen dataclasses and NamedTuples to JSON and back, checked: the boundary behind which no dict travels."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

RecordT = TypeVar("RecordT")


def to_json(record: object, *, indent: int | None = None) -> str:
    """JSON text of a dataclass or NamedTuple, nested ones included: the same text for the same value, in any process."""
    return json.dumps(_plain(record), indent=indent, ensure_ascii=False, allow_nan=False)


def from_json(kind: type[RecordT], text: str | bytes, where: str = "") -> RecordT:
    """The value of ``kind`` that ``text`` describes: what :func:`to_json` was given.

    Args:
        kind: a dataclass or NamedTuple whose fields are str, int, float, bool, such records, ``X | None`` or ``tuple[X, ...]``.
        text: JSON.
        where: what to call the document in errors: a file name.

    Raises:
        ValueError: no JSON; a key is missing or unknown; a value has another type. The message says where.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where or 'the document'} is no JSON: {error}") from error
    value: RecordT = _convert(kind, data, where)
    return value


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        items = [_plain(item) for item in value]
        return items if names is None else dict(zip(names, items, strict=True))
    return value


def _convert(kind: Any, data: object, where: str) -> Any:
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        return _record(kind, data, where)
    if typing.get_origin(kind) is tuple:
        _expect(list, data, where)
        inner = typing.get_args(kind)[0]
        return tuple(_convert(inner, item, f"{where}[{index}]") for index, item in enumerate(typing.cast("list[object]", data)))
    if typing.get_origin(kind) is typing.Literal:
        if data not in typing.get_args(kind):
            raise ValueError(f"{where} {data!r} is none of {', '.join(typing.get_args(kind))}")
        return data
    if typing.get_origin(kind) is types.UnionType:
        return None if data is None else _convert(typing.get_args(kind)[0], data, where)
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    return _expect(kind, data, where)


def _record(kind: Any, data: object, where: str) -> object:
    found = typing.cast("dict[str, object]", _expect(dict, data, where))
    hints = typing.get_type_hints(kind)
    if is_dataclass(kind):
        optional = {field.name for field in fields(kind) if field.default is not MISSING or field.default_factory is not MISSING}
    else:
        optional = set(kind._field_defaults)
    if unknown := sorted(found.keys() - hints.keys()):
        raise ValueError(f"{where or 'the document'}: {unknown[0]!r} is unknown; {kind.__name__} has {', '.join(hints)}")
    if missing := sorted(hints.keys() - optional - found.keys()):
        raise ValueError(f"{where or 'the document'}: {missing[0]!r} is missing")
    return kind(**{name: _convert(hints[name], value, f"{where}.{name}".lstrip(".")) for name, value in found.items()})


def _expect(kind: type, data: object, where: str) -> object:
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise ValueError(f"{where or 'the document'} must be {kind.__name__}, not {data!r}")
    return data
