"""Residual of one denoising step: r = x - x̂_0(x_t, t), what a pretrained diffusion model takes for noise in the image.

The same idea as Marra et al. (MIPR 2019), whose denoiser is a fixed filter, with a learned prior in its place: one call of the
network, where DIRE needs 40.
"""

from __future__ import annotations

import torch
from torch import Tensor

from causalprint.models.residuals.base import ModelResidual
from causalprint.models.residuals.prior import load_prior
from causalprint.schemas.model_spec import ResidualSpec

NOISE_LEVEL = 0.03


def load(spec: ResidualSpec, device: torch.device | str) -> ModelResidual:
    """Loads kind ``denoise``.

    The level that the network is asked at is option ``timestep``, or ``sigma``, the noise's standard deviation over an image in
    0 to 1 (the nearest timestep is taken); where neither is given, sigma = 0.03 (7.7 grey levels): above the rounding of 8 bits
    and mild compression, so that the network looks for structure at all, and below the texture that it would smooth away.
    ``noise`` = 1 adds fixed Gaussian noise of that level (``seed``, 0), the same to every image; ``noise`` = 0, the default, adds
    none: then r holds no noise but the image's own. Generators were told apart on images of other origins equally well at 0.01
    and 0.03, less well at 0.08, and less well with noise added.

    Raises:
        ResidualError: as of :func:`~causalprint.models.residuals.prior.load_prior`; or the level is given twice or is none of
            the schedule's.
    """
    prior = load_prior(spec, device)
    given = {name for name, _ in spec.options}
    if {"timestep", "sigma"} <= given:
        raise spec.error("gives its level twice; give timestep or sigma, not both")
    last = len(prior.alphas_cumprod) - 1
    nearest = prior.nearest_timestep(spec.number("sigma", NOISE_LEVEL, 0, prior.noise_level(last)))
    timestep = spec.integer("timestep", nearest, 0, last)
    seed = spec.integer("seed", 0, 0, 2**63 - 1)
    noisy = spec.integer("noise", 0, 0, 1)
    signal, spread = prior.levels(timestep)

    def denoise(x: Tensor) -> Tensor:
        x_t = signal * (2 * x - 1)
        if noisy:
            # Drawn on the CPU: the same for every image and device.
            noise = torch.randn((1, 3, *x.shape[-2:]), generator=torch.Generator().manual_seed(seed))
            x_t = x_t + spread * noise.to(x.device)
        return (prior.predict(x_t, timestep).clean + 1) / 2

    return ModelResidual(spec, denoise, prior.factor, prior.digests)
