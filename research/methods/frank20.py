"""Frank20: a linear model on the logarithms of an image's cosine transform.

Chosen here: ridge regression, the simplest of the paper's classifiers and the one that a few thousand images can feed; the
orthonormal DCT-II of the whole luma (the released code, github.com/RUB-SysSec/GANDCTAnalysis, transforms each colour channel,
three times the memory); each coefficient's logarithm standardised, as there; the penalty by validation rows. It is solved in its
dual (images, not the C² coefficients) over blocks of coefficients, so that they need not be held as float32 at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.kernel_ridge import KernelRidge

from causalprint.models.lenses.dct import cosines
from causalprint.models.lenses.fourier import grey, log_power
from causalprint.models.statistics.calibration import balanced
from causalprint.research.methods.base import Kit, Method, Predict, Training
from causalprint.research.methods.estimators import best_of, every_source
from causalprint.research.methods.images import each_tensor
from causalprint.schemas.arrays import Crops, Floats, Scores

BLOCK = 4096
PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1)
"""In units of the mean squared norm of a standardised image."""


def features(crops: Crops, kit: Kit) -> npt.NDArray[np.float16]:
    """log10 of the squared DCT-II of luma in 0 to 1, float16 (N, C, C), from -10; row and column 0 the lowest frequencies."""
    basis = cosines(crops.shape[1], kit.device)
    rows = each_tensor(crops, lambda image: log_power((basis @ grey(image) @ basis.T).square())[:, 0], kit.device)
    return rows.astype(np.float16)


def fit(training: Training, kit: Kit) -> Predict:
    """Scores (M, K): ridge regression onto indicators of the sources, each weighing alike."""
    learned = ~training.validation
    labels = training.labels[learned]
    rows = training.features[learned].reshape(len(labels), -1)
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    scale = np.concatenate([block.std(axis=0) + 1e-3 for _, block in _blocks(rows, mean, np.ones_like(mean))])
    kernel = np.zeros((len(rows), len(rows)), np.float32)
    for _, block in _blocks(rows, mean, scale):
        kernel += block @ block.T
    known = np.unique(labels)
    targets = (labels[:, None] == known).astype(np.float32) - 1 / len(known)

    unit = float(kernel.diagonal().mean())

    def learn(penalty: float) -> Predict:
        # A constant feature of the size of an image carries the intercept.
        model = KernelRidge(alpha=penalty * unit, kernel="precomputed")
        dual = model.fit(kernel + unit, targets, sample_weight=balanced(labels)).dual_coef_.astype(np.float32)
        weights = np.concatenate([block.T @ dual for _, block in _blocks(rows, mean, scale)])
        offset = unit * dual.sum(axis=0)

        def predict(unknown: npt.NDArray[Any]) -> Scores:
            flat = unknown.reshape(len(unknown), -1)
            parts = (block @ weights[place] for place, block in _blocks(flat, mean, scale))
            return every_source(sum(parts, offset).astype(np.float64), known, training.classes)

        return predict

    return best_of(training, learn, PENALTIES)


def _blocks(rows: npt.NDArray[Any], mean: Floats, scale: Floats) -> Iterator[tuple[slice, Floats]]:
    """Standardised columns of ``rows`` (N, D), a few thousand at a time, with their place."""
    for start in range(0, rows.shape[1], BLOCK):
        place = slice(start, start + BLOCK)
        yield place, (rows[:, place].astype(np.float32) - mean[place]) / scale[place]


FRANK20 = Method(
    name="frank20",
    title="Frank20",
    reference="Frank, Eisenhofer, Schönherr, Fischer, Kolossa, Holz: Leveraging Frequency Analysis, ICML 2020, arXiv 2003.08685",
    published="not comparable: GANs trained on LSUN or CelebA, one content and one resolution",
    differs="luma instead of three channels, diffusion models and commercial services, other publishers in the test",
    features=features,
    fit=fit,
)
