"""Interventions on content and style: what a training image might have gone through without another generator having made it.

A fingerprint must not move under them (METHODS.md, section 1). Each has its own chance; together they are drawn from one seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageFilter
from scipy.ndimage import gaussian_filter

from causalprint.models.encodings import CHROMA_HALVED, CHROMA_WHOLE, recompress
from causalprint.schemas.arrays import Pixels

_LUMA = np.array([0.299, 0.587, 0.114])
_CHROMA = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""Cb and Cr of RGB (ITU-T T.871), less their offset."""
_OF_CHROMA = np.linalg.inv(np.vstack([_LUMA, _CHROMA]))[:, 1:]
"""RGB of Cb and Cr, where luma stays."""
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


class Style(NamedTuple):
    """What an image went through, each number 0 (``quality``: 1) where it did not; as a vector, the code of its style.

    Attributes:
        mirror: 1 where left and right were exchanged.
        scale: natural logarithm of the factor by which it was resized.
        blur: standard deviation of the Gaussian, in pixels.
        gamma: natural logarithm of the exponent.
        contrast, brightness, saturation: natural logarithms of the factors.
        quality: of the compression over 100.
        chroma: 1 where that compression halved the chroma.
        chroma_noise: standard deviation of white noise in both colour differences, in levels of 255.
        chroma_blur: standard deviation of a Gaussian over both, in pixels.
    """

    mirror: float = 0.0
    scale: float = 0.0
    blur: float = 0.0
    gamma: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    saturation: float = 0.0
    quality: float = 1.0
    chroma: float = 0.0
    chroma_noise: float = 0.0
    chroma_blur: float = 0.0

    def vector(self) -> npt.NDArray[np.float32]:
        """Float32 (S,), in the order of the attributes."""
        return np.array(self, np.float32)


class Intervened(NamedTuple):
    """A random crop of a changed image, uint8 (crop, crop, 3), and how it was changed, float32 (S,): :meth:`Style.vector`."""

    pixels: Pixels
    style: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Interventions:
    """Chances (0 to 1) and ranges.

    Attributes:
        mirror: chance of left and right being exchanged (content).
        scale, scales: chance and range of the factor by which the image is resized; what the crop then lacks is mirrored.
        blur, blurs: chance and range of a Gaussian's standard deviation, in pixels.
        gamma, gammas: chance and range of the exponent.
        contrast, contrasts: chance and range of the factor on the distance from the mean grey.
        brightness, brightnesses: chance and range of the factor on all channels.
        saturation, saturations: chance and range of the factor on the distance from grey.
        jpeg, qualities: chance and range of one more compression; half of them with halved chroma.
        chroma_noise, chroma_noises: chance and range of the noise in the colour differences, which some programs add as a mark.
        chroma_blur, chroma_blurs: chance and range of the Gaussian over them.
        encoding: quality of the last compression, at full chroma, that every image gets alike; 0 for none. No part of the style.
    """

    mirror: float = 0.5
    scale: float = 0.25
    scales: tuple[float, float] = (0.8, 1.3)
    blur: float = 0.1
    blurs: tuple[float, float] = (0.2, 0.7)
    gamma: float = 0.3
    gammas: tuple[float, float] = (0.75, 1.3)
    contrast: float = 0.2
    contrasts: tuple[float, float] = (0.8, 1.2)
    brightness: float = 0.2
    brightnesses: tuple[float, float] = (0.85, 1.15)
    saturation: float = 0.2
    saturations: tuple[float, float] = (0.7, 1.3)
    jpeg: float = 0.7
    qualities: tuple[int, int] = (70, 95)
    chroma_noise: float = 0.0
    chroma_noises: tuple[float, float] = (0.5, 4.0)
    chroma_blur: float = 0.0
    chroma_blurs: tuple[float, float] = (0.5, 2.0)
    encoding: int = 95

    def __call__(self, pixels: Pixels, crop: int, seed: tuple[int, ...]) -> Intervened:
        """Changes an image uint8 (H, W, 3), both sides at least ``crop``; the seed alone decides how."""
        draw = np.random.default_rng(seed)
        image = Image.fromarray(pixels)
        style = self._draw(draw)
        if style.mirror:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if style.scale:
            width, height = (max(1, round(length * math.exp(style.scale))) for length in image.size)
            image = image.resize((width, height), _FILTERS[draw.integers(len(_FILTERS))])
            image = Image.fromarray(mirrored(np.asarray(image), crop, crop))
        left, top = (int(draw.integers(0, length - crop + 1)) for length in image.size)
        image = _restyle(image.crop((left, top, left + crop, top + crop)), style, draw)
        if self.encoding:
            image = _compressed(image, self.encoding, CHROMA_WHOLE)
        changed: Pixels = np.asarray(image.convert("RGB"))
        return Intervened(changed, style.vector())

    def _draw(self, draw: np.random.Generator) -> Style:
        def some(chance: float, bounds: tuple[float, float]) -> float | None:
            value = float(draw.uniform(*bounds))
            return value if draw.random() < chance else None

        scale = some(self.scale, self.scales)
        quality = some(self.jpeg, (self.qualities[0], self.qualities[1] + 1))
        return Style(
            mirror=float(draw.random() < self.mirror),
            scale=math.log(scale or 1),
            blur=some(self.blur, self.blurs) or 0.0,
            gamma=math.log(some(self.gamma, self.gammas) or 1),
            contrast=math.log(some(self.contrast, self.contrasts) or 1),
            brightness=math.log(some(self.brightness, self.brightnesses) or 1),
            saturation=math.log(some(self.saturation, self.saturations) or 1),
            quality=1.0 if quality is None else int(quality) / 100,
            chroma=float(quality is not None and draw.random() < 0.5),
            chroma_noise=some(self.chroma_noise, self.chroma_noises) or 0.0,
            chroma_blur=some(self.chroma_blur, self.chroma_blurs) or 0.0,
        )


