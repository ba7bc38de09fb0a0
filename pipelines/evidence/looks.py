"""What a bundle looks at in an image, as pictures: the crops, what its model cannot explain of them, and that one's spectrum."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from causalprint.models.bundles.bundle import Bundle
from causalprint.schemas.arrays import Pixels

if TYPE_CHECKING:
    from causalprint.models.residuals.base import Residual

SPECTRUM_SIDE = 256
"""Pixels of a spectrum's picture, whose cells are squares of several."""
BRIGHT = 99.5
"""Percentile of a residual's magnitudes that its picture shows as black or white."""


class Look(NamedTuple):
    """One crop that voted.

    Attributes:
        left, top, side: where it lies in the image as it is stored, in pixels.
        crop: those pixels.
        residual: what the model cannot explain of them, times ``gain``; grey is none.
        gain: by which the residual was multiplied.
        spectrum: power of the residual's luma by frequency, frequency 0 in the middle, bright is strong.
        decibels: of black and of white in the spectrum.
    """

    left: int
    top: int
    side: int
    crop: Image.Image
    residual: Image.Image
    gain: float
    spectrum: Image.Image
    decibels: tuple[float, float]


def looks_at(bundle: Bundle, pixels: Pixels) -> list[Look]:
    """What the bundle looked at in an image uint8 (H, W, 3), a look for each crop that votes; none where it is too small.

    Raises:
        ResidualError: the residual cannot be loaded.
    """
    from causalprint.models.features import cut, places_of
    from causalprint.models.residuals import load_residual

    asked = (bundle.manifest.geometry, bundle.manifest.decision.flat)
    model = load_residual(bundle.residual)
    crops = zip(cut(pixels, *asked), places_of(pixels, *asked), strict=True)
    return [_look(bundle, model, crop, place) for crop, place in crops]


def _look(bundle: Bundle, model: Residual, crop: Pixels, place: tuple[int, int]) -> Look:
    import torch

    from causalprint.models.evaluation.residual_spectra import residual_spectra

    with torch.inference_mode():
        x = torch.from_numpy(crop[None].copy()).permute(0, 3, 1, 2).float().div(255)
        residual = model(x).residual[0].permute(1, 2, 0).numpy()
    gain = float(0.5 / max(float(np.percentile(np.abs(residual), BRIGHT)), 1e-6))
    with ThreadPoolExecutor(1) as pool:
        (spectrum,) = residual_spectra(bundle.residual, torch.device("cpu"), crop[None], np.array(["crop"]), pool).values()
    low, high = (float(value) for value in np.percentile(spectrum, [1, 99.9]))
    grey = np.clip((spectrum - low) / max(high - low, 1e-6), 0, 1)
    times = max(1, SPECTRUM_SIDE // len(grey))
    return Look(
        left=place[1],
        top=place[0],
        side=crop.shape[0],
        crop=Image.fromarray(crop),
        residual=Image.fromarray(np.clip(np.rint(255 * (0.5 + gain * residual)), 0, 255).astype(np.uint8)),
        gain=gain,
        spectrum=Image.fromarray(np.rint(255 * grey).astype(np.uint8)).resize((len(grey) * times,) * 2, Image.Resampling.NEAREST),
        decibels=(low, high),
    )
