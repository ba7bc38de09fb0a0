"""DIRE (Wang et al., ICCV 2023): what deterministic inversion to noise and reconstruction from it do not give back.

The DDIM step (Song et al., ICLR 2021, equation 12 with sigma = 0) is an Euler step of an ordinary differential equation:

    x_s = √ᾱ_s · x̂_0(x_t, t) + √(1 - ᾱ_s) · ε̂(x_t, t)

for either direction, with the network asked **at the level t that the image is at**, never at the level s it goes to. (Asking
at s, or at t's neighbour in the table of ᾱ, still gives plausible images, with an error of its own that would be taken for
the generator's.) DIRE's defaults are 20 steps each way; its absolute value is taken nowhere here, since
arXiv 2509.15406 keeps the sign.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from causalprint.models.residuals.base import ModelResidual
from causalprint.models.residuals.prior import Prior, load_prior
from causalprint.schemas.model_spec import ResidualSpec

STEPS = 20


def spaced_timesteps(steps: int, until: int) -> tuple[int, ...]:
    """``steps`` timesteps, evenly spaced up to ``until``: the levels an inversion passes after the clean image."""
    return tuple((2 * step * until + steps) // (2 * steps) for step in range(1, steps + 1))


def invert(prior: Prior, clean: Tensor, timesteps: tuple[int, ...]) -> Tensor:
    """The noise that ``clean`` (N, 3, H, W; -1 to 1) comes from: x_t at the last of ``timesteps``.

    The clean image has no noise level of its own in the table (ᾱ = 1 would be t = -1), so the network is asked at t = 0,
    its lowest, at that level's scale; the clean image itself stands for x̂_0.
    """
    signal, spread = prior.levels(timesteps[0])
    x = signal * clean + spread * prior.predict(prior.levels(0)[0] * clean, 0).noise
    for here, there in pairwise(timesteps):
        x = _step(prior, x, here, there)
    return x


def reconstruct(prior: Prior, x: Tensor, timesteps: tuple[int, ...]) -> Tensor:
    """The clean image (-1 to 1, not clipped) that ``x``, at the last of ``timesteps``, leads to: :func:`invert` back."""
    for here, there in zip(timesteps[:0:-1], timesteps[-2::-1], strict=True):
        x = _step(prior, x, here, there)
    return prior.predict(x, timesteps[0]).clean


def load(spec: ResidualSpec, device: torch.device | str) -> ModelResidual:
    """Loads kind ``ddim``.

    Option ``steps`` (20): steps each way, one call of the network each; ``until`` (the last): the timestep that the inversion
    ends at. Only the final image is clipped.

    Raises:
        ResidualError: as of :func:`~causalprint.models.residuals.prior.load_prior`; or the steps do not fit the schedule.
    """
    prior = load_prior(spec, device)
    last = len(prior.alphas_cumprod) - 1
    until = spec.integer("until", last, 1, last)
    timesteps = spaced_timesteps(spec.integer("steps", min(STEPS, until), 1, until), until)
    if prior.prediction_type == "epsilon" and prior.alphas_cumprod[until] == 0:
        raise spec.error(
            f"at timestep {until} the schedule leaves no signal, from which predicted noise gives no "
            f"image back; give until={until - 1} or less"
        )

    def there_and_back(x: Tensor) -> Tensor:
        return (reconstruct(prior, invert(prior, 2 * x - 1, timesteps), timesteps) + 1) / 2

    return ModelResidual(spec, there_and_back, prior.factor, prior.digests)


def _step(prior: Prior, x: Tensor, here: int, there: int) -> Tensor:
    signal, spread = prior.levels(there)
    predicted = prior.predict(x, here)
    return signal * predicted.clean + spread * predicted.noise
