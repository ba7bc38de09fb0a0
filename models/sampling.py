"""Images that the repository's own generative models make: samples of the prior, and decoded photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMPipeline
from numpy.typing import NDArray

from causalprint.models.residuals import ResidualSpec, load_residual


def sample(prior: Path, count: int, size: int, steps: int, seed: int) -> NDArray[np.uint8]:
    """``count`` images of a diffusion pipeline by DDIM, eta 0 (Song et al., ICLR 2021).

    Args:
        prior: directory of a diffusers pipeline with an unconditional U-Net.
        count: how many images; image ``i`` depends on ``(seed, i)`` alone.
        size: side in pixels, a multiple of 8.
        steps: of the sampler.
        seed: of the noise that sampling starts from.

    Returns:
        uint8 (count, size, size, 3).
    """
    pipeline = DDIMPipeline.from_pretrained(prior)
    model, scheduler = pipeline.unet.eval(), pipeline.scheduler
    scheduler.set_timesteps(steps)
    images = np.empty((count, size, size, 3), dtype=np.uint8)
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        image = torch.from_numpy(rng.standard_normal((1, 3, size, size), dtype=np.float32))
        with torch.inference_mode():
            for timestep in scheduler.timesteps:
                image = scheduler.step(model(image, timestep).sample, timestep, image, eta=0.0).prev_sample
        images[index] = _to_bytes(image)[0]
    return images


def reconstruct(autoencoder: Path, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``D(E(x))`` of each image, one at a time.

    Args:
        autoencoder: directory of a diffusers autoencoder.
        images: uint8 (n, height, width, 3).

    Returns:
        uint8, the shape of ``images``.
    """
    residual = load_residual(ResidualSpec("autoencoder", str(autoencoder), ()))
    decoded = np.empty_like(images)
    for index, image in enumerate(images):
        x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        decoded[index] = _to_bytes(2 * residual(x).reconstruction - 1)[0]
    return decoded


def _to_bytes(images: torch.Tensor) -> NDArray[np.uint8]:
    """(n, 3, height, width) in [-1, 1] to uint8 (n, height, width, 3)."""
    scaled = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.asarray(scaled.permute(0, 2, 3, 1).numpy())
