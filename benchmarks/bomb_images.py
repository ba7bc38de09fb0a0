"""Image files that cost more than their bytes say."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

MIB = 1024 * 1024
SIDE = 9400
"""Of a square of nearly as many pixels as an image may have."""
GIF_FRAME = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"


def picture(width: int = 64, height: int = 64) -> Image.Image:
    """A picture with large and small structure."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (max(2, height // 16), max(2, width // 16), 3), np.uint8))
    smooth = coarse.resize((width, height), Image.Resampling.BICUBIC)
    return Image.blend(smooth, Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)), 0.1)


def saved(of: Image.Image, kind: str, **options: Any) -> bytes:
    """An image file."""
    buffer = io.BytesIO()
    of.save(buffer, kind, **options)
    return buffer.getvalue()


JPEG = saved(picture(), "JPEG", quality=90)
HEAD = JPEG[:-2]
"""An image that zeros may follow."""


def packed_zeros(size: int) -> bytes:
    """So many bytes of zeros, deflated."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(MIB)) for _ in range(size // MIB)]
    return b"".join((*parts, packer.compress(bytes(size % MIB)), packer.flush()))


def chunk(name: bytes, body: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(side: int, pixels: bytes, extras: bytes = b"", *, depth: int = 8, colours: int = 0, interlaced: bool = False) -> bytes:
    """A square PNG of deflated pixels."""
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, colours, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + start + extras + chunk(b"IDAT", pixels) + chunk(b"IEND")


def png_with(extras: bytes) -> bytes:
    """A PNG of one pixel, and chunks before it."""
    return png(1, zlib.compress(bytes(2)), extras)


def gif(before: bytes = b"", after: bytes = b"", side: int = 1) -> bytes:
    """A GIF of one pixel on a square screen, with blocks before and after its frame."""
    data = saved(Image.new("P", (1, 1)), "GIF")
    start = 13 + (3 << (data[10] & 7) + 1)
    return data[:6] + struct.pack("<HH", side, side) + data[10:start] + before + data[start:-1] + after + data[-1:]


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP of these chunks."""
    body = b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def animated_webp(side: int, frames: int) -> bytes:
    """A WebP of so many frames of one pixel."""
    screen = (side - 1).to_bytes(3, "little") * 2
    frame = bytes(12) + b"\1\0\0\0" + saved(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    return riff((b"VP8X", b"\2\0\0\0" + screen), (b"ANIM", bytes(6)), *[(b"ANMF", frame)] * frames)


def webp_with(name: bytes, data: bytes) -> bytes:
    """A WebP with a chunk behind its pixels."""
    pixels = saved(picture(), "WEBP")
    return riff((b"VP8X", b"\x0c\0\0\0" + b"\x3f\0\0" * 2), (pixels[12:16], pixels[20:]), (name, data))


def long_avif(frames: int) -> bytes:
    """An AVIF sequence that says that it has so many frames."""
    data = saved(picture(), "AVIF", save_all=True, append_images=[picture(), picture()])
    for table in (b"stsz", b"stts"):
        at = data.find(table) + 12
        data = data[:at] + struct.pack(">I", frames) + data[at + 4 :]
    return data


def claiming_avif(side: int) -> bytes:
    """An AVIF that says that it is a square of that size."""
    data = saved(picture(), "AVIF")
    at = data.find(b"ispe") + 8
    return data[:at] + struct.pack(">II", side, side) + data[at + 8 :]


def tiff(tail: bytes, following: int = 0, **tags: tuple[int, int, int]) -> bytes:
    """A grey TIFF of usual tags and ``t273=(type, count, value)``, then ``tail``; the next directory is at ``following``."""
    usual = {256: (4, 1, 64), 257: (4, 1, 64), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 277: (3, 1, 1)}
    every = usual | {int(name[1:]): value for name, value in tags.items()}
    entries = b"".join(struct.pack("<HHII", tag, *every[tag]) for tag in sorted(every))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(every)) + entries + struct.pack("<I", following) + tail


def tiff_with(tail: bytes, following: int = 0, **tags: tuple[int, int, int]) -> bytes:
    """A TIFF whose pixels are its first bytes, with more tags."""
    return tiff(tail + bytes(4096), following, t273=(4, 1, 8), t279=(4, 1, 4096), **tags)


def strips(width: int, height: int, lists: int) -> bytes:
    """A TIFF of strips of a row, which all begin at the same byte; its lists of where and how long they are may be one."""
    at = 8 + 2 + 12 * 9 + 4
    offsets, counts = struct.pack("<I", 8) * height, struct.pack("<I", width) * height if lists > 1 else b""
    where = {"t273": (4, height, at), "t279": (4, height, at + len(offsets) * (lists - 1))}
    sizes = {"t256": (4, 1, width), "t257": (4, 1, height), "t278": (4, 1, 1)}
    return tiff(offsets + counts + bytes(width), 0, **sizes, **where)


def one_strip(side: int, compression: int, data: bytes) -> bytes:
    """A square TIFF of one compressed strip."""
    sizes = {"t256": (4, 1, side), "t257": (4, 1, side), "t278": (4, 1, side)}
    return tiff(data, 0, **sizes, t259=(3, 1, compression), t273=(4, 1, 122), t279=(4, 1, len(data)))


def scans(of: Image.Image, number: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times more."""
    data = saved(of, "JPEG", progressive=True)
    return data[:-2] + data[data.rfind(b"\xff\xda") : -2] * number + data[-2:]


def flat_scans(number: int) -> bytes:
    """Such a JPEG of 64 flat megapixels."""
    return scans(Image.new("L", (8000, 8000), 128), number)


def arithmetic(width: int, height: int) -> bytes:
    """A JPEG that says that it is coded arithmetically."""
    return saved(Image.new("L", (width, height)), "JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1)


def run_lengths(side: int, data: bytes, bits: int = 8) -> bytes:
    """A square BMP of run lengths."""
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, bits, 1 if bits == 8 else 2, len(data), 0, 0, 1 << bits, 0)
    header += bytes(4 << bits)
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(data), 0, 0, 14 + len(header)) + header + data
