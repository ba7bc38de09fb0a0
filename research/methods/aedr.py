"""AEDR: an image that a decoder made changes as little when it is reconstructed as its reconstruction does.

x1 = D(E(x)), x2 = D(E(x1)), t = MSE(x, x1) / MSE(x1, x2), times the homogeneity of the image's grey-level co-occurrences, since
smooth images reconstruct well whoever made them; the paper leaves its levels, offsets and averaging open, see
:func:`homogeneity`. It takes an image for a model's own if its t is below a high quantile of a kernel density estimated over
images of that model.

That decides about one model whose autoencoder is at hand. Among many sources, most without one, a source is known by where its t
lie under each of the kit's autoencoders: a kernel density a source over log t, and the densest wins, sources alike frequent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.neighbors import KernelDensity
from torch import Tensor

from causalprint.models.lenses.fourier import grey
from causalprint.models.residuals.base import Residual
from causalprint.research.methods.base import Kit, Method, Predict, Training
from causalprint.research.methods.estimators import best_of, every_source, flat
from causalprint.research.methods.images import each_tensor
from causalprint.research.methods.loaded import residual_of
from causalprint.schemas.arrays import Crops, Floats, Scores

BANDWIDTHS = (0.1, 0.2, 0.4, 0.8)
"""Of the kernels, in standard deviations of log t over all training images."""
SMALLEST_LOSS = 1e-12


def score(image: Tensor, autoencoder: Residual) -> Tensor:
    """The ratio t (N,) of images (N, 3, C, C), 0 to 1; mean squared errors below 1e-12 count as that."""
    first = autoencoder(image).reconstruction
    second = autoencoder(first).reconstruction
    lost, lost_again = (error.square().mean(dim=(1, 2, 3)).clamp(min=SMALLEST_LOSS) for error in (image - first, first - second))
    return lost / lost_again * homogeneity(image)


def homogeneity(x: Tensor) -> Tensor:
    """Homogeneity of the grey-level co-occurrence matrix of ``x`` (N, 3, H, W) in 0 to 1, as (N,) in 0 to 1.

    Σ p(i, j) / (1 + (i - j)²) over 256 levels of BT.601 luma, neighbours at distance 1 in four directions, averaged over
    the directions. A sum over the matrix of pairs is a mean over the pairs, so the matrix is never made.
    """
    luma = (255 * grey(x)[:, 0]).round()
    steps = (
        luma[:, :, 1:] - luma[:, :, :-1],
        luma[:, 1:, :] - luma[:, :-1, :],
        luma[:, 1:, 1:] - luma[:, :-1, :-1],
        luma[:, :-1, 1:] - luma[:, 1:, :-1],
    )
    return torch.stack([(1 / (1 + step.square())).mean(dim=(1, 2)) for step in steps]).mean(dim=0)


def features(crops: Crops, kit: Kit) -> Floats:
    """The logarithm of t under each of A autoencoders, float32 (N, A)."""
    autoencoders = [residual_of(spec, kit.device) for spec in kit.autoencoders]

    def apply(image: Tensor) -> Tensor:
        return torch.stack([score(image, autoencoder) for autoencoder in autoencoders], dim=1).clamp(min=SMALLEST_LOSS).log()

    return each_tensor(crops, apply, kit.device)


def fit(training: Training, kit: Kit) -> Predict:
    """Log-densities (M, K), the kernels' bandwidth by validation rows."""
    learned = ~training.validation
    rows, labels = flat(training.features[learned]), training.labels[learned]
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    known = np.unique(labels)

    def learn(bandwidth: float) -> Predict:
        fitted = [KernelDensity(bandwidth=bandwidth).fit((rows[labels == label] - mean) / scale) for label in known]

        def predict(unknown: npt.NDArray[Any]) -> Scores:
            places = (flat(unknown) - mean) / scale
            return every_source(np.stack([source.score_samples(places) for source in fitted], axis=1), known, training.classes)

        return predict

    return best_of(training, learn, BANDWIDTHS)


AEDR = Method(
    name="aedr",
    title="AEDR",
    reference="Wang et al.: AEDR, AAAI 2026, arXiv 2507.18988",
    published="accuracy 95.1 %, origin of eight latent diffusion models, each with its own autoencoder at hand",
    differs="the kit's autoencoders, none of which need be a source's own; densities compared, not one threshold a source; "
    "homogeneity over 256 levels and four directions (released code: 32 levels, one direction)",
    features=features,
    fit=fit,
)
