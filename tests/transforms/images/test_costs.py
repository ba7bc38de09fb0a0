"""What one image may cost is counted in its bytes before it is decoded, and what its decoder lacks is no damage."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from causalprint.schemas.reasons import Reason
from causalprint.transforms.images.decode import ImageRejectError, decode
from tests.shards import encode, picture

PICTURE = picture(0, 64, 48)
JPEG = encode(PICTURE, "JPEG")
PNG = encode(PICTURE, "PNG")


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunks(name: bytes, number: int) -> bytes:
    return PNG[:33] + (bytes(4) + name + struct.pack(">I", zlib.crc32(name))) * number + PNG[33:]


def scans(number: int, side: int = 3000) -> bytes:
    data = saved(Image.new("L", (side, side), 128), "JPEG", progressive=True)
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * number + b"\xff\xd9"


def tags(number: int, size: int) -> bytes:
    """A TIFF of tags that all stand for the same bytes."""
    entries = b"".join(struct.pack("<HHII", tag, 7, size, 8) for tag in range(1000, 1000 + number))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", number) + entries + bytes(size)


def strips(number: int, size: int, compression: int = 1) -> bytes:
    """A TIFF of strips of a row, which all are the same bytes, or all that there is from there on."""
    at = 8 + 2 + 12 * 10 + 4
    lists = struct.pack("<I", at + 8 * number) * number + struct.pack("<I", size) * number
    values = [(256, 4, 1, 64), (257, 4, 1, number), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1)]
    values += [(273, 4, number, at), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, number, at + 4 * number), (339, 3, 1, 1)]
    entries = b"".join(struct.pack("<HHII", *value) for value in values)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(values)) + entries + bytes(4) + lists + bytes(range(64)) * (size // 64)


def run_lengths(width: int, height: int, data: bytes) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0) + bytes(
        value for grey in range(256) for value in (grey, grey, grey, 0)
    )
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(data), 0, 0, 14 + len(header)) + header + data


def gif(blocks: bytes) -> bytes:
    data = encode(PICTURE.convert("P"), "GIF")
    start = 13 + (3 << (data[10] & 7) + 1)
    return data[:start] + blocks + data[start:]


def webp(number: int) -> bytes:
    body = encode(PICTURE, "WEBP")[12:] + (b"ABCD" + bytes(4)) * number
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


BOMBS: dict[str, Callable[[], bytes]] = {
    "JPEG: more than 100 scans": lambda: scans(1000),
    "JPEG: 46 scans of 5000 x 5000 pixels": lambda: scans(40, 5000),
    "JPEG: more than 4,096 segments": lambda: JPEG[:2] + b"\xff\xe1\0\2" * 500_000 + JPEG[2:],
    "JPEG: more than 4,096 segments ": lambda: JPEG[:2] + b"\xff\xc4\0\2" * 500_000 + JPEG[2:],
    "PNG: more than 100,000 chunks": lambda: chunks(b"IDAT", 300_000),
    "PNG: more than 100,000 chunks ": lambda: chunks(b"teSt", 300_000),
    "GIF: more than 65,536 blocks": lambda: gif(b"!\xfe\x01a\0" * 300_000),
    "GIF: more than 65,536 blocks ": lambda: gif(b"!\xff\0" * 300_000),
    "GIF: more than 65,536 blocks  ": lambda: gif(b"!\xfe" + b"\1a" * 300_000 + b"\0"),
    "TIFF: 60,000 tags": lambda: tags(60_000, 200_000),
    "TIFF: its tags hold 200,000,000 bytes": lambda: tags(1000, 200_000),
    "TIFF: 9000 x 9000 pixels of 32 bits": lambda: saved(Image.new("F", (9000, 9000)), "TIFF", compression="tiff_adobe_deflate"),
    "TIFF: a tag of 1,000,000 numbers": lambda: strips(1_000_000, 64),
    "TIFF: its strips or tiles have 1,000,000,000 bytes": lambda: strips(1000, 1_000_000, 5),
    "BMP: 7000 x -6000 pixels of run lengths": lambda: run_lengths(7000, -6000, b"\xff\x12" * 9),
    "BMP: 9,001,078 bytes of run lengths": lambda: run_lengths(3000, 3000, b"\1\x12" * 4_500_000),
    "WEBP: more than 20,000 chunks": lambda: webp(100_000),
    "AVIF: more than 4,096 boxes": lambda: encode(PICTURE, "AVIF") + struct.pack(">I4s", 8, b"free") * 100_000,
}


@pytest.mark.parametrize("words", sorted(BOMBS))
def test_what_costs_too_much_is_refused_at_once(words: str) -> None:
    data = BOMBS[words]()
    tracemalloc.start()
    with pytest.raises(ImageRejectError, match=words.strip()) as caught:
        decode(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.reason == Reason.TOO_COSTLY
    assert peak < len(data) + 50_000_000


CHEAP = {
    "a comment of 10 MB in a GIF": lambda: gif(b"!\xfe" + (b"\xff" + bytes(255)) * 40_000 + b"\0"),
    "16 MB of profiles in a JPEG": lambda: JPEG[:2] + (b"\xff\xe2\xff\xff" + bytes(65_533)) * 250 + JPEG[2:],
    "16 MB of fill bytes in a JPEG": lambda: JPEG[:2] + b"\xff" * 16_000_000 + JPEG[2:],
    "segments behind the pixels": lambda: JPEG[:-2] + b"\xff\xfe\0\2" * 100_000 + JPEG[-2:],
    "PNG of many IDAT chunks": lambda: chunks(b"IDAT", 50_000),
}


@pytest.mark.parametrize("name", sorted(CHEAP))
def test_what_is_no_pixel_costs_an_image_nothing(name: str) -> None:
    data = CHEAP[name]()
    kind = {b"\x89": "PNG", b"G": "GIF", b"\xff": "JPEG"}[data[:1]]
    expected = encode(PICTURE.convert("P") if kind == "GIF" else PICTURE, kind)
    assert np.array_equal(decode(data).pixels, decode(expected).pixels)


def test_strips_may_be_many_and_the_same() -> None:
    assert np.array_equal(decode(strips(20_000, 64)).pixels, np.arange(64)[None, :, None].repeat(20_000, 0).repeat(3, 2))


def test_run_lengths_are_read() -> None:
    found = decode(run_lengths(300, 200, (b"\xff\x12" + b"\x2d\x34" + b"\0\0") * 200 + b"\0\1"))
    assert np.array_equal(found.pixels[:, :, 0], np.repeat([[0x12] * 255 + [0x34] * 45], 200, axis=0))


def test_one_broken_tag_does_not_cost_a_sound_tiff_its_pixels() -> None:
    data = bytearray(encode(PICTURE, "TIFF"))
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    entry = struct.pack("<HHII", 50000, 7, 4_000_000_000, 16)
    end = directory + 2 + 12 * entries
    moved = struct.pack("<H", entries + 1) + bytes(data[directory + 2 : end]) + entry + bytes(4)
    struct.pack_into("<I", data, 4, len(data))
    with warnings.catch_warnings(action="ignore"):  # Pillow says so too
        assert np.array_equal(decode(bytes(data) + moved).pixels, np.asarray(PICTURE))


def frame(marker: int, precision: int = 8, height: int = 48, components: int = 3) -> bytes:
    """A JPEG whose frame says something else."""
    at = JPEG.find(b"\xff\xc0")
    end = at + 2 + int.from_bytes(JPEG[at + 2 : at + 4], "big")
    parts = b"".join(bytes((number + 1, 0x11, 0)) for number in range(components))
    body = bytes((precision,)) + struct.pack(">HHB", height, 64, components) + parts
    return JPEG[:at] + bytes((0xFF, marker)) + struct.pack(">H", 2 + len(body)) + body + JPEG[end:]


def bmp(at: int, form: str, value: int, mode: str = "RGB") -> bytes:
    data = bytearray(encode(PICTURE.convert(mode), "BMP"))
    struct.pack_into(form, data, at, value)
    return bytes(data)


def tiff(tag: int, value: int) -> bytes:
    """A TIFF one of whose short tags says something else."""
    data = bytearray(encode(PICTURE, "TIFF"))
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    for at in range(directory + 2, directory + 2 + 12 * entries, 12):
        if struct.unpack_from("<H", data, at)[0] == tag:
            struct.pack_into("<I", data, at + 8, value)
    return bytes(data)


def cr2() -> bytes:
    """A TIFF with the mark of Canon's raw files, and so with its directory elsewhere."""
    data = encode(PICTURE, "TIFF")
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    moved = data[directory : directory + 2 + 12 * entries + 4]
    return data[:4] + struct.pack("<I", len(data)) + b"CR\2\0" + data[12:] + moved


