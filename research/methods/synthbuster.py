"""Synthbuster: lines at periods 2, 4 and 8 in the spectrum of the cross-difference, and boosted trees.

|I(x, y) + I(x+1, y+1) - I(x+1, y) - I(x, y+1)| takes the scene away; what a decoder's upsampling leaves repeats every 2, 4 or 8
pixels.

As in the released code (github.com/qbammey/synthbuster, ``preprocess.py`` with its default of period 8): of each channel the
magnitudes at all pairs of multiples of 1/8 cycle per pixel, 3/8 among them; the crop is cut to a multiple of 8, so that folding
it onto 8x8 pixels gives those lines exactly.

Chosen here: magnitudes over the number of pixels, as logarithms, which trees read alike; boosting with balanced classes and few
trees, since some sources have a few dozen images, its size by validation rows (the released models were tuned on thousands: 800
rounds, at least 50 images a leaf, multiples of 1/16).
"""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from causalprint.research.methods.base import Kit, Method, Predict, Training
from causalprint.research.methods.estimators import learn_best
from causalprint.research.methods.images import each_crop
from causalprint.schemas.arrays import Doubles, Pixels

PERIOD = 8
NOTHING = 1e-3
"""Magnitude in grey levels that counts as none."""


def peaks(crop: Pixels) -> Doubles:
    """Magnitudes in grey levels, (3, 8, 5), of a crop uint8 (C, C, 3).

    Channel; frequency down, 0 … 7 eighths of a cycle per pixel, those from 5 on the negative ones; across, 0 … 4 eighths.
    """
    values = crop.astype(np.float64)
    cross = np.abs(values[:-1, :-1] + values[1:, 1:] - values[1:, :-1] - values[:-1, 1:])
    count = len(cross) // PERIOD
    blocks = cross[: count * PERIOD, : count * PERIOD].reshape(count, PERIOD, count, PERIOD, 3)
    return np.abs(np.fft.rfft2(blocks.mean(axis=(0, 2)), axes=(0, 1), norm="forward")).transpose(2, 0, 1)


def fit(training: Training, kit: Kit) -> Predict:
    """Scores (M, K): the trees' log-probabilities, up to a constant."""
    candidates = [
        HistGradientBoostingClassifier(
            max_iter=rounds,
            max_leaf_nodes=leaves,
            min_samples_leaf=10,  # some sources have a few dozen images
            class_weight="balanced",
            early_stopping=False,
            random_state=training.seed,
        )
        for rounds, leaves in ((50, 7), (100, 15))
    ]
    return learn_best(training, candidates)


SYNTHBUSTER = Method(
    name="synthbuster",
    title="Synthbuster",
    reference="Bammey: Synthbuster, IEEE Open Journal of Signal Processing 2024, doi 10.1109/OJSP.2023.3337714",
    published="not comparable: detection, real against nine diffusion models",
    differs="attribution; crops of 256 pixels, whose lines are weaker than those of whole images; fewer trees",
    features=each_crop(lambda crop: np.log10(peaks(crop) + NOTHING).ravel(), np.float32),
    fit=fit,
)
