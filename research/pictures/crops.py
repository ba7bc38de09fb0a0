"""A crop of a picture, after what the web does to pictures: a smaller copy, a JPEG or a WebP."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from causalprint.models.encodings import recompress
from causalprint.research.pictures.chance import Chance, often, pick, real, whole
from causalprint.research.pictures.origin import Origin, Picture
from causalprint.schemas.arrays import Pixels

CROP = 256
CELL = 32
TRIES = 24
ROUGH = 3 / 255
"""A crop below is as good as flat; an audit gives none a verdict below 0.5/255."""
BUSY = 0.3
"""Share of a crop's cells of 32 x 32 pixels that must show something."""
OVERLAP = 0.25
"""Share of a crop that may have been in another one."""
RECOMPRESSED, WEBP, RESCALED = 0.33, 0.3, 0.35
QUALITIES = range(75, 96)


class History(NamedTuple):
    """A picture as it was published.

    Attributes:
        pixels: uint8 (H, W, 3).
        sidecar: what was done, in the words of sidecars.
    """

    pixels: Pixels
    sidecar: dict[str, object]


def publish(draw: Chance, origin: Origin, picture: Picture) -> History:
    """The picture as the web shows it: some screenshots smaller, a third of those that were lossless as JPEG or WebP."""
    pixels, form, quality = picture.pixels, picture.form, picture.jpeg_quality
    told: dict[str, object] = {}
    if origin.screen and often(draw, RESCALED):
        factor = max(real(draw, 0.5, 1), CROP / min(pixels.shape[:2]))
        if factor < 1:
            height, width = (max(CROP, round(factor * side)) for side in pixels.shape[:2])
            told = {"rescaled": round(factor, 3), "rescaled_from": [pixels.shape[1], pixels.shape[0]]}
            filters = (Image.Resampling.LANCZOS, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
            pixels = np.asarray(Image.fromarray(pixels).resize((width, height), pick(draw, filters)))
    if form == "PNG" and often(draw, RECOMPRESSED):
        told["before"] = form
        level = pick(draw, QUALITIES)
        if often(draw, WEBP):
            form, pixels = "WEBP", _webp(pixels, level)
            told["original_webp_quality"] = level
        else:
            form, quality, pixels = "JPEG", level, recompress(pixels, level)
    if quality is not None:
        told["original_jpeg_quality"] = quality
    height, width = pixels.shape[:2]
    return History(pixels, {"original_format": form, "original_width": width, "original_height": height, **told})


def _webp(pixels: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def choose_crop(draw: Chance, pixels: Pixels, taken: list[tuple[int, int]]) -> Pixels | None:
    """A crop uint8 (256, 256, 3) at a random place that shows something, or ``None``; its place is added to ``taken``."""
    height, width = pixels.shape[:2]
    if min(height, width) < CROP:
        return None
    for _ in range(TRIES):
        place = whole(draw, 0, height - CROP), whole(draw, 0, width - CROP)
        crop = pixels[place[0] : place[0] + CROP, place[1] : place[1] + CROP]
        if _shows(crop) and all(_overlap(place, other) <= OVERLAP for other in taken):
            taken.append(place)
            return np.ascontiguousarray(crop)
    return None


def _shows(crop: Pixels) -> bool:
    levels = crop.astype(np.float32) / 255
    steps = [np.square(np.diff(levels, axis=axis)).mean() for axis in (0, 1)]
    if np.sqrt(np.mean(steps)) < ROUGH:
        return False
    cells = levels.reshape(CROP // CELL, CELL, CROP // CELL, CELL, 3)
    spread = (cells.max(axis=(1, 3)) - cells.min(axis=(1, 3))).max(axis=-1)
    return float((spread > 8 / 255).mean()) >= BUSY


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> float:
    sides = [max(0, CROP - abs(a - b)) for a, b in zip(one, other, strict=True)]
    return sides[0] * sides[1] / CROP**2
