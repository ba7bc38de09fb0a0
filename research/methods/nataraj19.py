"""Nataraj19: how often two values stand side by side in each colour channel.

The paper gives the three 256x256 co-occurrence matrices to a convolutional network learned from 56,000 images. Chosen here: a
linear SVM on reduced matrices, since a few hundred images a source cannot feed such a network. The mass lies along the diagonal,
so the reduction keeps the difference of horizontal neighbours to the grey level (-16 … 16, clipped) and the left value to
sixteenths of the range: sums of the full matrix's cells. Square roots of the shares make Euclidean distance Hellinger's.
"""

from __future__ import annotations

import numpy as np

from causalprint.research.methods.base import Method
from causalprint.research.methods.estimators import linear_machine
from causalprint.research.methods.images import each_crop
from causalprint.schemas.arrays import Doubles, Pixels

REACH = 16
DIFFERENCES = 2 * REACH + 1
LEVELS = 16
CELLS = LEVELS * DIFFERENCES


def cooccurrences(crop: Pixels) -> Doubles:
    """Shares of horizontal neighbours, (3, 16, 33): channel, left value in sixteenths of the range, right less left + 16."""
    values = crop.astype(np.int64)
    left = values[:, :-1]
    step = (values[:, 1:] - left).clip(-REACH, REACH) + REACH
    code = (left * LEVELS // 256 * DIFFERENCES + step).reshape(-1, 3).T
    shares = [np.bincount(channel, minlength=CELLS) / code.shape[1] for channel in code]
    return np.stack(shares).reshape(3, LEVELS, DIFFERENCES)


NATARAJ19 = Method(
    name="nataraj19",
    title="Nataraj19 (linear)",
    reference="Nataraj et al.: Detecting GAN generated Fake Images, Electronic Imaging 2019, arXiv 1903.06836",
    published="not comparable: above 99 %, real against CycleGAN or StarGAN",
    differs="many sources instead of two classes, a linear model instead of a network, other publishers in the test",
    features=each_crop(lambda crop: np.sqrt(cooccurrences(crop)).ravel(), np.float16),
    fit=linear_machine,
)
