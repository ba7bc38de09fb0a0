"""Residual of one denoising step: r = x - x̂_0(x_t, t), what a pretrained diffusion model takes for noise in the image.

The same idea as Marra et al. (MIPR 2019), whose denoiser is a fixed filter, with a learned prior in its place: one call of the
network, where DIRE needs 40.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from causalprint.models.residuals.base import Reconstruction, gradients_where_asked, pad_to_factor, subtract
from causalprint.models.residuals.prior import Prior, load_prior
from causalprint.schemas.model_spec import ResidualSpec

NOISE_LEVEL = 0.03


@dataclass(frozen=True, slots=True)
class DenoiseResidual:
    """The residual of one step of ``prior``; see :class:`~causalprint.models.residuals.base.Residual`.

    Attributes:
        spec: its options. The level is ``timestep``, or ``sigma``, the noise's standard deviation over an image in 0 to 1 (the
            nearest timestep is taken); where neither is given, sigma = 0.03 (7.7 grey levels): above the rounding of 8 bits and
            mild compression, so that the network looks for structure at all, and below the texture that it would smooth away.
            ``noise`` = 1 adds fixed Gaussian noise of that level (``seed``, 0), the same to every image; ``noise`` = 0, the
            default, adds none: then r holds no noise but the image's own. Generators were told apart on images of other
            origins equally well at 0.01 and 0.03, less well at 0.08, and less well with noise added.
        prior: the diffusion model.
        timestep: the level that the network is asked at.
        seed: of the noise; ``None`` adds none.
    """

    spec: ResidualSpec
    prior: Prior
    timestep: int
    seed: int | None

    @property
    def digests(self) -> Mapping[str, str]:
        """See :class:`~causalprint.models.residuals.base.Residual`."""
        return self.prior.digests

    @gradients_where_asked
    def __call__(self, x: Tensor) -> Reconstruction:
        """See :class:`~causalprint.models.residuals.base.Residual`."""
        height, width = x.shape[-2:]
        signal, spread = self.prior.levels(self.timestep)
        x_t = signal * (2 * pad_to_factor(x, self.prior.factor) - 1)
        if self.seed is not None:
            x_t = x_t + spread * _fixed_noise(x_t.shape[-2:], self.seed).to(x_t.device)
        clean = self.prior.predict(x_t, self.timestep).clean
        return subtract(x, ((clean + 1) / 2)[..., :height, :width].clamp(0, 1))


def load(spec: ResidualSpec, device: torch.device | str) -> DenoiseResidual:
    """Loads kind ``denoise``.

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
    return DenoiseResidual(spec, prior, timestep, seed if spec.integer("noise", 0, 0, 1) else None)


def _fixed_noise(size: torch.Size, seed: int) -> Tensor:
    """Standard normal noise (1, 3, H, W), the same for every image and device: drawn on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, 3, *size), generator=generator)
