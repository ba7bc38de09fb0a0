"""Files that vouch for themselves: a seal in the footer holds the digest of the footer, and of all bytes before it.

What is believed of a file without reading it whole, its footer, is checked whenever it is believed; the rest can be.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import Field, replace
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from causalprint.schemas.elements import digest
from causalprint.schemas.records import from_json, to_json

SEAL = "causalprint_seal"
"""The key of the seal in a file's footer."""

BLANK = f"{0:064x} {0:064x} {0:020}"
"""The seal while the file is written: digest of the footer (with this part blank), digest and length of the bytes before it."""

_ENDING = 8  # bytes after the footer: its length and PAR1
_PLACE = re.compile(SEAL.encode() + rb"\x18\x96\x01(?P<own>[0-9a-f]{64}) (?P<body>[0-9a-f]{64}) (?P<length>[0-9]{20})")


class _Sealed(Protocol):
    """A frozen dataclass that holds a digest of itself."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def digest(self) -> str: ...


SealedT = TypeVar("SealedT", bound=_Sealed)


class SealError(ValueError):
    """The file is not as it was written."""


class Seal(NamedTuple):
    """What a sealed file says of itself.

    Attributes:
        digest: SHA-256 of its footer, lower-case hex, and so of all that the footer tells, ``body`` too.
        body: SHA-256 of the bytes before the footer.
        size: of the file, in bytes.
    """

    digest: str
    body: str
    size: int


def seal(data: bytes | memoryview) -> bytes:
    """``data``, a Parquet file whose footer has :data:`BLANK` below :data:`SEAL`, sealed."""
    cut = len(data) - _footer_length(data)
    body, footer = memoryview(data)[:cut], bytes(data[cut:])
    place = _PLACE.search(footer)
    if place is None:
        raise SealError("the footer has no place for a seal")
    footer = _filled(footer, place.start("body"), f"{hashlib.sha256(body).hexdigest()} {cut:020}")
    return b"".join((body, _filled(footer, place.start("own"), hashlib.sha256(footer).hexdigest())))


def read_seal(tail: bytes) -> Seal:
    """The seal of a file that ends with ``tail``, which holds all of the footer.

    Raises:
        SealError: the footer has none, or is not as it was written.
    """
    footer = tail[len(tail) - _footer_length(tail) :]
    places = list(_PLACE.finditer(footer))
    if len(places) != 1:
        raise SealError("its seal is gone")
    place = places[0]
    own = place["own"].decode()
    if hashlib.sha256(_filled(footer, place.start("own"), BLANK[:64])).hexdigest() != own:
        raise SealError("its footer is not what was written")
    return Seal(own, place["body"].decode(), int(place["length"]) + len(footer))


def check_body(data: bytes, found: Seal) -> None:
    """Compares all bytes before the footer with the seal.

    Raises:
        SealError: they are not what was written.
    """
    if len(data) != found.size or hashlib.sha256(data[: len(data) - _footer_length(data)]).hexdigest() != found.body:
        raise SealError("its bytes are not what was written")


def footer_is_whole(tail: bytes) -> bool:
    """Whether the footer lies in ``tail``, the end of a Parquet file; also where this is none."""
    return not tail.endswith(b"PAR1") or _footer_length(tail) <= len(tail)


def _footer_length(tail: bytes | memoryview) -> int:
    """Bytes of the footer with what follows it."""
    return int.from_bytes(tail[-_ENDING:-4], "little") + _ENDING


def _filled(footer: bytes, start: int, text: str) -> bytes:
    return footer[:start] + text.encode() + footer[start + len(text) :]


def sealed(record: SealedT) -> SealedT:
    """``record`` with the digest of all else that it says."""
    return replace(record, digest=digest(to_json(replace(record, digest=""))))


def from_sealed(kind: type[SealedT], data: bytes, where: str) -> SealedT:
    """The record that :func:`sealed` made and ``data`` holds as JSON; those of the first versions have no digest.

    What is digested is what stands there, so that a record of a version that wrote fewer fields is whole, too.

    Raises:
        SealError: it is not as it was written.
        ValueError: it is no JSON, or not of that kind.
    """
    record = from_json(kind, data, where)
    if record.digest and record.digest != digest(json.dumps(json.loads(data) | {"digest": ""}, ensure_ascii=False)):
        raise SealError(f"{where} is not what was written: its digest is another")
    return record
