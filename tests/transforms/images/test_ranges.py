"""The same picture in 8 bits, in more, and in floating point gives nearly the same pixels: no range is clipped."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from causalprint.transforms.images.decode import decode
from causalprint.transforms.images.ranges import floats_to_eight_bits, integers_to_eight_bits
from tests.shards import picture

COLOUR = np.asarray(picture(5, 40, 30))
GREY = np.asarray(picture(5, 40, 30).convert("L"))
SCALES: dict[str, tuple[float, Any]] = {
    "8 bits in 16": (1, np.uint16),
    "10 bits": (1023 / 255, np.uint16),
    "12 bits": (4095 / 255, np.uint16),
    "14 bits": (16383 / 255, np.uint16),
    "16 bits": (257, np.uint16),
    "16 bits by shift": (256, np.uint16),
    "24 bits in 32": (65793, np.int32),
    "float of 0 to 1": (1 / 255, np.float32),
    "float of 0 to 255": (1, np.float32),
    "float of 0 to 1023": (1023 / 255, np.float32),
    "float of 0 to 4095": (4095 / 255, np.float32),
    "float of 0 to 16383": (16383 / 255, np.float32),
    "float of 0 to 65535": (257, np.float32),
    "float of radiances": (1000, np.float32),
}


def saved(samples: NDArray[Any], kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, kind)
    return buffer.getvalue()


def colour_png(samples: NDArray[np.uint16]) -> bytes:
    """A PNG file of 16-bit RGB, which Pillow does not write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = b"".join(side.to_bytes(4, "big") for side in (samples.shape[1], samples.shape[0])) + bytes([16, 2, 0, 0, 0])
    png = b"\x89PNG\r\n\x1a\n"
    for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        png += len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
    return png


def colour_tiff(samples: NDArray[np.uint16]) -> bytes:
    """A TIFF file of 16-bit RGB, one strip, little-endian."""
    entries = [(256, 4, samples.shape[1]), (257, 4, samples.shape[0]), (258, 3, None), (259, 3, 1), (262, 3, 2), (273, 4, 256)]
    entries += [(277, 3, 3), (278, 4, samples.shape[0]), (279, 4, samples.nbytes)]
    directory = len(entries).to_bytes(2, "little")
    for tag, kind, value in entries:
        count, stored = (3, 200) if value is None else (1, value)
        directory += tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + count.to_bytes(4, "little")
        directory += stored.to_bytes(4, "little")
    head = (b"II*\0\x08\0\0\0" + directory + bytes(4)).ljust(200, b"\0") + b"\x10\0" * 3
    return head.ljust(256, b"\0") + samples.astype("<u2").tobytes()


def distance(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    return float(np.abs(found.astype(int) - expected).mean())


@pytest.mark.parametrize("scale", sorted(SCALES))
def test_a_grey_picture_is_the_same_in_every_range(scale: str) -> None:
    factor, kind = SCALES[scale]
    stored = (GREY * np.float64(factor)).astype(kind)
    expected = np.repeat(GREY[..., None], 3, -1)
    for container in ("PNG", "TIFF") if kind is np.uint16 else ("TIFF",):
        found = decode(saved(stored, container)).pixels
        if scale == "float of radiances":
            expected = np.rint(expected * (255 / GREY.max())).astype(np.uint8)
        assert distance(found, expected) <= 1, container


def test_unsigned_integers_of_32_bits_are_no_negative_ones() -> None:
    signed = saved((GREY.astype(np.uint32) * 0x1010101).view(np.int32), "TIFF")
    entry = b"\x53\x01\x03\x00\x01\x00\x00\x00"  # the sample format, one short number
    unsigned = signed.replace(entry + b"\x02", entry + b"\x01")
    assert unsigned != signed
    assert np.array_equal(decode(unsigned).pixels[..., 0], GREY)


@pytest.mark.parametrize("scale", [name for name, (_, kind) in sorted(SCALES.items()) if kind is np.uint16])
@pytest.mark.parametrize("writer", [colour_png, colour_tiff])
def test_a_coloured_picture_is_the_same_in_every_range(scale: str, writer: Any) -> None:
    assert distance(decode(writer((COLOUR * np.float64(SCALES[scale][0])).astype(np.uint16))).pixels, COLOUR) <= 1


def test_a_dark_picture_of_16_bits_stays_dark() -> None:
    dark = (GREY // 32).astype(np.uint16) * 257
    assert np.array_equal(decode(saved(dark, "PNG")).pixels[..., 0], GREY // 32)


def test_signed_samples_and_undershoots_keep_their_order() -> None:
    ramp = np.linspace(-1, 1, 256, dtype=np.float32)[None]
    assert np.array_equal(floats_to_eight_bits(ramp)[0], np.arange(256))
    assert floats_to_eight_bits(np.array([[-0.05, 0, 0.5, 1]], np.float32)).tolist() == [[0, 0, 128, 255]]
    assert floats_to_eight_bits(np.array([[np.nan, np.inf, -np.inf, 1]], np.float32)).tolist() == [[0, 255, 0, 255]]
    assert integers_to_eight_bits(np.array([-32768, 0, 32767])).tolist() == [0, 128, 255]


@given(values=st.lists(st.integers(-(2**31), 2**32 - 1), min_size=1, max_size=20))
def test_integers_keep_their_order_and_none_wraps(values: list[int]) -> None:
    found = integers_to_eight_bits(np.sort(np.array(values, np.int64)))
    assert np.array_equal(found, np.sort(found))


@given(values=st.lists(st.floats(width=32), min_size=1, max_size=20))
@settings(deadline=None)
def test_floats_never_fail_and_keep_their_order(values: list[float]) -> None:
    stored = np.sort(np.array([value for value in values if np.isfinite(value)] or [0.0], np.float32))
    found = floats_to_eight_bits(stored[None])[0]
    assert np.array_equal(found, np.sort(found))
    floats_to_eight_bits(np.array([values], np.float32))
