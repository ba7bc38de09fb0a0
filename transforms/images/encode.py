"""How images that are made here are encoded: one encoder for all of them, so that none can be told by its codec."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


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


def encode_jpeg95(pixels: Pixels) -> bytes:
    """JPEG at quality 95 without chroma subsampling (4:4:4)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


ENCODINGS: Mapping[str, Encoding] = {"png": Encoding("png", encode_png), "jpeg95": Encoding("jpg", encode_jpeg95)}
"""The encoding tracks by name."""
