"""What an image file says before it is decoded: what it costs, sizes, EXIF orientation."""

from __future__ import annotations

import struct
from struct import unpack_from
from typing import NamedTuple
from zlib import crc32

ORIENTATION = 0x0112
SHORT = 3
GIF_EXTENSION, GIF_FRAME, GIF_END = b"!,;"
GIF_CONTROL = 0xF9
PNG_START = 8
PNG_EXTRAS = frozenset((b"tRNS", b"eXIf"))  # chunks that need not be read, and are
BMP_BITFIELDS = 3
BMP_COMPRESSIONS = range(4)  # none, run lengths of 8 and of 4 bits, bitfields
BMP_RUN_LENGTHS = (1, 2)
MAX_RUN_PIXELS, MAX_RUN_BYTES = 40_000_000, 8_000_000
"""Of a BMP file of run lengths, which Pillow decodes one by one in Python; a page of A4 in 600 dots an inch has 35 megapixels."""
MAX_PNG_CHUNKS = 100_000
"""Of 8 KiB each, which libpng writes, they hold 800 MiB."""
MAX_GIF_BLOCKS = 65_536
"""Blocks before the first frame: 16 MiB of comments and application data."""
MAX_WEBP_CHUNKS = 20_000
"""Frames of an animation of ten minutes."""
MAX_AVIF_BOXES = 4_096
"""Boxes at the top, or items: a grid of 16 x 16 tiles with an alpha plane has 514 items."""
FLAT_PIXELS = 1_024
"""A flat area of so many pixels may be a zero byte, in WebP."""
HOLE = 128
"""So many zero bytes in coded pixels are a hole: a sector never written, a download filled up. No code gives such a run."""


class Found(NamedTuple):
    """What a file's own bytes say before it is decoded.

    Attributes:
        data: what the decoder is shown: the file without texts, profiles, previews and animation, which may not cost the image.
        costly: why it would cost more than one image may, in words.
        variant: what of it the decoder lacks, though the file may be sound.
        truncated: why a part of its pixels is surely not there.
        damaged: why a part of its pixels may be wrong.
        corrupt: what contradicts its own checksums.
    """

    data: bytes
    costly: str | None = None
    variant: str | None = None
    truncated: str | None = None
    damaged: str | None = None
    corrupt: str | None = None


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