def mirrored(pixels: Pixels, height: int, width: int) -> Pixels:
    """An image uint8 (H, W, 3) filled up to at least (height, width, 3) at its lower and right edge, by mirroring."""
    more = [(0, max(0, wanted - side)) for wanted, side in zip((height, width), pixels.shape[:2], strict=True)]
    return np.pad(pixels, [*more, (0, 0)], mode="symmetric")


def _restyle(image: Image.Image, style: Style, draw: np.random.Generator) -> Image.Image:
    if style.blur:
        image = image.filter(ImageFilter.GaussianBlur(style.blur))
    if style.gamma:
        exponent = math.exp(style.gamma)
        image = image.point([round(255 * (level / 255) ** exponent) for level in range(256)] * 3)
    if style.contrast:
        image = ImageEnhance.Contrast(image).enhance(math.exp(style.contrast))
    if style.brightness:
        image = ImageEnhance.Brightness(image).enhance(math.exp(style.brightness))
    if style.saturation:
        image = ImageEnhance.Color(image).enhance(math.exp(style.saturation))
    if style.chroma_noise or style.chroma_blur:
        image = Image.fromarray(change_chroma(np.asarray(image.convert("RGB")), style.chroma_noise, style.chroma_blur, draw))
    if style.quality == 1:
        return image
    return _compressed(image, round(100 * style.quality), CHROMA_HALVED if style.chroma else CHROMA_WHOLE)


def _compressed(image: Image.Image, quality: int, subsampling: int) -> Image.Image:
    return Image.fromarray(recompress(np.asarray(image), quality, subsampling))


def change_chroma(pixels: Pixels, noise: float, blur: float, draw: np.random.Generator) -> Pixels:
    """An image uint8 (H, W, 3) whose luma stays as it is up to rounding.

    Args:
        pixels: the image.
        noise: standard deviation of white Gaussian noise in Cb and Cr, in levels of 255.
        blur: standard deviation of a Gaussian over Cb and Cr before it, in pixels; 0 for none.
        draw: of the noise.
    """
    wide = pixels.astype(np.float64)
    chroma = wide @ _CHROMA.T
    changed = gaussian_filter(chroma, (blur, blur, 0)) if blur else chroma.copy()
    changed += draw.normal(0, noise, changed.shape)
    moved = (changed - chroma) @ _OF_CHROMA.T
    found: Pixels = np.clip(np.rint(wide + moved), 0, 255).astype(np.uint8)
    return found
