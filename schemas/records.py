"""Frozen dataclasses and NamedTuples to JSON and back, and from YAML, checked: the boundary behind which no dict travels."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, NamedTuple, TypeVar

from causalprint.schemas.names import well_formed

RecordT = TypeVar("RecordT")

SECRET = types.MappingProxyType({"secret": True})
"""Metadata of a dataclass's field that is never written."""


def to_json(record: object, *, indent: int | None = None) -> str:
    """JSON text of a dataclass or NamedTuple, nested ones included: the same text for the same value, in any process."""
    return json.dumps(_plain(record), indent=indent, ensure_ascii=False, allow_nan=False)


def from_json(kind: type[RecordT], text: str | bytes, where: str = "the document") -> RecordT:
    """The value of ``kind`` that ``text`` describes: what :func:`to_json` was given; as of :func:`from_data`.

    Raises:
        ValueError: no JSON, or not of that kind. The message says where.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where} is no JSON: {error}") from error
    return from_data(kind, data, where)


def from_data(kind: type[RecordT], data: object, where: str = "the document") -> RecordT:
    """The value of ``kind`` that ``data`` describes, as JSON or YAML give it: dicts, lists, texts and numbers.

    Args:
        kind: a dataclass or NamedTuple whose fields are str, int, float, bool, a ``Literal`` of texts, such records,
            ``X | None``, ``X | Y`` of records, ``tuple[X, ...]`` or ``tuple[X, Y]``. A whole number serves as a float. Of several
            records it is the first that has all keys.
        data: what was read.
        where: what to call the document in errors: a file name.

    Raises:
        ValueError: a key is missing or unknown, or a value has another type. The message says where.
    """
    value: RecordT = _convert(kind, data, _Place(where))
    return value


class _Place(NamedTuple):
    """Where in a document a value is: the document's name and the keys down to the value."""

    document: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.document}: {self.path}" if self.path else self.document

    def key(self, name: str) -> _Place:
        return self._replace(path=f"{self.path}.{name}" if self.path else name)

    def item(self, index: int) -> _Place:
        return self._replace(path=f"{self.path}[{index}]")


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        written = (field for field in fields(value) if not field.metadata.get("secret"))
        return {field.name: _plain(getattr(value, field.name)) for field in written}
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        items = [_plain(item) for item in value]
        return items if names is None else dict(zip(names, items, strict=True))
    return well_formed(value) if isinstance(value, str) else value


_WORDS = {dict: "a mapping", list: "a list", str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def _convert(kind: Any, data: object, place: _Place) -> Any:
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        return _record(kind, data, place)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        items = typing.cast("list[object]", _expect(list, data, place))
        kinds = inner[:1] * len(items) if inner[-1] is ... else inner
        if len(items) != len(kinds):
            raise ValueError(f"{place} must have {len(kinds)} values, not {data!r}")
        return tuple(_convert(*pair, place.item(index)) for index, pair in enumerate(zip(kinds, items, strict=True)))
    if origin is types.UnionType:
        return None if data is None else _convert(_fitting(inner, data), data, place)
    if origin is typing.Literal:
        if data not in inner:
            raise ValueError(f"{place} {data!r} is none of {', '.join(inner)}")
        return data
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    return _expect(kind, data, place)


def _fitting(kinds: tuple[Any, ...], data: object) -> Any:
    """Of several kinds the first that knows every key of ``data``; else the first."""
    keys = set(data) if isinstance(data, dict) else set()
    records = (kind for kind in kinds if is_dataclass(kind) or hasattr(kind, "_fields"))
    return next((kind for kind in records if keys <= _fields_of(kind)[0].keys()), kinds[0])


def _record(kind: Any, data: object, place: _Place) -> object:
    values = typing.cast("dict[str, object]", _expect(dict, data, place))
    hints, optional = _fields_of(kind)
    if unknown := sorted(map(str, values.keys() - hints.keys())):
        raise ValueError(f"{place}: {unknown[0]!r} is unknown; {kind.__name__} has {', '.join(hints)}")
    if missing := sorted(hints.keys() - optional - values.keys()):
        raise ValueError(f"{place}: {missing[0]!r} is missing")
    return kind(**{name: _convert(hints[name], value, place.key(name)) for name, value in values.items()})


@cache
def _fields_of(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """The types of a record's fields by name, and which of them may be left out."""
    if is_dataclass(kind):
        told = (field for field in fields(kind) if field.default is not MISSING or field.default_factory is not MISSING)
        return typing.get_type_hints(kind), frozenset(field.name for field in told)
    return typing.get_type_hints(kind), frozenset(kind._field_defaults)


def _expect(kind: type, data: object, place: _Place) -> object:
    if not isinstance(data, kind) or (kind is not bool and isinstance(data, bool)):
        raise ValueError(f"{place} must be {_WORDS[kind]}, not {data!r}")
    return data