def read_png(data: bytes) -> Found:
    """A PNG file (PNG, third edition) as far as its pixels and its EXIF go, the checksums of both looked at."""
    kept = [data[:PNG_START]]
    at, chunks, corrupt = PNG_START, 0, None
    while at < len(data) and chunks <= MAX_PNG_CHUNKS:
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        chunks += 1
        if name == b"IDAT" and end <= len(data) and end - at > 12:
            if crc32(memoryview(data)[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                corrupt = "IDAT fails its checksum"
            kept.append(data[at:end])
        elif name != b"IDAT" and (not name[:1].islower() or name in PNG_EXTRAS):
            kept.append(data[at:end])
        elif name == b"IDAT" and end > len(data):
            kept.append(data[at:])
        if name == b"IEND":
            break
        at = end
    costly = f"more than {MAX_PNG_CHUNKS:,} chunks" if chunks > MAX_PNG_CHUNKS else None
    return Found(b"".join(kept), costly, corrupt=corrupt)


def read_gif(data: bytes) -> Found:
    """A GIF file without the comments, application data and texts before its first frame (GIF 89a, sections 23 to 26)."""
    try:
        at = start = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
        control, blocks = b"", 0
        while data[at] not in (GIF_FRAME, GIF_END):
            begin, blocks = at, blocks + 1
            at += 1
            if data[begin] == GIF_EXTENSION:
                at += 1
                while data[at]:
                    at += 1 + data[at]
                    blocks += 1
                    if blocks > MAX_GIF_BLOCKS:
                        break
                at += 1
                control = data[begin:at] if data[begin + 1] == GIF_CONTROL else control
            if blocks > MAX_GIF_BLOCKS:
                return Found(data, f"more than {MAX_GIF_BLOCKS:,} blocks before the first frame")
    except IndexError:
        return Found(data)
    return Found(b"".join((data[:start], control, data[at:])))


def read_webp(data: bytes) -> Found:
    """A WebP file (RFC 9649, section 2): its chunks are counted, and pixels looked for holes."""
    at, chunks, end = 12, 0, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    width, height = webp_size(data) or (0, 0)
    hole = bytes(HOLE + width * height // FLAT_PIXELS)
    truncated = None
    while at + 8 <= end:
        chunks += 1
        if chunks > MAX_WEBP_CHUNKS:
            return Found(data, f"more than {MAX_WEBP_CHUNKS:,} chunks")
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] in (b"VP8 ", b"VP8L") and data.find(hole, at + 8, min(end, at + 8 + size)) >= 0:
            truncated = f"{len(hole):,} zero bytes and more stand where pixels should"
        at += 8 + size + size % 2
    return Found(data, truncated=truncated)


def read_avif(data: bytes) -> Found:
    """An AVIF file: its boxes and items (ISO/IEC 14496-12) are counted, and its end looked for a hole, which EXIF might be."""
    boxes, items, at = 0, data.count(b"infe"), 0
    while at + 8 <= len(data) and boxes <= MAX_AVIF_BOXES:
        size = int.from_bytes(data[at : at + 4], "big")
        at += int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size or len(data)
        boxes += 1
        if 0 < size < 8 and size != 1:
            break
    if max(boxes, items) > MAX_AVIF_BOXES:
        return Found(data, f"more than {MAX_AVIF_BOXES:,} {'boxes' if boxes > items else 'items'}")
    zeros = len(data) - len(data.rstrip(b"\0"))
    return Found(data, damaged=f"its last {zeros:,} bytes are zeros" if zeros * 8 > len(data) else None)


def read_bmp(data: bytes) -> Found:
    """A BMP file: run lengths may cost seconds."""
    size, width, height, _, _, compression = (*unpack_from("<IiiHHI", data, 14),) if len(data) >= 34 else (0,) * 6
    if size < 40 or compression not in BMP_RUN_LENGTHS:
        return Found(data)
    if abs(width * height) > MAX_RUN_PIXELS:
        return Found(data, f"{width} x {height} pixels of run lengths are more than {MAX_RUN_PIXELS:,}")
    return Found(
        data, f"{len(data):,} bytes of run lengths are more than {MAX_RUN_BYTES:,}" if len(data) > MAX_RUN_BYTES else None
    )


def bmp_variant(data: bytes) -> str | None:
    """What is unusual in a BMP file's header, in words; asked where it does not decode."""
    size = int.from_bytes(data[14:18], "little")
    if size not in (12, 40, 52, 56, 108, 124):
        return f"an OS/2 header of {size} bytes"
    bits, compression = (int.from_bytes(data[at : at + 2], "little") for at in ((24, 24) if size == 12 else (28, 30)))
    if bits not in (1, 4, 8, 16, 24, 32):
        return f"{bits} bits a pixel"
    if size > 12 and compression == BMP_BITFIELDS:
        return "bitfields of an unusual layout"
    return f"compression {compression}" if size > 12 and compression not in BMP_COMPRESSIONS else None


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


def ends_early(data: bytes, name: str) -> bool:
    """Whether a file of format ``name`` that does not decode lacks its end, as far as its own marks and lengths tell."""
    marks = {"JPEG": b"\xff\xd9", "GIF": b";", "PNG": b"IEND\xaeB`\x82"}
    if name in marks:
        return not data.rstrip(b"\0").endswith(marks[name])
    if name == "WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if name == "BMP":
        return len(data) < int.from_bytes(data[2:6], "little")
    return _boxes_end_early(data)


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
