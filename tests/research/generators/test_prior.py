from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDPMPipeline

from causalprint.models.residuals.prior import load_prior
from causalprint.models.sampling import sample
from causalprint.pipelines.shards.photographs import photographs
from causalprint.research.generators.denoising import GAUSSIAN_WIDTHS, denoise, gaussian_filter, judge, median_filter
from causalprint.research.generators.prior import (
    PriorConfig,
    VelocityLoss,
    build_prior,
    build_scheduler,
    export_prior,
    nearest_timesteps,
    noise_levels,
)
from causalprint.schemas.model_spec import ResidualSpec

SHIPPED = Path(str(files("causalprint.models") / "weights" / "default" / "residual"))
TINY = PriorConfig(channels=(8, 8), groups=4)


def test_each_timestep_is_the_nearest_to_its_own_noise() -> None:
    scheduler = build_scheduler()
    levels = noise_levels(scheduler)
    assert np.all(np.diff(levels) > 0)
    np.testing.assert_array_equal(nearest_timesteps(scheduler, levels), np.arange(len(levels)))


def test_noise_levels_are_those_that_the_scheduler_adds() -> None:
    scheduler = build_scheduler()
    flat = torch.full((1, 3, 200, 200), 0.5)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal(flat.shape, dtype=np.float32))
    (timestep,) = nearest_timesteps(scheduler, [0.1])
    noisy = scheduler.add_noise(2 * flat - 1, noise, torch.tensor([timestep]))
    image = (noisy / scheduler.alphas_cumprod[timestep].sqrt() + 1) / 2
    assert float((image - flat).std()) == pytest.approx(float(noise_levels(scheduler)[timestep]), rel=0.01)


def test_most_training_noise_is_low_and_some_is_anywhere() -> None:
    config = PriorConfig(low_noise_share=0.75)
    scheduler = build_scheduler()
    timesteps = VelocityLoss(config, scheduler).draw_timesteps(4000, np.random.default_rng(0))
    last = nearest_timesteps(scheduler, [config.low_noise[1]])[0]
    assert np.mean(timesteps <= last) == pytest.approx(0.75 + 0.25 * last / 1000, abs=0.03)
    assert timesteps.max() > 950


def test_an_export_is_a_pipeline_that_predicts_what_the_model_did(tmp_path: Path) -> None:
    model = build_prior(TINY)
    export_prior(model, TINY, tmp_path)
    image = torch.rand(1, 3, 24, 40)
    expected = model(image, 10).sample
    for pipeline in (DDPMPipeline, DDIMPipeline):
        loaded = pipeline.from_pretrained(tmp_path)
        assert loaded.scheduler.config.prediction_type == "v_prediction"
        torch.testing.assert_close(loaded.unet(image, 10).sample, expected, atol=0.02, rtol=0.02)


def test_a_perfect_prior_denoises_perfectly(tmp_path: Path) -> None:
    export_prior(build_prior(TINY), TINY, tmp_path)
    prior = load_prior(ResidualSpec("denoise", str(tmp_path)), "cpu")
    image, timestep = torch.rand(1, 3, 16, 16), 60
    noise = torch.randn(1, 3, 16, 16)
    signal, spread = prior.levels(timestep)

    def velocity(x_t: torch.Tensor, _: int) -> torch.Tensor:
        return signal * noise - spread * (2 * image - 1)

    perfect = type(prior)(velocity, prior.alphas_cumprod, prior.prediction_type, prior.factor, prior.digests)
    noisy = image + prior.noise_level(timestep) * noise
    torch.testing.assert_close(denoise(perfect, noisy, timestep), image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", [3, 5])
def test_the_median_filter_is_the_median_of_the_window(side: int) -> None:
    image = torch.rand(1, 3, 12, 14)
    reach = side // 2
    window = image[0, 1, 6 - reach : 7 + reach, 5 - reach : 6 + reach]
    assert float(median_filter(image, side)[0, 1, 6, 5]) == float(window.median())


@pytest.mark.parametrize("width", GAUSSIAN_WIDTHS[::9])
def test_the_gaussian_filter_spreads_a_point_by_its_width(width: float) -> None:
    point = torch.zeros(1, 3, 41, 41)
    point[..., 20, 20] = 1
    profile = gaussian_filter(point, width)[0, 0].sum(0)
    offsets = torch.arange(41) - 20
    assert float(profile.sum()) == pytest.approx(1, abs=1e-5)
    # Sampling a narrow Gaussian at whole pixels changes its variance.
    assert float((profile * offsets**2).sum()) == pytest.approx(width**2, abs=0.1)


def test_the_shipped_prior_is_small_enough_for_git_and_cpu() -> None:
    pipeline = DDPMPipeline.from_pretrained(SHIPPED)
    assert sum(parameter.numel() for parameter in pipeline.unet.parameters()) <= 2_000_000
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 4_000_000


@pytest.mark.slow
def test_the_shipped_prior_beats_every_classical_filter_on_photographs_it_never_saw() -> None:
    held_out = [photograph.pixels for photograph in photographs() if photograph.name in ("camera", "grass")]
    if not held_out:
        pytest.skip("scikit-image is not installed: pip install causalprint[demo]")
    for figure in judge(load_prior(ResidualSpec("denoise", str(SHIPPED)), "cpu"), held_out, side=128):
        assert figure.prior > max(figure.gaussian, figure.median, figure.noisy), figure


def test_a_sample_depends_on_its_seed_and_number_alone(tmp_path: Path) -> None:
    export_prior(build_prior(TINY), TINY, tmp_path)
    three = sample(tmp_path, 3, 16, 4, seed=5)
    assert three.shape == (3, 16, 16, 3)
    assert three.dtype == np.uint8
    np.testing.assert_array_equal(sample(tmp_path, 2, 16, 4, seed=5), three[:2])
    assert not np.array_equal(three[0], three[1])
    assert not np.array_equal(sample(tmp_path, 1, 16, 4, seed=6)[0], three[0])
