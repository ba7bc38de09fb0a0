"""Marra19: a source's fingerprint is the mean of its images' noise residuals, as PRNU is a camera's.

F = mean of X - denoise(X) over a source's training images; an image is attributed to the fingerprint that its own residual
correlates with most (normalised correlation). Nothing else is learned, and nothing is chosen on validation rows.

Chosen here: the denoiser is the local Wiener filter (Lee 1980), 5x5 windows against noise of 3 grey levels, which leaves edges
and so content out of the residual and costs little; and luma stands for the colours, to keep a row at 2 bytes a pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from causalprint.models.lenses.fourier import grey
from causalprint.research.methods.base import Kit, Method, Predict, Training
from causalprint.research.methods.estimators import every_source, flat
from causalprint.research.methods.images import each_tensor
from causalprint.schemas.arrays import Crops, Doubles, Scores

WINDOW = 5
NOISE = 3 / 255


def residual(image: Tensor) -> Tensor:
    """X - denoise(X) of images (N, C, H, W) in 0 to 1.

    In each window the filter keeps the share max(0, 1 - NOISE² / variance) of what departs from the mean.
    """
    mean = _local_mean(image)
    variance = _local_mean((image - _local_mean(image)).square())
    kept = 1 - NOISE**2 / torch.clamp(variance, min=NOISE**2)
    return (1 - kept) * (image - mean)


def _local_mean(image: Tensor) -> Tensor:
    margin = WINDOW // 2
    return avg_pool2d(pad(image, (margin, margin, margin, margin), mode="reflect"), WINDOW, stride=1)


def features(crops: Crops, kit: Kit) -> npt.NDArray[np.float16]:
    """Residuals of luma, float16 (N, C, C), in units of the image's range."""
    return each_tensor(crops, lambda image: residual(grey(image))[:, 0], kit.device).astype(np.float16)


def fit(training: Training, kit: Kit) -> Predict:
    """The correlation (M, K), -1 to 1, of a residual with the mean residual of each source."""
    learned = ~training.validation
    known = np.unique(training.labels[learned])
    rows = [training.features[learned & (training.labels == label)] for label in known]
    fingerprints = _standardise(np.stack([of_source.mean(axis=0, dtype=np.float64).ravel() for of_source in rows]))

    def predict(unknown: npt.NDArray[Any]) -> Scores:
        return every_source(_standardise(flat(unknown).astype(np.float64)) @ fingerprints.T, known, training.classes)

    return predict


def _standardise(rows: Doubles) -> Doubles:
    """Rows (N, D) less their mean, of norm 1; a constant row as zeros."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    unit: Doubles = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return unit


MARRA19 = Method(
    name="marra19",
    title="Marra19",
    reference="Marra, Gragnaniello, Verdoliva, Poggi: Do GANs leave artificial fingerprints? MIPR 2019, arXiv 1812.11842",
    published="not comparable: correlations between single GANs, drawn as ROC curves",
    differs="many sources at once, diffusion models and `real` among them, images of one source from several publishers",
    features=features,
    fit=fit,
)
