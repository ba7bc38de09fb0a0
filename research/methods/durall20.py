"""Durall20: the azimuthal mean of the spectrum in decibels, read by a shallow classifier.

As in the released code (github.com/cc-hpc-itwm/UpConv, on DeepFakeDetection), the profile of luma is divided by its value at
frequency 0. There it is interpolated to 300 values, since images differ in size; on Faces-HQ, whose images do not, it is taken as
it is. The classifiers are one SVM a data set, radial (C = 2.76, gamma = 0.80) or linear, and a logistic regression (C = 1).

Chosen here: no interpolation, since crops are of one size; profiles standardised; SVMs of both kernels and logistic regressions
of several costs, the best of them by validation rows.
"""

from __future__ import annotations

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from causalprint.research.methods.base import Kit, Method, Predict, Training
from causalprint.research.methods.estimators import learn_best, logistic_regressions
from causalprint.research.methods.images import azimuthal_mean, each_crop, luma
from causalprint.schemas.arrays import Doubles, Pixels

NOTHING = 1.0
"""Magnitude that counts as none: rounding to 8 bits alone leaves 0.3 a pixel of the side."""


def profile(crop: Pixels) -> Doubles:
    """Azimuthal mean of 20·log10 |FFT| of a crop's luma over its value at frequency 0, (R,): R = 182 at 256 pixels.

    At least 0, the first 1 unless the crop is black; 0 from ring 1 on where the crop is constant.
    """
    decibels = azimuthal_mean(20 * np.log10(np.maximum(np.abs(np.fft.fft2(luma(crop))), NOTHING)))
    scaled: Doubles = decibels / max(decibels[0], 1.0)
    return scaled


def fit(training: Training, kit: Kit) -> Predict:
    """Scores (M, K): decision values of the chosen classifier."""
    kernels = [("rbf", 1), ("rbf", 10), ("rbf", 100), ("linear", 0.1), ("linear", 1)]
    vectors = [make_pipeline(StandardScaler(), SVC(kernel=kernel, C=cost, class_weight="balanced")) for kernel, cost in kernels]
    return learn_best(training, vectors + logistic_regressions((0.01, 0.1, 1), 5000))


DURALL20 = Method(
    name="durall20",
    title="Durall20",
    reference="Durall, Keuper, Keuper: Watch your Up-Convolution, CVPR 2020, arXiv 2003.01826",
    published="not comparable: up to 100 %, real against generated faces, two collections of each",
    differs="many sources instead of two classes, contents of every kind, other publishers in the test",
    features=each_crop(profile, np.float32),
    fit=fit,
)
