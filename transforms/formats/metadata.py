"""Metadata as JSON text that strict readers take: no NaN, no infinities, no lone surrogates, no types of Python's own."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

MAX_BINARY = 256
MAX_NESTED = 4096


def parse_json(text: str) -> object | None:
    """What ``text`` holds, or ``None`` where it is no JSON (or the literal ``null``)."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def strict_json(value: object) -> str | None:
    """``value`` as compact JSON, or ``None`` where a strict reader would refuse it."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (ValueError, TypeError, RecursionError):
        return None
    return text


def metadata_json(values: Mapping[str, object]) -> str | None:
    """One JSON object from a row's values, or ``None`` where none can be told.

    Numbers that are not finite become null; dates and times ISO 8601; durations seconds; decimals and other types text;
    bytes their text where they are UTF-8, else base64. Left out: bytes longer than 256, lists and structs whose JSON
    is longer than 4,096 characters.
    """
    told = {}
    for name, value in values.items():
        if isinstance(value, bytes) and len(value) > MAX_BINARY:
            continue
        safe = json_safe(value)
        if isinstance(safe, dict | list) and len(strict_json(safe) or "") > MAX_NESTED:
            continue
        told[name] = safe
    return strict_json(json_safe(told)) if told else None


def json_safe(value: object) -> object:  # noqa: PLR0911 - a line a type
    """``value`` in JSON's own types; see :func:`metadata_json`."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, bytes):
        return _text_of(value)
    if isinstance(value, Mapping):
        return {str(json_safe(str(key))): json_safe(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [json_safe(each) for each in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else str(value)


def _text_of(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()
