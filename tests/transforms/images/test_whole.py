"""Pixels that a decoder invents where a file ends early, or has a hole, never get a verdict; and no sound file is refused."""

from __future__ import annotations

import io
import itertools
import random
import re
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from causalprint.schemas.reasons import Reason
from causalprint.transforms.images.decode import DecodedImage, ImageRejectError, decode
from tests.shards import picture

END = b"\xff\xd9"
PICTURE = picture(3, 200, 152)
CODINGS: dict[str, dict[str, Any]] = {
    "baseline": {"quality": 90},
    "baseline, 4:2:0, low": {"quality": 40, "subsampling": 2},
    "optimised": {"quality": 85, "optimize": True},
    "restarts": {"quality": 90, "restart_marker_rows": 1},
    "progressive": {"quality": 90, "progressive": True},
    "progressive with restarts": {"quality": 75, "progressive": True, "restart_marker_blocks": 7},
}


def saved(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def outcome(data: bytes) -> NDArray[np.uint8] | str:
    """Pixels of an image that may have a verdict; else why it has none."""
    try:
        found = decode(data)
    except ImageRejectError as error:
        return error.reason
    return "damaged" if found.damage else found.pixels


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (2 + len(body)).to_bytes(2, "big") + body


def kinds_of_pictures() -> list[Image.Image]:
    sizes = [(1, 1), (8, 8), (9, 7), (17, 33), (64, 48), (100, 75)]
    noise = np.random.default_rng(0).integers(0, 256, (75, 100, 3), np.uint8)
    ramp = np.tile(np.arange(200, dtype=np.uint8)[::-1], (40, 1))
    flat = [Image.new("RGB", (160, 160), (9, 120, 200)), Image.new("L", (160, 160), 255), Image.new("L", (300, 300), 0)]
    return [
        *(picture(1, *size) for size in sizes),
        *(picture(2, *size).convert("L") for size in sizes),
        picture(1, 40, 40).convert("CMYK"),
        Image.fromarray(noise),
        Image.fromarray(ramp),
        Image.fromarray(ramp.T.copy()),
        *flat,
    ]


def test_hundreds_of_sound_jpegs_are_neither_refused_nor_called_damaged() -> None:
    chosen = random.Random(0)
    ways = list(itertools.product(kinds_of_pictures(), (1, 50, 95, 100), (0, 1, 2), (False, True), (False, True), (0, 1, 5)))
    for image, quality, sampling, progressive, optimize, interval in chosen.sample(ways, 800):
        options: dict[str, Any] = {"quality": quality, "progressive": progressive, "optimize": optimize}
        options |= {} if image.mode == "L" else {"subsampling": sampling}
        options |= {"restart_marker_blocks": interval} if interval else {}
        try:
            data = saved(image, **options)
        except OSError:  # Pillow's encoder cannot do all of them
            continue
        found = decode(data + chosen.choice([b"", b"appended" * 9, bytes(3000), END]))
        assert found.damage is None, options
        if image.mode != "CMYK":
            with Image.open(io.BytesIO(data)) as opened:
                assert np.array_equal(found.pixels, np.asarray(opened.convert("RGB"))), options


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_segments_that_are_no_pixels_change_nothing(coding: str) -> None:
    data = saved(PICTURE, **CODINGS[coding])
    thumbnail = saved(PICTURE.resize((40, 30)))
    block = Image.Exif()
    block[0x0112] = 6
    extras = [
        segment(0xE1, block.tobytes()),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
        segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(3000)),
        segment(0xE2, b"MPF\0" + bytes(90)),
        segment(0xED, b"Photoshop 3.0\0" + bytes(600)),
        segment(0xE7, thumbnail),
        segment(0xFE, b"a comment"),
        b"\xff\xff\xff",
    ]
    found = decode(data[:2] + b"".join(extras) + data[2:] + thumbnail)
    expected = decode(data)
    assert np.array_equal(found.pixels, expected.pixels)
    assert (found.orientation, found.jpeg_quality, found.damage) == (6, expected.jpeg_quality, None)


@pytest.mark.parametrize("padding", [1, 15, 16, 200, 5000])
def test_zeros_that_pad_a_whole_scan_are_no_hole(padding: int) -> None:
    data = saved(PICTURE, quality=90)
    found = decode(data[:-2] + bytes(padding) + END)
    assert np.array_equal(found.pixels, decode(data).pixels)
    assert found.damage is None


@pytest.mark.parametrize("coding", sorted(CODINGS))
def test_a_cut_jpeg_gets_no_verdict_whatever_stands_in_place_of_the_rest(coding: str) -> None:
    data = saved(PICTURE, **CODINGS[coding])
    whole, start = decode(data).pixels, data.find(b"\xff\xda") + 14
    last = len(data) - 64  # what is lost of fewer bytes is less than a few blocks
    for at in np.linspace(start, last, 60).astype(int):
        rest = len(data) - at
        for cut in (data[:at], data[:at] + END, data[:at] + bytes(rest), data[:at] + bytes(rest - 2) + END):
            found = outcome(cut)
            assert isinstance(found, str) or np.array_equal(found, whole), at
            assert not isinstance(found, str) or found in (Reason.TRUNCATED_IMAGE, Reason.CORRUPT_IMAGE, "damaged")


