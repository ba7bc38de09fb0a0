"""One-step denoising by the prior, and how far it surpasses the best classical filter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from causalprint.models.residuals.prior import Prior
from causalprint.schemas.arrays import Pixels

SIGMAS = tuple(level / 255 for level in (5, 10, 15, 25, 35, 50))
"""Noise levels at which the prior is judged: standard deviations for images in [0, 1]."""

GAUSSIAN_WIDTHS = tuple(tenths / 10 for tenths in range(3, 31))
MEDIAN_SIDES = (3, 5, 7)


class DenoisingFigure(NamedTuple):
    """Mean PSNR in dB over the photographs at one noise level.

    Attributes:
        timestep: where the prior was asked.
        sigma: standard deviation of the noise there, images in [0, 1].
        noisy: of the noisy image itself.
        prior: of the prior's one-step estimate.
        gaussian: of the Gaussian filter whose width, chosen in hindsight for this level, does best.
        gaussian_width: that width in pixels.
        median: of the median filter whose side, chosen likewise, does best.
        median_side: that side in pixels.
    """

    timestep: int
    sigma: float
    noisy: float
    prior: float
    gaussian: float
    gaussian_width: float
    median: float
    median_side: int


@torch.inference_mode()
def denoise(prior: Prior, noisy: torch.Tensor, timestep: int) -> torch.Tensor:
    """The clean image that ``prior`` expects behind ``noisy``, in one step.

    Args:
        prior: the diffusion model.
        noisy: (n, 3, height, width): an image in [0, 1] plus noise of the timestep's standard deviation, unclipped;
            sides are multiples of ``prior.factor``.
        timestep: of the prior's schedule.

    Returns:
        (n, 3, height, width) in [0, 1].
    """
    signal, _ = prior.levels(timestep)
    clean = prior.predict(signal * (2 * noisy - 1), timestep).clean
    return ((clean + 1) / 2).clamp(0, 1)


def gaussian_filter(images: torch.Tensor, width: float) -> torch.Tensor:
    """Gaussian blur of standard deviation ``width`` pixels, cut at four of them, mirrored at the borders; same shape."""
    filtered = ndimage.gaussian_filter(images.numpy(), width, mode="mirror", axes=(2, 3), radius=math.ceil(4 * width))
    return torch.from_numpy(filtered)


def median_filter(images: torch.Tensor, side: int) -> torch.Tensor:
    """Median over a ``side`` x ``side`` window (odd), mirrored at the borders; same shape."""
    return torch.from_numpy(ndimage.median_filter(images.numpy(), side, mode="mirror", axes=(2, 3)))


def psnr(images: torch.Tensor, others: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB of (n, 3, height, width) in [0, 1], averaged over the n images."""
    errors = (images - others).square().mean(dim=(1, 2, 3))
    return float((-10 * torch.log10(errors.clamp_min(1e-12))).mean())


def judge(prior: Prior, photographs: Sequence[Pixels], side: int) -> tuple[DenoisingFigure, ...]:
    """The prior against the best Gaussian and the best median filter, on the centres of ``photographs``, at :data:`SIGMAS`.

    Each level is judged at the nearest timestep's exact one. ``photographs`` are uint8 (height, width, 3) each; a square of
    ``side`` pixels is cut from each centre, and no photograph may be smaller.
    """
    crops = []
    for photograph in photographs:
        top, left = ((length - side) // 2 for length in photograph.shape[:2])
        crops.append(photograph[top : top + side, left : left + side])
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().contiguous() / 255
    return tuple(_judge_level(prior, images, prior.nearest_timestep(sigma)) for sigma in SIGMAS)


def _judge_level(prior: Prior, images: torch.Tensor, timestep: int) -> DenoisingFigure:
    sigma = prior.noise_level(timestep)
    rng = np.random.default_rng(timestep)
    noisy = images + sigma * torch.from_numpy(rng.standard_normal(tuple(images.shape), dtype=np.float32))

    def score(apply: Callable[[torch.Tensor], torch.Tensor]) -> float:
        # One image at a time: that bounds memory, and is how the prior is used.
        return psnr(images, torch.cat([apply(image).clamp(0, 1) for image in noisy.split(1)]))

    gaussians = {width: score(partial(gaussian_filter, width=width)) for width in GAUSSIAN_WIDTHS}
    medians = {window: score(partial(median_filter, side=window)) for window in MEDIAN_SIDES}
    width, window = max(gaussians, key=gaussians.__getitem__), max(medians, key=medians.__getitem__)
    return DenoisingFigure(
        timestep=timestep,
        sigma=sigma,
        noisy=psnr(images, noisy.clamp(0, 1)),
        prior=score(partial(denoise, prior, timestep=timestep)),
        gaussian=gaussians[width],
        gaussian_width=width,
        median=medians[window],
        median_side=window,
    )
