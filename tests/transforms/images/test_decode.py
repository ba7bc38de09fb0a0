"""Decoding: every format and colour mode by its stated rule, and everything else refused with its reason."""

from __future__ import annotations

import io
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile

from causalprint.schemas.reasons import Reason
from causalprint.transforms.images.decode import MAX_PIXELS, ImageRejectError, decode, to_rgb
from causalprint.transforms.images.jpeg import LUMINANCE, ijg_tables, quality_of
from tests.shards import IMAGE_WAYS, encode, picture

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]
PICTURE = picture(0, 53, 37)
PIXELS = np.asarray(PICTURE)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = "A maker"
    return block


VARIANTS = {
    **{kind: encode(PICTURE, kind) for kind in FORMATS},
    "progressive JPEG": saved(PICTURE, "JPEG", progressive=True),
    "lossless WEBP": saved(PICTURE, "WEBP", lossless=True),
    "interlaced PNG": saved(PICTURE, "PNG", interlace=1),
    "LZW TIFF": saved(PICTURE, "TIFF", compression="tiff_lzw"),
    "JPEG TIFF": saved(PICTURE, "TIFF", compression="jpeg"),
    "palette BMP": saved(PICTURE.convert("P"), "BMP"),
    "animated GIF": saved(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)]),
    "animated WEBP": saved(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(180)], lossless=True),
    "animated AVIF": saved(PICTURE, "AVIF", save_all=True, append_images=[PICTURE.rotate(180)]),
    "animated PNG": saved(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)]),
}
EXACT = {"PNG", "lossless WEBP", "interlaced PNG", "LZW TIFF", "BMP", "TIFF", "animated WEBP", "animated PNG"}


def decoded_or_refused(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8] | Reason:
    try:
        return decode(data, max_pixels).pixels
    except ImageRejectError as error:
        return Reason(error.reason)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_each_format_gives_its_first_frame_as_rgb(name: str) -> None:
    image = decode(VARIANTS[name])
    assert image.format == name.rpartition(" ")[2]
    assert (image.width, image.height) == (53, 37)
    assert image.pixels.shape == (37, 53, 3)
    assert image.pixels.dtype == np.uint8
    assert image.pixels.flags.writeable
    difference = np.abs(image.pixels.astype(int) - PIXELS)
    assert difference.max() == 0 if name in EXACT else difference.mean() < 20
    assert image.orientation is None


@pytest.mark.parametrize("name", sorted(VARIANTS))
@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=30, deadline=None)
def test_an_image_that_is_cut_is_never_padded(name: str, share: float) -> None:
    data = VARIANTS[name]
    cut = decoded_or_refused(data[: int(share * len(data))])
    if isinstance(cut, Reason):
        unclear = share * len(data) < 24 or name.endswith(("TIFF", "AVIF"))  # too little to tell the format or the cut by
        assert cut == Reason.TRUNCATED_IMAGE or (unclear and cut != Reason.TOO_MANY_PIXELS)
    else:
        assert np.array_equal(cut, decode(data).pixels)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("name", sorted(VARIANTS))
@given(at=st.integers(0, 10**6), flip=st.integers(1, 255))
@settings(max_examples=20, deadline=None)
def test_flipped_bytes_decode_or_are_rejected_and_never_crash(name: str, at: int, flip: int) -> None:
    data = bytearray(VARIANTS[name])
    data[at % len(data)] ^= flip
    found = decoded_or_refused(bytes(data), 10_000)
    assert isinstance(found, Reason) or (found.shape[2], found.size <= 30_000) == (3, True)


@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_are_rejected(data: bytes) -> None:
    with pytest.raises(ImageRejectError):
        decode(data)


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
WIDE = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024 + 255
SIGNED = WIDE.astype(np.int32) * 2 - 30_000


def rgb(grey: Any) -> Any:
    return np.repeat(np.asarray(grey, np.uint8)[..., None], 3, -1)


