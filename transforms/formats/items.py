"""What every format gives of a shard: images with what is known of them, rejects, members that are neither, and notes of damage.

Metadata are JSON text that strict readers take: no NaN, no infinities, no lone surrogates, no types of Python's own.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, ShardDamageError, Skipped
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.images.kinds import sample_key

Item = EncodedImage | Reject | Skipped

MAX_NOTES = 3
MAX_BINARY = 256
MAX_NESTED = 4096


class Damage:
    """What is found wrong with a shard while reading goes on: a few notes, then a count, raised together at the end."""

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._more = 0

    def note(self, text: str) -> None:
        """Adds one finding: what is missing, with the byte offset."""
        if len(self._notes) < MAX_NOTES:
            self._notes.append(text)
        else:
            self._more += 1

    def raise_if_any(self) -> None:
        """Raises what was noted.

        Raises:
            ShardDamageError: anything was; not retryable.
        """
        if self._notes:
            more = f"; and {self._more} more" if self._more else ""
            raise ShardDamageError("; ".join(self._notes) + more)


def checked_image(
    member: str, offset: int, data: bytes | None, metadata: str | None, options: ReadOptions
) -> EncodedImage | Reject:
    """The image, or its reject, which every format gives alike: ``no-bytes``, ``empty`` or ``too-large``."""
    if data is None:
        return Reject(member, offset, Stage.READ, Reason.NO_BYTES, "null in place of bytes", metadata=metadata)
    if not data:
        return Reject(member, offset, Stage.READ, Reason.EMPTY, "0 bytes", metadata=metadata)
    if len(data) > options.max_encoded_bytes:
        detail = too_large(len(data), options)
        return Reject(member, offset, Stage.READ, Reason.TOO_LARGE, detail, metadata=metadata)
    return EncodedImage(member, offset, data, metadata)


def too_large(size: int, options: ReadOptions) -> str:
    """Why an image of ``size`` bytes is refused."""
    return f"{size} bytes, more than {options.max_encoded_bytes}"


class Sidecar(NamedTuple):
    """A member that describes the images of its sample."""

    member: str
    offset: int
    data: bytes


def group_samples(entries: Iterable[Item | Sidecar], options: ReadOptions) -> Iterator[Item]:
    """Images and rejects in order, each with the metadata of its sample; sidecars of no image become skipped members.

    An image waits until its sample ends, so a sample's images are held together, up to ``options.max_sample_bytes``;
    beyond that they go on with the sidecars met so far. An entry without a name (hidden by damage) joins no sample and ends none.
    """
    sample = _Sample("", options)
    for entry in entries:
        if isinstance(entry, Skipped):
            yield entry
            continue
        key = sample_key(entry.member)[0] if entry.member else sample.key
        if key != sample.key:
            yield from sample.close()
            sample = _Sample(key, options)
        yield from sample.add(entry)
    yield from sample.close()


class _Sample:
    def __init__(self, key: str, options: ReadOptions) -> None:
        self.key = key
        self._options = options
        self._waiting: list[EncodedImage | Reject] = []
        self._waiting_bytes = 0
        self._sidecars: list[Sidecar] = []
        self._sidecar_bytes = 0
        self._described = False

    def add(self, entry: EncodedImage | Reject | Sidecar) -> Iterator[Item]:
        if isinstance(entry, Sidecar):
            self._sidecar_bytes += len(entry.data)
            if self._sidecar_bytes > self._options.max_sidecar_bytes:
                yield Skipped(entry.member, entry.offset)
            else:
                self._sidecars.append(entry)
            return
        held = len(entry.data) if isinstance(entry, EncodedImage) else 1024
        if self._waiting and self._waiting_bytes + held > self._options.max_sample_bytes:
            yield from self._flush()
        self._waiting.append(entry)
        self._waiting_bytes += held

    def close(self) -> Iterator[Item]:
        """The sample's items; its sidecars too where there was no image for them."""
        yield from self._flush()
        if not self._described:
            yield from (Skipped(sidecar.member, sidecar.offset) for sidecar in self._sidecars)

    def _flush(self) -> Iterator[Item]:
        metadata = sidecar_metadata([(sample_key(each.member)[1], each.data) for each in self._sidecars])
        for item in self._waiting:
            self._described |= bool(item.member)
            yield item._replace(metadata=metadata) if item.member else item
        self._waiting, self._waiting_bytes = [], 0


def sidecar_metadata(sidecars: list[tuple[str, bytes]]) -> str | None:
    """One JSON object from sidecars ``(suffix, data)``; ``None`` where there are none.

    The object in ``.json`` is kept as it is written. Every other sidecar becomes a key named by its suffix (``txt``, ``cls``, …)
    with its text, unless the object has that key. A ``.json`` that holds no object, or is no JSON, is kept under ``json``.
    """
    if not sidecars:
        return None
    merged: dict[str, object] = {}
    for name, data in sorted(sidecars, key=lambda each: each[0] != "json"):
        text = data.decode("utf-8-sig", "replace")
        value = _parse_json(text) if name.endswith("json") else text
        if name == "json" and isinstance(value, dict):
            if len(sidecars) == 1 and _strict_json(value) is not None:
                return text.strip()
            merged = value
        else:
            merged.setdefault(name, text if value is None else value)
    return _strict_json(merged) or _strict_json(json_safe(merged))


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
        if isinstance(safe, dict | list) and len(_strict_json(safe) or "") > MAX_NESTED:
            continue
        told[name] = safe
    return _strict_json(json_safe(told)) if told else None


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


def _parse_json(text: str) -> object | None:
    """What ``text`` holds, or ``None`` where it is no JSON (or the literal ``null``)."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _strict_json(value: object) -> str | None:
    """``value`` as compact JSON, or ``None`` where a strict reader would refuse it."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (ValueError, TypeError, RecursionError):
        return None
    return text


def _text_of(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()
