"""Durall20: the azimuthal mean of the spectrum in decibels, read by a shallow classifier.

Chosen here: the profile of luma, ring by ring without interpolation, scaled to 0 … 1 by its own minimum and maximum; SVMs with a
radial kernel and logistic regressions, the best of them by validation rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from causalprint.models.baselines.base import Crops, Kit, Method, Predict, Training
from causalprint.models.baselines.estimators import learn_best, load_library
from causalprint.models.baselines.images import azimuthal_mean, luma

NOTHING = 1e-8
"""Magnitude in grey levels that counts as none, so that its logarithm exists."""


def profile(crop: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Azimuthal mean of 20·log10 |FFT| of a crop's luma, (R,), scaled to 0 … 1; zeros where it is constant."""
    decibels = azimuthal_mean(20 * np.log10(np.abs(np.fft.fft2(luma(crop))) + NOTHING))
    lowest, highest = decibels.min(), decibels.max()
    scaled: npt.NDArray[np.float64] = (decibels - lowest) / max(highest - lowest, NOTHING)
    return scaled


def features(crops: Crops, kit: Kit) -> npt.NDArray[np.float32]:
    """float32 (N, R), 0 to 1: R = 182 at 256 pixels."""
    return np.stack([profile(crop) for crop in crops]).astype(np.float32)


def fit(training: Training, kit: Kit) -> Predict:
    """Scores (M, K): decision values of the chosen classifier."""
    svm, linear = load_library("sklearn.svm"), load_library("sklearn.linear_model")
    scaled = load_library("sklearn.preprocessing").StandardScaler
    pipe = load_library("sklearn.pipeline").make_pipeline
    vectors = [pipe(scaled(), svm.SVC(C=cost, class_weight="balanced")) for cost in (1, 10, 100)]
    logistic = [
        pipe(scaled(), linear.LogisticRegression(C=cost, class_weight="balanced", max_iter=5000)) for cost in (0.01, 0.1, 1)
    ]
    return learn_best(training, vectors + logistic)


DURALL20 = Method(
    name="durall20",
    title="Durall20",
    reference="Durall, Keuper, Keuper: Watch your Up-Convolution, CVPR 2020, arXiv 2003.01826",
    published="not comparable: up to 100 %, real against generated faces of one publisher each",
    differs="many sources instead of two classes, contents of every kind, other publishers in the test",
    features=features,
    fit=fit,
)
