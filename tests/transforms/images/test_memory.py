"""What an image takes to decode is bounded by its header, and what the header is taken to say is true."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from causalprint.transforms.images import decode as module
from causalprint.transforms.images.decode import ImageRejectError, decode
from causalprint.transforms.images.decoder_processes import decode_crops

SIDE = 3000
MEASURE = """
import json, sys
from causalprint.transforms.images.decoder_processes import decode_crops

def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024

found = {}
for path in sys.argv[1:]:
    with open(path, "rb") as stream:
        data = stream.read()
    with open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")
    before = peak()
    decode_crops(data, 256, lambda height, width: [(0, 0), (height - 256, width - 256)])
    found[path] = peak() - before
print(json.dumps(found))
"""


def made(mode: str, kind: str, side: int = SIDE, **options: object) -> bytes:
    colours: dict[str, Any] = {
        "RGB": (9, 99, 199),
        "RGBA": (9, 99, 199, 7),
        "CMYK": (9, 99, 9, 3),
        "L": 77,
        "I": 77777,
        "F": 0.3,
        "I;16": 777,
    }
    buffer = io.BytesIO()
    Image.new(mode, (side, side), colours[mode]).save(buffer, kind, **options)
    return buffer.getvalue()


def wide_png(side: int) -> bytes:
    """16 bits RGBA."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + bytes([16, 6, 0, 0, 0])
    rows = zlib.compress((b"\0" + bytes([17]) * (8 * side)) * side, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


IMAGES: dict[str, Callable[[int], bytes]] = {
    "JPEG": lambda side: made("RGB", "JPEG", side),
    "CMYK JPEG": lambda side: made("CMYK", "JPEG", side),
    "progressive JPEG": lambda side: made("RGB", "JPEG", side, progressive=True, subsampling=0),
    "PNG": lambda side: made("RGBA", "PNG", side, compress_level=1),
    "16-bit PNG": wide_png,
    "grey 16-bit PNG": lambda side: made("I;16", "PNG", side, compress_level=1),
    "lossy WebP": lambda side: made("RGB", "WEBP", side, method=0),
    "lossless WebP": lambda side: made("RGBA", "WEBP", side, lossless=True, method=0),
    "AVIF": lambda side: made("RGBA", "AVIF", side, speed=10, subsampling="4:4:4"),
    "32-bit TIFF": lambda side: made("I", "TIFF", side, compression="tiff_deflate"),
    "float TIFF": lambda side: made("F", "TIFF", side, compression="tiff_deflate"),
    "CMYK TIFF": lambda side: made("CMYK", "TIFF", side, compression="tiff_deflate"),
}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are read from Linux's /proc")
def test_no_image_takes_more_than_its_header_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {}
    for number, (name, make) in enumerate(IMAGES.items()):
        path = tmp_path / str(number)
        path.write_bytes(make(SIDE))
        with monkeypatch.context() as patched:
            patched.setattr(module, "MAX_BYTES", 0)
            with pytest.raises(ImageRejectError) as refused:
                decode(path.read_bytes())
        assert refused.value.reason == "too-costly"
        said[str(path)] = name, int(refused.value.detail.partition(" take ")[2].split()[0]) << 20
    measured = subprocess.run([sys.executable, "-c", MEASURE, *said], capture_output=True, check=True, text=True)
    slack = 16 << 20
    over = {said[path][0]: taken for path, taken in json.loads(measured.stdout).items() if taken > said[path][1] + slack}
    assert over == {}


@pytest.mark.parametrize("name", sorted(IMAGES))
def test_crops_are_those_of_the_whole_image(name: str) -> None:
    data = IMAGES[name](300)
    found, crops = decode_crops(data, 64, lambda height, width: [(0, 0), (height - 64, width - 70)])
    expected = decode(data, hashed=True)
    assert found[1:] == expected[1:]
    assert np.array_equal(crops, np.stack([expected.pixels[:64, :64], expected.pixels[236:, 230:294]]))


def test_a_file_that_was_not_written_to_its_end_gets_no_verdict() -> None:
    for kind in ("BMP", "TIFF"):
        data = made("RGB", kind, 200)
        half = data[: len(data) // 2]
        assert decode(data).damage is None
        found = decode(half + bytes(len(data) - len(half)))
        assert found.damage is not None
        assert "bytes and more are zero" in found.damage
