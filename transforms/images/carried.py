"""What an image file carries beside its pixels: its EXIF block, its XMP packet, its texts; each found by its format, and bounded.

Nothing is decoded but deflated texts of PNG, up to a bound, and nothing raises for what a file holds.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from causalprint.transforms.images.headers import MAX_PNG_CHUNKS, MAX_WEBP_CHUNKS, PNG_START
from causalprint.transforms.images.jpeg import LONE, MAX_SEGMENTS
from causalprint.transforms.images.kinds import image_format

MAX_EXIF = 65_536
"""Bytes of an EXIF block that are read, as long as JPEG allows; of a TIFF file, which is one, all may be pointed at."""
MAX_XMP = 1_048_576
MAX_TEXT = 262_144
"""Bytes of one text of a PNG file, inflated, that are read; a graph of ComfyUI has some ten thousand."""
TEXTS = frozenset(
    b"parameters prompt workflow generation_data invokeai_metadata sd-metadata Dream Software Source Description AIGC".split()
) | {b"XML:com.adobe.xmp"}
"""Keywords of PNG that front ends of diffusion models write; others are passed over."""
_XMP_KEYWORD = "XML:com.adobe.xmp"
_EXIF_START, _XMP_START = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_PACKET_START, _PACKET_END = b"<x:xmpmeta", b"</x:xmpmeta>"
_FILL = re.compile(rb"\xff+")
_TIFF_START = re.compile(rb"II\*\0|MM\0\*")
_BMFF_PROBES = 4
_APP1 = 0xE1
_LAST = frozenset((0xD9, 0xDA))  # the end, and the first scan


class Carried(NamedTuple):
    """What a file carries.

    Attributes:
        exif: a TIFF structure (CIPA DC-008); empty where there is none.
        xmp: an XMP packet (ISO 16684-1) as XML; empty where there is none.
        texts: of PNG, by their keywords, as far as these are in :data:`TEXTS`; the first of each.
    """

    exif: bytes = b""
    xmp: bytes = b""
    texts: dict[str, str] = {}  # noqa: RUF012 - never changed


def carried_by(data: bytes) -> Carried:
    """What an encoded image carries beside its pixels; of a file that is broken, what was found before that."""
    readers = {"JPEG": _of_jpeg, "PNG": _of_png, "WEBP": _of_webp, "TIFF": _of_tiff, "AVIF": _of_avif}
    return readers.get(image_format(data[:256]) or "", _of_any)(data)


def may_hold_manifest(data: bytes) -> bool:
    """Whether the marks of a C2PA manifest store (a JUMBF box labelled ``c2pa``) are among the bytes.

    By chance they are in one of many million files; then its reader says that there is none.
    """
    return b"jumb" in data and b"c2pa" in data


def _of_jpeg(data: bytes) -> Carried:
    exif = xmp = b""
    at = 2
    for _ in range(MAX_SEGMENTS):
        fill = _FILL.search(data, at)
        if fill is None or fill.end() >= len(data):
            break
        at = fill.end()
        marker = data[at]
        if marker in _LAST:
            break
        if marker in LONE:
            at += 1
            continue
        end = at + 1 + max(2, int.from_bytes(data[at + 1 : at + 3], "big"))
        if marker == _APP1:
            body = data[at + 3 : end]
            if body.startswith(_EXIF_START):
                exif = exif or body[len(_EXIF_START) :]
            elif body.startswith(_XMP_START):
                xmp = xmp or body[len(_XMP_START) :]
        at = end
    return Carried(exif, xmp)


def _of_png(data: bytes) -> Carried:
    exif = b""
    texts: dict[str, str] = {}
    at = PNG_START
    for _ in range(MAX_PNG_CHUNKS):
        name, end = data[at + 4 : at + 8], at + 8 + int.from_bytes(data[at : at + 4], "big")
        if len(name) < 4 or name == b"IEND":
            break
        if name == b"eXIf":
            exif = exif or data[at + 8 : min(end, at + 8 + MAX_EXIF)].removeprefix(_EXIF_START)
        elif name in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, zero, body = data[at + 8 : min(end, at + 128 + MAX_TEXT)].partition(b"\0")
            if zero and keyword in TEXTS and keyword.decode() not in texts:
                texts[keyword.decode()] = _png_text(name, body)
        at = end + 4
    xmp = texts.pop(_XMP_KEYWORD, "").encode()
    return Carried(exif, xmp, texts)


def _png_text(name: bytes, body: bytes) -> str:
    """The text of a chunk, from behind its keyword (PNG, third edition, section 11.3.3); empty where it is broken."""
    if name == b"tEXt":
        return body[:MAX_TEXT].decode("latin-1")
    if name == b"zTXt":
        return _inflated(body[1:]).decode("latin-1")
    packed, rest = body[:1] == b"\1", body[2:].split(b"\0", 2)
    text = rest[-1] if len(rest) == 3 else b""
    return (_inflated(text) if packed else text[:MAX_TEXT]).decode("utf-8", "replace")


def _inflated(packed: bytes) -> bytes:
    with suppress(zlib.error):
        return zlib.decompressobj().decompress(packed, MAX_TEXT)
    return b""


def _of_webp(data: bytes) -> Carried:
    exif = xmp = b""
    at = 12
    for _ in range(MAX_WEBP_CHUNKS):
        if at + 8 > len(data):
            break
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"EXIF":
            exif = exif or data[at + 8 : at + 8 + min(size, MAX_EXIF)].removeprefix(_EXIF_START)
        elif name == b"XMP ":
            xmp = xmp or data[at + 8 : at + 8 + min(size, MAX_XMP)]
        at += 8 + size + size % 2
    return Carried(exif, xmp)


def _of_tiff(data: bytes) -> Carried:
    return Carried(data, _packet(data))


def _of_avif(data: bytes) -> Carried:
    """Items of ISO/IEC 14496-12 are stored as they are: a packet is found by its own marks, a block by those of TIFF."""
    blocks: Iterator[re.Match[bytes]] = _TIFF_START.finditer(data)
    for _, found in zip(range(_BMFF_PROBES), blocks, strict=False):
        block = data[found.start() : found.start() + MAX_EXIF]
        start = int.from_bytes(block[4:8], "little" if block[:1] == b"I" else "big")
        if start == 8:  # where whoever writes a block lets its directory begin
            return Carried(block, _packet(data))
    return Carried(xmp=_packet(data))


def _of_any(data: bytes) -> Carried:
    return Carried(xmp=_packet(data))


def _packet(data: bytes) -> bytes:
    start = data.find(_PACKET_START)
    end = data.find(_PACKET_END, start, start + MAX_XMP) if start >= 0 else -1
    return data[start : end + len(_PACKET_END)] if end >= 0 else b""
