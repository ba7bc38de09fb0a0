"""Nataraj19: how often two values stand side by side in each colour channel.

The paper gives the three 256x256 co-occurrence matrices to a convolutional network learned from 56,000 images. Chosen here: a
linear SVM on reduced matrices, since a few hundred images a source cannot feed such a network. The mass lies along the diagonal,
so the reduction keeps the difference of horizontal neighbours to the grey level (-16 … 16, clipped) and the left value to
sixteenths of the range: sums of the full matrix's cells. Square roots of the shares make Euclidean distance Hellinger's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.svm import LinearSVC

from causalprint.research.methods.base import Crops, Kit, Method, Predict, Training
from causalprint.research.methods.estimators import learn_best

REACH = 16
DIFFERENCES = 2 * REACH + 1
LEVELS = 16
CELLS = LEVELS * DIFFERENCES


def cooccurrences(crop: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Shares of horizontal neighbours, (3, 16, 33): channel, left value in sixteenths of the range, right less left + 16."""
    values = crop.astype(np.int64)
    left = values[:, :-1]
    step = (values[:, 1:] - left).clip(-REACH, REACH) + REACH
    code = (left * LEVELS // 256 * DIFFERENCES + step).reshape(-1, 3).T
    shares = [np.bincount(channel, minlength=CELLS) / code.shape[1] for channel in code]
    return np.stack(shares).reshape(3, LEVELS, DIFFERENCES)


def features(crops: Crops, kit: Kit) -> npt.NDArray[np.float16]:
    """float16 (N, 1584), 0 to 1: square roots of the shares."""
    return np.stack([np.sqrt(cooccurrences(crop)).ravel() for crop in crops]).astype(np.float16)


def fit(training: Training, kit: Kit) -> Predict:
    """Scores (M, K): decision values, one source against the rest."""
    return learn_best(training, [LinearSVC(C=cost, class_weight="balanced", dual=False) for cost in (0.1, 1, 10, 100)])


NATARAJ19 = Method(
    name="nataraj19",
    title="Nataraj19 (linear)",
    reference="Nataraj et al.: Detecting GAN generated Fake Images, Electronic Imaging 2019, arXiv 1903.06836",
    published="not comparable: above 99 %, real against CycleGAN or StarGAN",
    differs="many sources instead of two classes, a linear model instead of a network, other publishers in the test",
    features=features,
    fit=fit,
)
