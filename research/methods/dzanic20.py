"""Dzanic20: how the highest frequencies decay, three numbers an image, and their nearest neighbours.

Above 0.75 of the largest radial frequency a power law magnitude = b·(r / r_first)^c is fitted to the azimuthal mean of |FFT|. The
three features are the exponent c and the magnitudes at which the range begins and ends, standardised.

The released code (github.com/tarikdzanic/FourierSpectrumDiscrepancies, ``generatedata.m``, ``classify.m``) names 0.75 and calls
the fit with 0.85; it holds b at the first magnitude and fits c by least squares on magnitudes, in 200 bins of radius above 0.5.

Chosen here: least squares on logarithms, every frequency once, since the outermost rings hold few; magnitudes as logarithms and
as means over five rings (the released code smooths over five bins); the number of neighbours from validation rows (5 in the
released code, which repeats the images of small sources, where here a neighbour of a small source counts more).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import NearestNeighbors

from causalprint.models.statistics.calibration import balanced
from causalprint.research.methods.base import Kit, Method, Predict, Training
from causalprint.research.methods.estimators import best_of, every_source, flat
from causalprint.research.methods.images import azimuthal_mean, each_crop, luma, rings
from causalprint.schemas.arrays import Pixels, Scores

FIRST = 0.75
ENDS = 5
NOTHING = 1e-4
"""Magnitude in grey levels that counts as none; 8 bits alone leave about 0.3."""
NEIGHBOURS = (5, 11, 21, 41)


def decay(crop: Pixels) -> tuple[float, float, float]:
    """Exponent, and log10 of the magnitudes at the beginning and the end, of a crop uint8 (C, C, 3).

    Magnitudes are |FFT| / C of luma: white noise of standard deviation s has about 0.9·s.
    """
    values = luma(crop)
    magnitude = azimuthal_mean(np.abs(np.fft.fft2(values)) / len(values))
    first = int(np.ceil(FIRST * (len(magnitude) - 1)))
    high = np.log10(magnitude[first:] + NOTHING)
    weight = rings(len(values))[1][first:]
    frequency = np.log10(np.arange(first, len(magnitude)))
    centred = frequency - np.average(frequency, weights=weight)
    slope = (weight * centred) @ high / ((weight * centred) @ centred)
    start, end = (float(np.average(high[place], weights=weight[place])) for place in (slice(ENDS), slice(-ENDS, None)))
    return float(slope), start, end


def fit(training: Training, kit: Kit) -> Predict:
    """Scores (M, K): log of the weighted share of the neighbours, each source weighing alike."""
    learned = ~training.validation
    rows, labels = flat(training.features[learned]), training.labels[learned]
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    found = NearestNeighbors(algorithm="kd_tree").fit((rows - mean) / scale)
    known = np.unique(labels)
    votes = np.eye(training.classes)[labels] * balanced(labels)[:, None]

    def learn(count: int) -> Predict:
        def predict(unknown: npt.NDArray[Any]) -> Scores:
            near = found.kneighbors((flat(unknown) - mean) / scale, count, return_distance=False)
            shares = votes[near].mean(axis=1)
            # A vote for each, so that no share is 0: what was seen once more or less decides nothing.
            return every_source(np.log(shares[:, known] + 1 / count), known, training.classes)

        return predict

    return best_of(training, learn, [count for count in NEIGHBOURS if count <= len(rows)] or [len(rows)])


DZANIC20 = Method(
    name="dzanic20",
    title="Dzanic20",
    reference="Dzanic, Shah, Witherden: Fourier Spectrum Discrepancies, NeurIPS 2020, arXiv 1911.06465",
    published="82.13 % over four generators without `real` (arXiv 2509.15406); its own: up to 99.2 %, real against generated",
    differs="logarithms fitted; more sources, `real` among them, native crops of equal encoding, other publishers in the test",
    features=each_crop(decay, np.float32),
    fit=fit,
)
