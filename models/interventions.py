"""Interventions on content and style: what a training image might have gone through without another generator having made it.

A fingerprint must not move under them (METHODS.md, section 1). Each has its own chance; together they are drawn from one seed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Pixels = npt.NDArray[np.uint8]
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


@dataclass(frozen=True, slots=True)
class Interventions:
    """Chances (0 to 1) and ranges.

    Attributes:
        mirror: chance of left and right being exchanged (content).
        scale, scales: chance and range of the factor by which the image is resized; never below what the crop needs.
        blur, blurs: chance and range of a Gaussian's standard deviation, in pixels.
        gamma, gammas: chance and range of the exponent.
        jpeg, qualities: chance and range of one more compression; half of them with halved chroma.
        encoding: quality of the last compression, at full chroma, that every image gets alike; 0 for none.
    """

    mirror: float = 0.5
    scale: float = 0.25
    scales: tuple[float, float] = (0.8, 1.3)
    blur: float = 0.1
    blurs: tuple[float, float] = (0.2, 0.7)
    gamma: float = 0.3
    gammas: tuple[float, float] = (0.75, 1.3)
    jpeg: float = 0.7
    qualities: tuple[int, int] = (70, 95)
    encoding: int = 95

    def __call__(self, pixels: Pixels, crop: int, seed: tuple[int, ...]) -> Pixels:
        """A random crop of a changed image: uint8 (crop, crop, 3) of uint8 (H, W, 3), both sides at least ``crop``."""
        draw = np.random.default_rng(seed)
        image = Image.fromarray(pixels)
        if draw.random() < self.mirror:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if draw.random() < self.scale:
            factor = max(draw.uniform(*self.scales), crop / min(image.size))
            size = (max(crop, round(image.width * factor)), max(crop, round(image.height * factor)))
            image = image.resize(size, _FILTERS[draw.integers(len(_FILTERS))])
        left, top = (int(draw.integers(0, length - crop + 1)) for length in image.size)
        image = image.crop((left, top, left + crop, top + crop))
        if draw.random() < self.blur:
            image = image.filter(ImageFilter.GaussianBlur(draw.uniform(*self.blurs)))
        if draw.random() < self.gamma:
            exponent = draw.uniform(*self.gammas)
            image = image.point([round(255 * (level / 255) ** exponent) for level in range(256)] * 3)
        if draw.random() < self.jpeg:
            image = _recompress(image, int(draw.integers(self.qualities[0], self.qualities[1] + 1)), int(draw.choice([0, 2])))
        if self.encoding:
            image = _recompress(image, self.encoding, 0)
        changed: Pixels = np.asarray(image.convert("RGB"))
        return changed


def _recompress(image: Image.Image, quality: int, subsampling: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return Image.open(buffer).convert("RGB")