@pytest.mark.parametrize("coding", ["baseline", "baseline, 4:2:0, low", "optimised"])
def test_of_plain_jpegs_every_cut_is_called_so(coding: str) -> None:
    data = saved(PICTURE, **CODINGS[coding])
    for at in np.linspace(data.find(b"\xff\xda") + 14, len(data) - 64, 40).astype(int):
        assert outcome(data[:at] + END) == Reason.TRUNCATED_IMAGE


def test_a_jpeg_whose_last_scans_are_missing_is_damaged() -> None:
    data = saved(PICTURE, **CODINGS["progressive"])
    for scan in (at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"):
        if scan != data.find(b"\xff\xda"):
            assert outcome(data[:scan] + END) == "damaged"


def test_whichever_scan_of_a_jpeg_is_cut_it_gets_no_verdict() -> None:
    for options in (CODINGS["progressive"], {"quality": 60, "progressive": True, "subsampling": 0}):
        data = saved(PICTURE, **options)
        scans = list(re.finditer(rb"\xff\xda.*?(?=\xff[\x01-\xcf\xd8-\xfe])", data, re.DOTALL))
        assert len(scans) == 10
        for scan in scans:
            for lost in range(24, len(scan[0]) - 10, 41):
                assert outcome(data[: scan.end() - lost] + data[scan.end() :]) == Reason.TRUNCATED_IMAGE


def test_a_lost_sector_and_a_lost_restart_interval_get_no_verdict() -> None:
    large = picture(4, 512, 400)
    for name, options in CODINGS.items():
        data = saved(large, **options)
        at = len(data) // 2
        found = outcome(data[:at] + bytes(1024) + data[at + 1024 :])
        assert isinstance(found, str), name
    data = saved(large, **CODINGS["restarts"])
    first, second = (data.find(bytes((0xFF, marker)), data.find(b"\xff\xda")) for marker in (0xD3, 0xD4))
    assert outcome(data[:first] + data[second:]) == "damaged"


def chunk(name: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "1", "I;16"])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_a_png_that_has_fewer_rows_than_it_says_is_truncated(mode: str, interlaced: int) -> None:
    source = PICTURE.convert("L").convert("I;16") if mode == "I;16" else PICTURE.convert(mode)
    data = saved(source, "PNG", interlace=interlaced)
    at = data.find(b"IDAT") - 4
    head, pixels = data[:at], data[at:]
    coded = b""
    while pixels[4:8] == b"IDAT":
        size = int.from_bytes(pixels[:4], "big")
        coded, pixels = coded + pixels[8 : 8 + size], pixels[12 + size :]
    rows = zlib.decompress(coded)
    for share in (0.2, 0.5, 0.9):
        some = rows[: int(share * len(rows))]
        for body in (zlib.compress(some), coded[: int(share * len(coded))]):
            assert outcome(head + chunk(b"IDAT", body) + chunk(b"IEND", b"")) == Reason.TRUNCATED_IMAGE
    again = outcome(head + chunk(b"IDAT", coded[:99]) + chunk(b"IDAT", b"") + chunk(b"IDAT", coded[99:]) + chunk(b"IEND", b""))
    assert np.array_equal(again, decode(data).pixels)
    wrong = bytearray(data)
    wrong[data.find(b"IDAT") + 4 + int.from_bytes(data[at : at + 4], "big")] ^= 1
    assert outcome(bytes(wrong)) == Reason.CORRUPT_IMAGE


@pytest.mark.parametrize("colour", [(173, 37, 211), (82, 218, 44), (0, 0, 0), (255, 255, 255), (173, 173, 173), (82, 82, 82)])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA"])
def test_no_colour_is_taken_for_a_missing_row(colour: tuple[int, int, int], mode: str) -> None:
    for size, kind in itertools.product([(1, 1), (1, 2), (3, 1), (2, 2), (17, 16), (5, 7)], ["PNG", "GIF"]):
        image = Image.new("RGB", size, colour).convert(mode)
        for interlaced in (0, 1):
            found = decode(saved(image, kind, interlace=interlaced))
            assert isinstance(found, DecodedImage)


def test_cut_gifs_and_webps_and_tiffs_get_no_verdict() -> None:
    large = picture(9, 320, 320)
    ways: list[tuple[str, dict[str, Any]]] = [
        ("GIF", {}),
        ("WEBP", {"quality": 80}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"compression": "jpeg"}),
        ("TIFF", {}),
        ("AVIF", {}),
    ]
    for kind, options in ways:
        data = saved(large, kind, **options)
        half = len(data) // 2
        cuts = [data[:half], data[:half] + bytes(len(data) - half)]
        cuts += [data[:half] + b"\0;"] if kind == "GIF" else []
        if kind == "WEBP":
            riff, body = (half - 8).to_bytes(4, "little"), (half - 20).to_bytes(4, "little")
            cuts.append(data[:4] + riff + data[8:16] + body + data[20:half])
        if kind == "TIFF" and not options:
            del cuts[1]  # zeros may be black
        for number, cut in enumerate(cuts):
            assert isinstance(outcome(cut), str), (kind, options, number)


def test_flat_pictures_are_no_holes() -> None:
    for kind, options in (
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("AVIF", {}),
    ):
        for colour in ("white", "black", (9, 120, 200)):
            assert decode(saved(Image.new("RGB", (900, 700), colour), kind, **options)).damage is None