@pytest.mark.parametrize(
    ("image", "kind", "mode", "expected"),
    [
        (Image.fromarray(GREY), "PNG", "L", rgb(GREY)),
        (Image.fromarray(GREY > 100), "PNG", "1", rgb(np.where(GREY > 100, 255, 0))),
        (Image.fromarray(np.stack([GREY, 255 - GREY], -1), "LA"), "PNG", "LA", rgb(GREY)),
        (Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]]), "RGBA"), "PNG", "RGBA", PIXELS),
        (Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]]), "RGBA"), "TIFF", "RGBA", PIXELS),
        (Image.fromarray(WIDE), "PNG", "I;16", rgb(WIDE >> 8)),
        (Image.fromarray(WIDE), "TIFF", "I;16", rgb(WIDE >> 8)),
        (
            Image.fromarray(WIDE.astype(np.int32) * 2 - 30000),
            "TIFF",
            "I",
            rgb((WIDE.astype(int) - 255) * 2 >> 9),
        ),
        (Image.fromarray(np.linspace(0, 1.5, 64, dtype=np.float32).reshape(8, 8)), "TIFF", "F", None),
        (Image.fromarray(np.dstack([PIXELS, PIXELS[..., 0]]), "CMYK"), "TIFF", "CMYK", None),
        (Image.fromarray(PIXELS, "LAB"), "TIFF", "LAB", None),
    ],
)
def test_each_colour_mode_has_its_rule(image: Image.Image, kind: str, mode: str, expected: Any) -> None:
    found = decode(saved(image, kind))
    assert found.mode == mode
    if mode == "F":
        expected = rgb(np.rint(255 * np.linspace(0, 1, 64).reshape(8, 8)))  # 1.5 is white
    if mode == "CMYK":
        ink = np.asarray(image, float)
        expected = np.rint((255 - ink[..., :3]) * (255 - ink[..., 3:]) / 255)
    if mode == "LAB":
        assert found.pixels.std() > 1
        return
    assert np.abs(found.pixels.astype(int) - expected).max() <= (1 if mode in ("F", "CMYK") else 0)


def test_lab_white_black_and_red_are_what_they_are() -> None:
    stored = np.array([[[255, 0, 0], [0, 0, 0], [138, 80, 67]]], np.uint8)  # L* 100, 0, 54; a* and b* as signed bytes
    red, green, blue = decode(saved(Image.fromarray(stored, "LAB"), "TIFF")).pixels[0].T.astype(int)
    assert min(red[0], green[0], blue[0]) >= 253
    assert max(red[1], green[1], blue[1]) <= 2
    assert red[2] > 240
    assert max(green[2], blue[2]) < 40


@pytest.mark.parametrize("mode", ["RGBa", "La", "PA", "HSV", "YCbCr", "RGBX"])
def test_modes_that_no_file_here_has_convert_too(mode: str) -> None:
    sources = {
        "La": Image.new("LA", (4, 4), (90, 255)),
        "PA": Image.new("PA", (4, 4)),
        "RGBa": Image.new("RGBA", (4, 4), (9, 8, 7, 255)),
    }
    image = sources.get(mode, Image.new("RGB", (4, 4), (9, 8, 7)))
    converted = image if image.mode == mode else image.convert(mode)
    expected = {"La": (90, 90, 90), "PA": (0, 0, 0)}.get(mode, (9, 8, 7))
    assert np.abs(to_rgb(converted)[0, 0].astype(int) - expected).max() <= 2


def test_sixteen_bits_of_colour_lose_their_low_byte() -> None:
    samples = (np.arange(192, dtype=">u2").reshape(8, 8, 3) * 300 + 7).astype(">u2")
    header = (8).to_bytes(4, "big") * 2 + bytes([16, 2, 0, 0, 0])
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        png += len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
    assert np.array_equal(decode(png).pixels, samples >> 8)


def test_transparent_palettes_keep_their_stored_colours() -> None:
    palette = PICTURE.convert("P", palette=Image.Palette.ADAPTIVE)
    expected = np.asarray(palette.convert("RGB"))
    for data in (saved(palette, "PNG", transparency=bytes(range(256))), saved(palette, "GIF", transparency=3)):
        assert np.array_equal(decode(data).pixels, expected)


def test_cmyk_jpegs_of_adobe_are_not_inverted() -> None:
    white = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert decode(saved(white, "JPEG")).mode == "CMYK"
    assert decode(saved(white, "JPEG")).pixels.min() > 250


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientation_is_recorded_and_not_applied(kind: str, orientation: int) -> None:
    found = decode(saved(PICTURE, kind, exif=exif(orientation)))
    assert found.orientation == orientation
    assert found.pixels.shape == PIXELS.shape
    if kind in ("PNG", "TIFF"):
        assert np.array_equal(found.pixels, PIXELS)


@pytest.mark.parametrize(
    "block", [b"Exif\0\0", b"Exif\0\0MM\0*", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(40), b"Exif\0\0" + bytes(99)]
)
def test_broken_exif_costs_the_orientation_only(block: bytes) -> None:
    found = decode(saved(PICTURE, "JPEG", exif=block))
    assert found.orientation is None


