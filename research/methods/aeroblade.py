"""AEROBLADE: an autoencoder loses least of the images that its own decoder made.

The paper asks for the least distance d(x, D(E(x))) over autoencoders and learns nothing. Attribution needs to know which one
it was: the distances to each, and the least, are features of a logistic regression.

Chosen here: three distances in place of LPIPS, whose network is not part of this package: mean squared error, the same of the
differences of neighbouring pixels, and 1 - SSIM (Wang et al. 2004: Gaussian windows, deviation 1.5), as logarithms.
"""

from __future__ import annotations

import torch
from torch import Tensor

from causalprint.research.methods.base import Kit, Method
from causalprint.research.methods.estimators import learn_best, load_library, logistic_regressions
from causalprint.research.methods.images import each_tensor
from causalprint.research.methods.loaded import residual_of
from causalprint.schemas.arrays import Crops, Floats

NOTHING = 1e-8
"""A distance that counts as none."""


def distances(image: Tensor, reconstruction: Tensor) -> Tensor:
    """Three distances (3,) between two images (1, 3, C, C), 0 to 1: squared error, of differences of neighbours, 1 - SSIM."""
    error = image - reconstruction
    steps = (error.diff(dim=2).square().mean() + error.diff(dim=3).square().mean()) / 2
    one, other = (picture[0].permute(1, 2, 0).cpu().numpy() for picture in (image, reconstruction))
    similarity = load_library("skimage.metrics").structural_similarity(
        one, other, channel_axis=2, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return torch.stack([error.square().mean(), steps, error.new_tensor(1 - similarity)])


def features(crops: Crops, kit: Kit) -> Floats:
    """Natural logarithms of the distances to each of A autoencoders, then of the least of each: float32 (N, A + 1, 3)."""
    autoencoders = [residual_of(spec, kit.device) for spec in kit.autoencoders]

    def apply(image: Tensor) -> Tensor:
        each = torch.stack([distances(image, residual(image).reconstruction) for residual in autoencoders])
        return torch.cat([each, each.amin(dim=0, keepdim=True)]).clamp(min=NOTHING).log()[None]

    return each_tensor(crops, apply, kit.device)


AEROBLADE = Method(
    name="aeroblade",
    title="AEROBLADE",
    reference="Ricker, Lukovnikov, Fischer: AEROBLADE, CVPR 2024, arXiv 2401.17879",
    published="mean average precision 0.992, detection of latent diffusion models by their own autoencoders",
    differs="attribution; the kit's autoencoders, none of which need be a source's own; three simple distances in place of LPIPS",
    features=features,
    fit=lambda training, _: learn_best(training, logistic_regressions((0.01, 0.1, 1, 10), 2000)),
)