def float_rgb() -> bytes:
    values = [(256, 3, 8), (257, 3, 8), (258, 3, 32), (259, 3, 1), (262, 3, 2), (273, 4, 200), (277, 3, 3), (278, 3, 8)]
    values += [(279, 4, 768), (284, 3, 1), (339, 3, 3)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in values)
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", len(values)) + entries + bytes(4)).ljust(200, b"\0") + bytes(768)


def bitfields() -> bytes:
    """10 bits a colour."""
    header = struct.pack("<IiiHHIIiiII", 40, 64, 48, 1, 32, 3, 0, 0, 0, 0, 0) + struct.pack("<III", 0x3FF00000, 0xFFC00, 0x3FF)
    pixels = bytes(64 * 48 * 4)
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(pixels), 0, 0, 14 + len(header)) + header + pixels


VARIANTS: dict[str, Callable[[], bytes]] = {
    "12-bit samples": lambda: frame(0xC1, 12),
    "lossless": lambda: frame(0xC3),
    "arithmetic": lambda: frame(0xC9),
    "arithmetic ": lambda: frame(0xCA),
    "hierarchical": lambda: frame(0xC5),
    "JPEG-LS": lambda: frame(0xF7),
    "DNL": lambda: frame(0xC0, height=0),
    "2 components": lambda: frame(0xC0, components=2),
    "compression 6": lambda: bmp(30, "<I", 6, "RGBA"),
    "OS/2 header of 16 bytes": lambda: bmp(14, "<I", 16),
    "2 bits a pixel": lambda: bmp(28, "<H", 2, "P"),
    "bitfields": bitfields,
    "photometric interpretation 32844": lambda: tiff(262, 32844),
    "compression 34676": lambda: tiff(259, 34676),
    "floating-point samples of 32 bits": float_rgb,
    "preview of another": lambda: saved(PICTURE, "TIFF", tiffinfo={254: 1}),
    "preview of another ": cr2,
}


@pytest.mark.parametrize("words", sorted(VARIANTS))
def test_a_sound_file_that_the_decoder_cannot_read_is_no_damage(words: str) -> None:
    with pytest.raises(ImageRejectError, match=words.strip()) as caught:
        decode(VARIANTS[words]())
    assert caught.value.reason == Reason.UNSUPPORTED_VARIANT
