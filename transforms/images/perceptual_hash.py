"""The perceptual hash of an image, by which copies of it are found again that were resized or compressed."""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 32
LOW = 8
_ROWS = 64  # of colours that Pillow turns grey by way of RGB, a second image of four bytes a pixel
_BASIS = np.cos(np.pi / (2 * SIDE) * np.outer(np.arange(LOW), 2 * np.arange(SIDE) + 1))
"""The DCT's first rows (type II): (8, 32)."""
_DIGITS = 6
"""To which a coefficient is rounded: behind them a flat picture shows in which order a machine adds."""


def perceptual_hash(image: Image.Image) -> str:
    """The 64-bit hash of package ImageHash (``phash``), which COYO's column ``image_phash`` holds too.

    Grey by ITU-R BT.601, 32 x 32 by Lanczos, two-dimensional DCT; of its 8 x 8 lowest frequencies, row by row from the zeroth,
    a bit each: whether it is above their median.

    Args:
        image: loaded, of a mode that Pillow converts to grey.

    Returns:
        16 hexadecimal digits, the zeroth frequency's bit first.
    """
    grey = _grey(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    lowest = np.round(_BASIS @ np.asarray(grey, np.float64) @ _BASIS.T, _DIGITS)
    return np.packbits(lowest > np.median(lowest)).tobytes().hex()


def _grey(image: Image.Image) -> Image.Image:
    if image.mode not in ("CMYK", "YCbCr"):
        return image.convert("L")
    width, height = image.size
    grey = Image.new("L", image.size)
    for top in range(0, height, _ROWS):
        grey.paste(image.crop((0, top, width, min(height, top + _ROWS))).convert("L"), (0, top))
    return grey
