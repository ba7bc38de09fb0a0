"""What an image file says before it is decoded: sizes where Pillow would allocate first, EXIF orientation, JPEG quality."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from struct import unpack_from
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ORIENTATION = 0x0112
SHORT = 3
GIF_EXTENSION, GIF_FRAME, GIF_END = b"!,;"
PNG_START = 8
PNG_EXTRAS = frozenset((b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"acTL", b"fcTL", b"fdAT"))
# ISO/IEC 10918-1, table K.1, in natural order.
LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP file's canvas (RFC 9649, section 2), or ``None`` where its first chunk does not say."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None


def gif_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that hold a GIF file's screen and its first frame, or ``None`` where no frame is reached."""
    try:
        width, height, flags = unpack_from("<HHB", data, 6)
        at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        while data[at] != GIF_FRAME:
            if data[at] == GIF_END:
                return None
            at = _after_blocks(data, at + 2) if data[at] == GIF_EXTENSION else at + 1
        left, top, frame_width, frame_height = unpack_from("<4H", data, at + 1)
    except (struct.error, IndexError):
        return None
    return max(width, left + frame_width), max(height, top + frame_height)


def png_image(data: bytes) -> bytes:
    """A PNG file without its texts, colour profile and animation, none of which may cost the image (PNG, third edition)."""
    kept = [data[:PNG_START]]
    at = PNG_START
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in PNG_EXTRAS:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def exif_orientation(exif: bytes) -> int | None:
    """The orientation, 1 to 8, in an EXIF block (CIPA DC-008: a TIFF structure), or ``None`` where it has none that is valid."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return None
    try:
        (directory,) = unpack_from(order + "I", block, 4)
        (entries,) = unpack_from(order + "H", block, directory)
        for entry in range(entries):
            tag, kind, count, value = unpack_from(order + "HHIH", block, directory + 2 + 12 * entry)
            if tag == ORIENTATION:
                return value if kind == SHORT and count == 1 and 1 <= value <= 8 else None
    except struct.error:
        pass
    return None


@cache
def ijg_tables(largest: int = 255) -> NDArray[np.int64]:
    """Luminance tables of libjpeg's qualities 1 to 100: (100, 64), each entry 1 to ``largest``.

    libjpeg scales table K.1 by 5000/q below quality 50 and by 200 - 2q from there on, in per cent, and rounds.
    ``largest`` is 255 in baseline files, 32,767 in others.
    """
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    tables: NDArray[np.int64] = np.clip((np.array(LUMINANCE)[None] * scale + 50) // 100, 1, largest)
    return tables


def quality_of(table: Sequence[int]) -> int:
    """The quality of libjpeg for a luminance table of 64 entries in natural order.

    Returns:
        1 to 100 where libjpeg gives just this table; else the negative of the quality whose table is nearest by mean absolute
        difference, the higher one of two that are as near.
    """
    found = np.asarray(table, dtype=np.int64)
    distances = np.minimum(*(np.abs(tables - found).sum(axis=1) for tables in (ijg_tables(255), ijg_tables(32767))))
    nearest = 100 - int(np.argmin(distances[::-1]))
    return nearest if distances[nearest - 1] == 0 else -nearest


def ends_early(data: bytes, name: str) -> bool:
    """Whether a file of format ``name`` that does not decode lacks its end, as far as its own marks and lengths tell."""
    marks = {"JPEG": b"\xff\xd9", "GIF": b";", "PNG": b"IEND\xaeB`\x82"}
    if name in marks:
        return not data.rstrip(b"\0").endswith(marks[name])
    if name == "WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if name == "BMP":
        return len(data) < int.from_bytes(data[2:6], "little")
    return _tiff_ends_early(data) if name == "TIFF" else _boxes_end_early(data)


def _tiff_ends_early(data: bytes) -> bool:
    """Whether the first directory of a TIFF file (TIFF 6.0, section 2), which often stands at its end, goes beyond it."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    directory = int.from_bytes(data[4:8], order)
    entries = int.from_bytes(data[directory : directory + 2], order)
    return len(data) < directory + 2 + 12 * entries + 4


def _boxes_end_early(data: bytes) -> bool:
    """Whether the last box of an ISO base media file (ISO/IEC 14496-12) goes beyond its end."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:
            return False
        at += size
    return at != len(data)


def _after_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += 1 + data[at]
    return at + 1
