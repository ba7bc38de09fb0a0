"""The DDIM step against a denoiser that is known exactly: data from a Gaussian, where the equation it solves has a closed form.

With x_0 ~ N(m, s²) and y = x_t / √ᾱ at noise h = √((1 - ᾱ) / ᾱ), the best noise prediction is
ε = √(1 - ᾱ) · (x_t - √ᾱ·m) / (ᾱ·s² + 1 - ᾱ), and dy/dh = ε is solved by y(h) = m + (y(0) - m) · √(s² + h²) / s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from causalprint.models.residuals.ddim import invert, reconstruct, spaced_timesteps
from causalprint.models.residuals.prior import PREDICTIONS, Prior

MEAN, SPREAD = 0.1, 0.5
UNTIL = 3000


def alphas(length: int) -> tuple[float, ...]:
    """The usual linear schedule, drawn out over ``length`` timesteps so that steps can be made finer than 1,000."""
    stretch = 1000 / length
    betas = torch.linspace(1e-4 * stretch, 0.02 * stretch, length, dtype=torch.float64)
    return tuple((1 - betas).cumprod(0).tolist())


def exact(prediction_type: str, table: tuple[float, ...]) -> Callable[[Tensor, int], Tensor]:
    """The best possible network for Gaussian data, giving what ``prediction_type`` asks for."""

    def network(x_t: Tensor, timestep: int) -> Tensor:
        alpha = table[timestep]
        signal, noise = math.sqrt(alpha), math.sqrt(1 - alpha)
        epsilon = noise * (x_t - signal * MEAN) / (alpha * SPREAD**2 + 1 - alpha)
        clean = (x_t - noise * epsilon) / signal
        return {"epsilon": epsilon, "sample": clean, "v_prediction": signal * epsilon - noise * clean}[prediction_type]

    return network


def gaussian_prior(prediction_type: str = "epsilon", length: int = 4000) -> Prior:
    table = alphas(length)
    return Prior(exact(prediction_type, table), table, prediction_type, 1, {})


def images() -> Tensor:
    return MEAN + SPREAD * torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def exact_latent(x: Tensor, prior: Prior, until: int) -> Tensor:
    """The closed form: where ``x`` ends up at timestep ``until``."""
    signal, noise = prior.levels(until)
    return signal * (MEAN + (x - MEAN) * math.sqrt(SPREAD**2 + (noise / signal) ** 2) / SPREAD)


def orders(errors: list[float]) -> list[float]:
    """Order of convergence between neighbours of ``errors``, each with twice the steps of the one before."""
    return [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]


@pytest.mark.parametrize("prediction_type", PREDICTIONS)
def test_inversion_converges_to_the_exact_solution_at_first_order(prediction_type: str) -> None:
    prior, x = gaussian_prior(prediction_type), images()
    target = exact_latent(x, prior, UNTIL)
    errors = [(invert(prior, x, spaced_timesteps(steps, UNTIL)) - target).abs().max().item() for steps in (25, 50, 100, 200, 400)]
    assert all(0.85 < order < 1.25 for order in orders(errors)), errors
    assert errors[-1] < 0.02


@pytest.mark.parametrize("prediction_type", PREDICTIONS)
def test_inversion_and_reconstruction_return_the_image_at_first_order(prediction_type: str) -> None:
    prior, x = gaussian_prior(prediction_type), images()
    errors = []
    for steps in (25, 50, 100, 200, 400):
        timesteps = spaced_timesteps(steps, UNTIL)
        errors.append((reconstruct(prior, invert(prior, x, timesteps), timesteps) - x).abs().max().item())
    assert all(0.85 < order < 1.25 for order in orders(errors)), errors
    assert errors[-1] < 0.02


def test_reconstruction_starts_from_noise_and_converges_to_the_exact_image() -> None:
    prior, x = gaussian_prior(), images()
    latent = exact_latent(x, prior, UNTIL)
    errors = [(reconstruct(prior, latent, spaced_timesteps(steps, UNTIL)) - x).abs().max().item() for steps in (25, 50, 100, 200)]
    assert all(0.85 < order < 1.25 for order in orders(errors)), errors


@pytest.mark.parametrize("prediction_type", PREDICTIONS)
def test_inversion_is_euler_s_method_and_asks_where_it_stands(prediction_type: str) -> None:
    """The trap is to ask at the level that a step goes to: beside the plain formula it would show."""
    prior, x = gaussian_prior(prediction_type), images()
    timesteps = spaced_timesteps(20, UNTIL)
    noise = {timestep: 2 * prior.noise_level(timestep) for timestep in (0, *timesteps)}

    def euler(asked: dict[int, int]) -> Tensor:
        y, h = x, 0.0
        for here, there in pairwise((0, *timesteps)):
            at = noise[asked[here]]
            y = y + (noise[there] - h) * at * (y - MEAN) / (SPREAD**2 + at**2)
            h = noise[there]
        return prior.levels(UNTIL)[0] * y

    inverted = invert(prior, x, timesteps)
    torch.testing.assert_close(inverted, euler({here: here for here in noise}), rtol=1e-6, atol=1e-6)
    shifted = dict(pairwise((0, *timesteps)))
    assert (inverted - euler(shifted)).abs().max() > 0.05


def test_the_network_is_asked_at_the_level_that_the_image_is_at() -> None:
    """Every call must get an image whose noise is that of its timestep: seen in data that is nothing but its mean."""
    table, calls = alphas(1000), []

    def network(x_t: Tensor, timestep: int) -> Tensor:
        calls.append((timestep, x_t.mean().item() / math.sqrt(table[timestep])))
        return torch.zeros_like(x_t)  # no noise is ever found, so the clean image must stay what it is

    prior, x = Prior(network, table, "epsilon", 1, {}), torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)
    timesteps = spaced_timesteps(4, 999)
    reconstruct(prior, invert(prior, x, timesteps), timesteps)
    assert [timestep for timestep, _ in calls] == [0, 250, 500, 749, 999, 749, 500, 250]
    assert np.allclose([clean for _, clean in calls], 0.5)


def test_the_way_back_is_the_scheduler_s_own() -> None:
    prior, x = gaussian_prior(length=1000), images()
    scheduler = DDIMScheduler(clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing")
    scheduler.set_timesteps(20)
    # Trailing spacing visits 49, 99 … 999, each step from one to the next and the last to the clean image.
    timesteps = tuple(reversed(scheduler.timesteps.tolist()))
    expected = x
    for timestep in scheduler.timesteps.tolist():
        expected = scheduler.step(prior.network(expected, timestep), timestep, expected).prev_sample
    torch.testing.assert_close(reconstruct(prior, x, timesteps), expected, rtol=1e-4, atol=1e-4)


def test_a_schedule_that_ends_in_pure_noise_is_crossed_by_v_prediction() -> None:
    scheduler = DDPMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    table = tuple(scheduler.alphas_cumprod.double().tolist())
    assert table[-1] == 0

    def network(x_t: Tensor, timestep: int) -> Tensor:
        signal, noise = math.sqrt(table[timestep]), math.sqrt(1 - table[timestep])
        total = table[timestep] * SPREAD**2 + 1 - table[timestep]
        clean = MEAN + signal * SPREAD**2 * (x_t - signal * MEAN) / total
        velocity: Tensor = signal * noise * (x_t - signal * MEAN) / total - noise * clean
        return velocity

    prior, x = Prior(network, table, "v_prediction", 1, {}), images()
    timesteps = spaced_timesteps(900, 999)
    latent = invert(prior, x, timesteps)
    torch.testing.assert_close(latent, (x - MEAN) / SPREAD, rtol=0, atol=0.05)
    torch.testing.assert_close(reconstruct(prior, latent, timesteps), x, rtol=0, atol=0.05)


@pytest.mark.parametrize(("steps", "until"), [(1, 1), (1, 999), (20, 999), (7, 50), (999, 999)])
def test_timesteps_are_even_and_distinct_and_end_where_asked(steps: int, until: int) -> None:
    timesteps = spaced_timesteps(steps, until)
    assert len(set(timesteps)) == steps
    assert timesteps[-1] == until
    assert timesteps[0] >= 1
    gaps = np.diff((0, *timesteps))
    assert gaps.max() - gaps.min() <= 1
