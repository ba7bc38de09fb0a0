"""What every format gives of a shard: images with what is known of them, rejects, members that are neither, and notes of damage.

Metadata are JSON text that strict readers take: no NaN, no infinities, no lone surrogates, no types of Python's own.
"""

from __future__ import annotations

import base64
import codecs
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, ShardDamageError, Skipped
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.faults import raise_foreign, unforeseen
from causalprint.transforms.images.kinds import TEXT_BYTES, image_format, is_sidecar_name, other_format
from causalprint.transforms.storage.storage import ShardSource

Item = EncodedImage | Reject | Skipped
Entry = TypeVar("Entry")
Metadata = TypeVar("Metadata")
MAX_NOTES = 3
MAX_BINARY = 256
MAX_NESTED = 4096
MAX_TEXT = 65_536
UNREAD_SIDECAR = "sidecar that could not be read"
"""What such a member is counted as."""
LARGE_SIDECAR = "sidecar that is too large"
"""What such a member is counted as."""
_MARKS = {  # those of UTF-32 first, since they begin with one of UTF-16
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    codecs.BOM_UTF8: "utf-8",
}


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

    @property
    def text(self) -> str | None:
        """What was noted; ``None`` where nothing was."""
        return "; ".join(self._notes) + (f"; and {self._more} more" if self._more else "") or None

    def raise_if_any(self) -> None:
        """Raises what was noted.

        Raises:
            ShardDamageError: anything was; not retryable.
        """
        if self.text:
            raise ShardDamageError(self.text)


def nothing_read(source: ShardSource, what: str, own: str, parts: str, error: object) -> ShardDamageError:
    """That a shard has no ``what``, and so none of its ``parts``; and what it is instead, where its first bytes tell.

    Args:
        source: the shard.
        what: what would say where everything is.
        own: how the name of its own format begins.
        parts: what it should hold.
        error: why.
    """
    if not source.size:
        return ShardDamageError(f"the shard is an empty file, so none of its {parts} can be read: {error}")
    head = source.fetch(0, min(source.size, TEXT_BYTES))
    found = image_format(head) or other_format(head)
    instead = f", which are {found}" if found and not found.startswith(own) else ""
    return ShardDamageError(f"no {what} can be read from {source.size} bytes{instead}, so none of its {parts} can: {error}")


def held_bytes(entry: object) -> int:
    """Everything that an item or a sidecar holds, about."""
    return sum(len(getattr(entry, name, None) or b"") for name in ("member", "data", "detail", "metadata"))


def bounded(entries: Iterable[Entry], stored: int, options: ReadOptions, damage: Damage) -> Iterator[Entry]:
    """``entries`` of a shard of ``stored`` bytes, as long as they do not become too many bytes: what comes then is damage."""
    most = left = options.most_from(stored)
    for entry in entries:
        left -= held_bytes(entry)
        if left < 0:
            damage.note(f"more than {most} bytes come out of {stored}; what follows was not read")
            return
        yield entry


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


def lost(member: str, offset: int, reason: Reason, detail: str) -> Reject | Skipped:
    """A member that cannot be read: a rejected image, unless its name says that it is a sidecar."""
    try:
        described = is_sidecar_name(member)
    except Exception as error:  # noqa: BLE001 - whatever a name makes it raise
        raise_foreign(error)
        described = False
    return Skipped(member, offset, UNREAD_SIDECAR) if described else Reject(member, offset, Stage.READ, reason, detail)


def unparsed(member: str, offset: int, error: Exception, damage: Damage) -> Reject | Skipped:
    """What becomes of a member at which reading failed in a way that nobody foresaw; the damage says so too.

    Raises:
        ShardDamageError, ImportError, MachineFaultError: it is not to blame.
    """
    why = unforeseen(error)
    damage.note(f"member {member!r} could not be read ({why})")
    return lost(member, offset, Reason.READER_ERROR, why)


def metadata_or_none(make: Callable[[], Metadata | None], member: str, damage: Damage) -> Metadata | None:
    """The metadata that ``make`` gives; none, and a note, where it fails in a way that nobody foresaw: that costs no image.

    Raises:
        ShardDamageError, ImportError, MachineFaultError: what they are made of is not to blame.
    """
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - as said
        damage.note(f"metadata of {member!r} could not be read ({unforeseen(error)})")
        return None


def too_large(size: int, options: ReadOptions) -> str:
    """Why an image of ``size`` bytes is refused."""
    return f"{size} bytes, more than {options.max_encoded_bytes}"


def sidecar_metadata(sidecars: list[tuple[str, bytes]]) -> str | None:
    """One JSON object from sidecars ``(key, data)``; ``None`` where there are none.

    The object in ``json`` is kept as it is written; of several, the first has the say. Every other sidecar becomes a key named
    by its suffix (``txt``, ``cls``, …) with its text, unless the object has that key. A ``json`` that holds no object, or is no
    JSON, or is nested too deep for a reader, is kept under ``json`` as text.
    """
    if not sidecars:
        return None
    merged: dict[str, object] = {}
    for name, data in sorted(sidecars, key=lambda each: each[0] != "json"):
        text = decoded(data)
        value, as_written = _read_json(text) if name.endswith("json") else (text, False)
        if name == "json" and isinstance(value, dict):
            if len(sidecars) == 1 and as_written:
                return text.strip()
            merged = value | merged if merged else value
        else:
            merged.setdefault(name, text if value is None else value)
    told = _strict_json(merged) or _strict_json(merged, replace=True)
    if told is None:
        texts = {name: decoded(data) for name, data in reversed(sidecars)}
        told = _strict_json(texts, replace=True)
    return told


def metadata_json(values: Mapping[str, object]) -> str | None:
    """One JSON object from a row's values, or ``None`` where none can be told.

    Numbers that are not finite become null; dates and times ISO 8601; durations seconds; decimals and other types text;
    bytes their text where they are UTF-8, else base64. Left out: bytes longer than 256, lists and structs whose JSON
    is longer than 4,096 characters, texts longer than 65,536.
    """
    told = {}
    for name, value in values.items():
        if isinstance(value, bytes | str) and len(value) > (MAX_TEXT if isinstance(value, str) else MAX_BINARY):
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


def decoded(data: bytes) -> str:
    """The text of a file, in UTF-8 or as its byte-order mark says; what it cannot be becomes U+FFFD."""
    mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
    return data[len(mark) :].decode(_MARKS.get(mark, "utf-8"), "replace")


def parsed_json(text: str) -> object | None:
    """What ``text`` holds, or ``None`` where it is no JSON."""
    return _read_json(text)[0]


def _read_json(text: str) -> tuple[object | None, bool]:
    """What ``text`` holds, numbers that are not finite as null, and whether strict readers take it as it is written.

    ``None`` where it is no JSON, or the literal ``null``.
    """
    try:
        value: object = json.loads(text)
        if _strict_json(value) is not None:
            return value, True
        return json.loads(text, parse_constant=_null, parse_float=_finite), False
    except (ValueError, RecursionError):
        return None, False


def _null(_: str) -> None:
    return None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _strict_json(value: object, *, replace: bool = False) -> str | None:
    """``value`` as compact JSON, or ``None`` where a strict reader would refuse it; lone surrogates as ``?`` to ``replace``."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "replace" if replace else "strict").decode()
    except (ValueError, TypeError, RecursionError):
        return None


def _text_of(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()
