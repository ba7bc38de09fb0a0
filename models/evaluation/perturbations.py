"""What happens to images after they are made: named, pure changes of an image that a verdict should survive.

Each maps uint8 (C, C, 3) to uint8 (C, C, 3). One that leaves fewer pixels than it was given fills up by mirroring, since the
fingerprint needs C pixels a side and a resize back would add a second trace; one that leaves more is cut at the centre, in
phase with the blocks of a JPEG.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from causalprint.models.encodings import CHROMA_WHOLE, recompress
from causalprint.models.features import GRID
from causalprint.models.training.interventions import change_chroma, mirrored
from causalprint.schemas.arrays import Pixels


class Perturbation(NamedTuple):
    """One change.

    Attributes:
        about: what it is, for a table.
        apply: image uint8 (C, C, 3), seed -> uint8 (C, C, 3); the same for the same arguments.
        drawn: whether the seed matters.
    """

    about: str
    apply: Callable[[Pixels, int], Pixels]
    drawn: bool = False


def rescale(pixels: Pixels, factor: float) -> Pixels:
    """Resized by ``factor`` (bicubic, low-pass filtered where it shrinks), at least one pixel a side, and fitted."""
    height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    return fit(np.asarray(resized), pixels.shape[0], pixels.shape[1])


def crop(pixels: Pixels, seed: int, share: float = 0.875) -> Pixels:
    """A random window of ``share`` of each side, in any phase of a JPEG's blocks, fitted."""
    draw = np.random.default_rng(seed)
    sides = [max(1, round(side * share)) for side in pixels.shape[:2]]
    top, left = (int(draw.integers(0, whole - side + 1)) for whole, side in zip(pixels.shape[:2], sides, strict=True))
    return fit(pixels[top : top + sides[0], left : left + sides[1]], pixels.shape[0], pixels.shape[1])


