"""The embedded diffusion prior: a small, fully convolutional U-Net, its noise schedule and its loss.

The model is a diffusers ``UNet2DModel`` without attention, so that it takes images of any size and keeps their finest
frequencies, where a generator's fingerprint lives (its first layer neither strides nor folds pixels into channels). It
predicts ``v`` (Salimans & Ho, ICLR 2022, section 4): at low noise that is the noise, which one-step denoising needs, and at
high noise the image, which keeps sampling from pure noise stable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMPipeline, UNet2DModel
from numpy.typing import NDArray

TRAINING_STEPS = 1000
"""Length of the diffusion chain, the usual one of DDPM (Ho et al., NeurIPS 2020)."""


@dataclass(frozen=True)
class PriorConfig:
    """Architecture of the prior, and which noise it meets in training.

    Attributes:
        channels: features per resolution, finest first; each further level halves the resolution.
        groups: groups of each GroupNorm; divides every entry of ``channels``.
        low_noise: range of the noise at which residuals are taken: standard deviations for images in [0, 1].
        low_noise_share: share of patches with noise drawn log-uniformly from ``low_noise``; the others take any timestep.
    """

    channels: tuple[int, ...] = (8, 16, 32, 64)
    groups: int = 8
    low_noise: tuple[float, float] = (2 / 255, 64 / 255)
    low_noise_share: float = 0.75


def build_prior(config: PriorConfig) -> UNet2DModel:
    """The untrained U-Net: (n, 3, height, width) and timesteps (n,) in, ``v`` of the same shape out.

    Height and width must be multiples of ``2 ** (len(channels) - 1)``.
    """
    levels = len(config.channels)
    return UNet2DModel(
        sample_size=128,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=config.channels,
        down_block_types=("DownBlock2D",) * levels,
        up_block_types=("UpBlock2D",) * levels,
        add_attention=False,
        norm_num_groups=config.groups,
    )


def build_scheduler() -> DDIMScheduler:
    """DDPM's linear noise schedule over 1,000 steps, told that the model predicts ``v``."""
    return DDIMScheduler(num_train_timesteps=TRAINING_STEPS, prediction_type="v_prediction", timestep_spacing="trailing")


def noise_levels(scheduler: DDIMScheduler) -> NDArray[np.float64]:
    """The noise of every timestep as a standard deviation for images in [0, 1], shape (timesteps,), rising.

    At timestep t the model sees ``sqrt(a) x + sqrt(1 - a) e`` for x in [-1, 1]; divided by ``sqrt(a)`` this is the image
    under noise of standard deviation ``sqrt((1 - a) / a)``, half of that on the scale of [0, 1].
    """
    alphas = scheduler.alphas_cumprod.double().numpy()
    return np.asarray(np.sqrt((1 - alphas) / alphas) / 2, dtype=np.float64)


def nearest_timesteps(scheduler: DDIMScheduler, sigmas: Sequence[float] | NDArray[np.float64]) -> NDArray[np.int64]:
    """For each standard deviation (images in [0, 1]) the timestep whose noise comes nearest by ratio, shape (sigmas,)."""
    levels = np.log(noise_levels(scheduler))
    wanted = np.log(np.asarray(sigmas, dtype=np.float64))
    distances = np.abs(wanted[:, None] - levels[None, :])
    return np.asarray(distances.argmin(axis=1), dtype=np.int64)


@dataclass(frozen=True)
class VelocityLoss:
    """Mean square error of ``v`` at noise drawn as ``config`` says, for :func:`causalprint.research.training.loop.train_step`."""

    config: PriorConfig
    scheduler: DDIMScheduler

    def __call__(self, model: torch.nn.Module, images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """The loss of ``model`` on ``images`` (n, 3, side, side) in [-1, 1], a scalar."""
        timesteps = torch.from_numpy(self.draw_timesteps(len(images), rng)).to(images.device)
        noise = torch.from_numpy(rng.standard_normal(tuple(images.shape), dtype=np.float32)).to(images.device)
        noisy = self.scheduler.add_noise(images, noise, timesteps)
        velocity = self.scheduler.get_velocity(images, noise, timesteps)
        predicted = model(noisy, timesteps).sample.float()
        return torch.nn.functional.mse_loss(predicted, velocity)

    def draw_timesteps(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Timesteps for ``count`` patches: mostly low noise, where the residual is taken, the rest anywhere."""
        low, high = np.log(self.config.low_noise)
        low_noise = nearest_timesteps(self.scheduler, np.exp(rng.uniform(low, high, count)))
        anywhere = rng.integers(0, TRAINING_STEPS, count)
        return np.where(rng.random(count) < self.config.low_noise_share, low_noise, anywhere)


def export_prior(average: torch.nn.Module, config: PriorConfig, directory: Path) -> None:
    """Write a diffusers pipeline with float16 weights, which ``from_pretrained`` widens to float32 again.

    ``DDPMPipeline`` and ``DDIMPipeline`` both load it.
    """
    model = build_prior(config)
    model.load_state_dict(average.state_dict())
    DDPMPipeline(unet=model.half(), scheduler=build_scheduler()).save_pretrained(directory)
