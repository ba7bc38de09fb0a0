"""McCloskey18: colour cues. Generators normalise, and so saturate less; and they mix colours otherwise than a camera's filters.

The paper has two detectors: a linear SVM on how many pixels are over- and under-exposed, and a network on histograms of
chromaticity. Chosen here: both cues side by side, histograms of the three channels with them, and one linear SVM on square
roots of the shares (Hellinger's distance), its cost from validation rows.
"""

from __future__ import annotations

import numpy as np

from causalprint.research.methods.base import Method
from causalprint.research.methods.estimators import linear_machine
from causalprint.research.methods.images import each_crop
from causalprint.schemas.arrays import Doubles, Pixels

MARGINS = np.array([0, 1, 3, 7, 15, 31])
"""Grey levels from the end of the range within which a pixel counts as over- or under-exposed."""
BANDS = 32
CHROMATICITIES = 16


def cues(crop: Pixels) -> Doubles:
    """Square roots of shares of pixels of a crop uint8 (C, C, 3), 0 to 1, (24 + 24 + 96 + 256 = 400,).

    Over-exposed within each of six margins, in each channel and in all three at once; under-exposed likewise; histograms of
    the channels in 32 bands; joint histogram of r = R / (R + G + B) and g = G / (R + G + B) in 16x16, black counting as grey.
    """
    pixels = crop.reshape(-1, 3).astype(np.int64)
    red, green, blue = pixels.T
    darkest, brightest = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    counts = np.stack([np.bincount(values, minlength=256) for values in (red, green, blue, darkest, brightest)])
    upto = counts.cumsum(axis=1)
    over = len(pixels) - upto[:4, 254 - MARGINS]
    under = upto[:, MARGINS][[0, 1, 2, 4]]
    bands = counts[:3].reshape(3, BANDS, -1).sum(axis=2)
    total = red + green + blue + 3
    chroma = [(channel + 1) * CHROMATICITIES // total for channel in (red, green)]
    joint = np.bincount(chroma[0] * CHROMATICITIES + chroma[1], minlength=CHROMATICITIES**2)
    shares = np.concatenate([part.ravel() for part in (over, under, bands, joint)]) / len(pixels)
    return np.sqrt(shares)


MCCLOSKEY18 = Method(
    name="mccloskey18",
    title="McCloskey18",
    reference="McCloskey, Albright: Detecting GAN-generated Imagery using Color Cues, arXiv 1812.08247",
    published="84.04 % over four generators without `real` (arXiv 2509.15406); its own: AUC 0.70, real against GAN",
    differs="more sources, `real` among them; colour is largely content, and the test has other publishers' contents",
    features=each_crop(cues, np.float32),
    fit=linear_machine,
)