def blur(pixels: Pixels, deviation: float) -> Pixels:
    """Gaussian blur; ``deviation`` in pixels."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(deviation)))


def add_noise(pixels: Pixels, seed: int, deviation: float) -> Pixels:
    """White Gaussian noise of ``deviation`` levels of 255, rounded and clipped."""
    noise = np.random.default_rng(seed).normal(0, deviation, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


def jpeg_twice(pixels: Pixels, seed: int) -> Pixels:
    """JPEG, and again after a cut of up to 7 pixels at the upper left, fitted."""
    draw = np.random.default_rng(seed)
    first, second, top, left = (int(draw.integers(*bounds)) for bounds in ((60, 96), (60, 96), (0, 8), (1, 8)))
    once = recompress(pixels, first)[top:, left:]
    return recompress(fit(once, pixels.shape[0], pixels.shape[1]), second)


def share(pixels: Pixels, seed: int) -> Pixels:
    """A smaller copy, as web sites make, as JPEG."""
    draw = np.random.default_rng(seed)
    smaller = rescale(pixels, draw.uniform(0.5, 0.9))
    return recompress(smaller, int(draw.integers(70, 86)))


def send(pixels: Pixels) -> Pixels:
    """As messengers send pictures: smaller, and as a JPEG of low quality."""
    return recompress(rescale(pixels, 0.7), 60)


def add_chroma_noise(pixels: Pixels, seed: int) -> Pixels:
    """White noise in both colour differences, of 2 levels of 255; some programs mark their pictures in such a way."""
    return change_chroma(pixels, 2.0, 0.0, np.random.default_rng(seed))


def blur_chroma(pixels: Pixels, deviation: float) -> Pixels:
    """Gaussian blur of both colour differences; ``deviation`` in pixels."""
    return change_chroma(pixels, 0.0, deviation, np.random.default_rng(0))


def _through(pixels: Pixels, form: str, quality: int) -> Pixels:
    """What a file of that format of Pillow holds, uint8 (H, W, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def fit(pixels: Pixels, height: int, width: int) -> Pixels:
    """``pixels`` (H, W, 3) as (height, width, 3): mirrored at its lower and right edge where too small, cut where too large."""
    filled = mirrored(pixels, height, width)
    top, left = ((side - wanted) // 2 // GRID * GRID for side, wanted in zip(filled.shape[:2], (height, width), strict=True))
    return np.ascontiguousarray(filled[top : top + height, left : left + width])


PERTURBATIONS: Mapping[str, Perturbation] = {
    "jpeg-90": Perturbation("JPEG, quality 90, 4:2:0", lambda pixels, _: recompress(pixels, 90)),
    "jpeg-75": Perturbation("JPEG, quality 75, 4:2:0", lambda pixels, _: recompress(pixels, 75)),
    "jpeg-50": Perturbation("JPEG, quality 50, 4:2:0", lambda pixels, _: recompress(pixels, 50)),
    "resize-0.5": Perturbation("resized by 0.5, bicubic, filled up by mirroring", lambda pixels, _: rescale(pixels, 0.5)),
    "resize-0.75": Perturbation("resized by 0.75, bicubic, filled up by mirroring", lambda pixels, _: rescale(pixels, 0.75)),
    "resize-1.5": Perturbation("resized by 1.5, bicubic, cut at the centre", lambda pixels, _: rescale(pixels, 1.5)),
    "webp-80": Perturbation("WebP, quality 80", lambda pixels, _: _through(pixels, "WEBP", 80)),
    "avif-60": Perturbation("AVIF, quality 60", lambda pixels, _: _through(pixels, "AVIF", 60)),
    "jpeg-twice": Perturbation("JPEG, quality 60 to 95, then again in another phase of its blocks", jpeg_twice, drawn=True),
    "shared": Perturbation("shared by a web site: resized by 0.5 to 0.9, then JPEG, quality 70 to 85", share, drawn=True),
    "messenger": Perturbation("messenger: resized by 0.7, then JPEG, quality 60, twice", lambda pixels, _: send(send(pixels))),
    "chroma-noise": Perturbation("chroma noise, 2 of 255: white, in both colour differences", add_chroma_noise, drawn=True),
    "chroma-blur": Perturbation("chroma blurred by 1 pixel", lambda pixels, _: blur_chroma(pixels, 1.0)),
    "crop": Perturbation("a random 7/8 of each side, filled up by mirroring", crop, drawn=True),
    "blur": Perturbation("Gaussian blur, 1 pixel", lambda pixels, _: blur(pixels, 1.0)),
    "noise": Perturbation("white noise, 4 of 255", lambda pixels, seed: add_noise(pixels, seed, 4.0), drawn=True),
}
"""The registry: a name for ``evaluate --robustness`` and ``compare``, and what it does."""

CHAINS = ("jpeg-twice", "shared", "messenger")
"""Of :data:`PERTURBATIONS`, what the web does to an image on its way."""


def launder(pixels: Pixels) -> Pixels:
    """One of :data:`CHAINS`, each as likely, drawn by the pixels themselves; uint8 (C, C, 3) to the same."""
    seed = int(hashlib.sha256(pixels.tobytes()).hexdigest()[:15], 16)
    return PERTURBATIONS[CHAINS[seed % len(CHAINS)]].apply(pixels, seed)


TRACKS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "png": lambda pixels: pixels,
    "jpeg95": lambda pixels: recompress(pixels, 95, CHROMA_WHOLE),
    "aligned": lambda pixels: pixels,
    "laundered": launder,
    "hard": lambda pixels: pixels,
}
"""The last encoding that every image gets alike, whatever made it: the pixels that are decoded from it."""


def seed_of(image_id: str, seed: int) -> int:
    """The seed of one image's draw: of its SHA-256, so that neither the order nor the other images matter."""
    return int(np.random.SeedSequence([int(image_id[:15], 16), seed]).generate_state(1, np.uint64)[0])
