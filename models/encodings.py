"""How images that are made or changed here are encoded: one encoder a format, so that none can be told by its codec."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image

from causalprint.schemas.arrays import Pixels

CHROMA_WHOLE, CHROMA_HALVED = 0, 2
"""4:4:4; and 4:2:0, what cameras and web sites write."""


class Encoding(NamedTuple):
    """An encoder.

    Attributes:
        suffix: of its files, without a dot.
        encode: uint8 (H, W, 3) to the bytes of a file without metadata, the same bytes for the same pixels.
    """

    suffix: str
    encode: Callable[[Pixels], bytes]


def encode_png(pixels: Pixels) -> bytes:
    """PNG, lossless."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def encode_jpeg(pixels: Pixels, quality: int, subsampling: int = CHROMA_HALVED) -> bytes:
    """JPEG of a quality from 1 to 100; ``subsampling`` is one of the constants here."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def recompress(pixels: Pixels, quality: int, subsampling: int = CHROMA_HALVED) -> Pixels:
    """What such a JPEG holds, uint8 (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(encode_jpeg(pixels, quality, subsampling))).convert("RGB"))


encode_jpeg95 = partial(encode_jpeg, quality=95, subsampling=CHROMA_WHOLE)

ENCODINGS: Mapping[str, Encoding] = {"png": Encoding("png", encode_png), "jpeg95": Encoding("jpg", encode_jpeg95)}
"""The encoding tracks by name."""