def test_texts_of_a_png_cost_nothing_however_large_they_unpack() -> None:
    """Generators write their whole workflow there."""
    text = b"workflow\0\0" + zlib.compress(bytes(5_000_000))
    chunk = len(text).to_bytes(4, "big") + b"zTXt" + text + zlib.crc32(b"zTXt" + text).to_bytes(4, "big")
    png = VARIANTS["PNG"]
    assert np.array_equal(decode(png[:33] + chunk + png[33:]).pixels, PIXELS)


@pytest.mark.parametrize("way", sorted(IMAGE_WAYS))
def test_each_way_of_damaging_an_image_has_its_reason(way: str) -> None:
    with pytest.raises(ImageRejectError) as caught:
        decode(IMAGE_WAYS[way].apply(VARIANTS["JPEG"]))
    assert caught.value.reason == IMAGE_WAYS[way].reason
    assert caught.value.detail


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"8BPS\0\1", "PSD"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x0a\x00", "JPEG XL"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"BM but not a bitmap at all", "plain text"),
    ],
)
def test_formats_off_the_list_are_named(data: bytes, words: str) -> None:
    with pytest.raises(ImageRejectError, match=words) as caught:
        decode(data)
    assert caught.value.reason == Reason.UNSUPPORTED_FORMAT


def webp_bomb() -> bytes:
    canvas = b"VP8X" + (10).to_bytes(4, "little") + bytes(4) + (16383).to_bytes(3, "little") * 2
    return b"RIFF" + (4 + len(canvas)).to_bytes(4, "little") + b"WEBP" + canvas


def gif_bomb() -> bytes:
    """A screen of one pixel, and a frame of 65,535 x 65,535."""
    return b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\3abc\0" + b",\0\0\0\0\xff\xff\xff\xff\0" + b"\2\2L\1\0;"


@pytest.mark.parametrize("data", [webp_bomb(), gif_bomb(), IMAGE_WAYS["bomb"].apply(b"")], ids=["WEBP", "GIF", "PNG"])
def test_bombs_are_refused_by_their_header(data: bytes) -> None:
    with pytest.raises(ImageRejectError) as caught:
        decode(data)
    assert caught.value.reason == Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize("kind", FORMATS)
def test_the_limit_is_of_pixels_and_is_exact(kind: str) -> None:
    data = VARIANTS[kind]
    assert decode(data, 53 * 37).width == 53
    with pytest.raises(ImageRejectError, match=r"53 x 37 pixels are more than 1960"):
        decode(data, 53 * 37 - 1)


def test_the_default_limit_is_where_pillow_would_warn() -> None:
    assert MAX_PIXELS == Image.MAX_IMAGE_PIXELS


def test_threads_may_share_the_decoder() -> None:
    expected = {name: decode(data).pixels.tobytes() for name, data in VARIANTS.items()}
    with ThreadPoolExecutor(8) as pool:
        for name, pixels in pool.map(lambda item: (item[0], decode(item[1]).pixels.tobytes()), list(VARIANTS.items()) * 4):
            assert pixels == expected[name]


@pytest.mark.parametrize("quality", [1, 10, 24, 25, 49, 50, 75, 90, 95, 100])
def test_the_quality_of_a_jpeg_is_told_by_its_table(quality: int) -> None:
    assert decode(encode(PICTURE, "JPEG", quality)).jpeg_quality == quality
    assert decode(encode(PICTURE.convert("L"), "JPEG", quality)).jpeg_quality == quality


@given(quality=st.integers(1, 100))
def test_every_quality_of_the_formula_is_found(quality: int) -> None:
    assert quality_of(ijg_tables()[quality - 1].tolist()) == quality
    assert quality_of(ijg_tables(32767)[quality - 1].tolist()) == quality


def test_other_tables_give_the_nearest_quality_as_a_negative() -> None:
    tables = [[min(255, entry + 1) for entry in LUMINANCE], [8] * 64]
    assert quality_of(tables[0]) in (-49, -50)
    for table in tables:
        buffer = io.BytesIO()
        PICTURE.save(buffer, "JPEG", qtables=[table, table])
        assert decode(buffer.getvalue()).jpeg_quality == quality_of(table) < 0


def test_only_jpegs_have_a_quality() -> None:
    assert [decode(VARIANTS[kind]).jpeg_quality for kind in FORMATS[1:]] == [None] * 6
