"""Images that the repository's own generative models make: samples of the prior, and decoded photographs."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from causalprint.models.residuals import load_residual
from causalprint.models.residuals.base import Residual
from causalprint.models.residuals.prior import load_prior
from causalprint.schemas.model_spec import ResidualSpec


def sample(prior: Path, count: int, size: int, steps: int, seed: int) -> NDArray[np.uint8]:
    """``count`` images of an unconditional diffusion model by DDIM, eta 0 (Song et al., ICLR 2021, eq. 12).

    Args:
        prior: directory of a diffusers pipeline with an unconditional U-Net.
        count: how many images; image ``i`` depends on ``(seed, i)`` alone.
        size: side in pixels, a multiple of the model's factor.
        steps: of the sampler, evenly spaced from the last timestep to the first.
        seed: of the noise that sampling starts from.

    Returns:
        uint8 (count, size, size, 3).
    """
    model = load_prior(ResidualSpec("ddim", str(prior), ()), "cpu")
    timesteps = np.linspace(len(model.alphas_cumprod) - 1, 0, steps).round().astype(int).tolist()

    def draw(index: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng((seed, index))
        image = torch.from_numpy(rng.standard_normal((1, 3, size, size), dtype=np.float32))
        with torch.inference_mode():
            for timestep, following in zip(timesteps, [*timesteps[1:], None], strict=True):
                clean, noise = model.predict(image, timestep)
                signal, spread = (1.0, 0.0) if following is None else model.levels(following)
                image = signal * clean + spread * noise
        return _to_bytes((image + 1) / 2)

    return _each_in_one_thread(draw, count)


def reconstruct(autoencoder: Path, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``D(E(x))`` of each image, one at a time.

    Args:
        autoencoder: directory of a diffusers autoencoder.
        images: uint8 (n, height, width, 3).

    Returns:
        uint8, the shape of ``images``.
    """
    residual = load_residual(ResidualSpec("autoencoder", str(autoencoder), ()))
    return _each_in_one_thread(lambda index: pass_through(residual, images[index]), len(images))


def pass_through(residual: Residual, image: NDArray[np.uint8], device: torch.device | str = "cpu") -> NDArray[np.uint8]:
    """What ``residual``, which is on ``device``, makes of one image: its reconstruction, rounded; uint8 (H, W, 3) in and out."""
    x = torch.tensor(image, device=device).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        return _to_bytes(residual(x).reconstruction)


def _each_in_one_thread(make: Callable[[int], NDArray[np.uint8]], count: int) -> NDArray[np.uint8]:
    """Images 0 to ``count``, as many at a time as there are cores: faster than many threads on one small image."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return np.stack(list(pool.map(make, range(count))))
    finally:
        torch.set_num_threads(before)


def _to_bytes(image: torch.Tensor) -> NDArray[np.uint8]:
    """(1, 3, height, width) in [0, 1] to uint8 (height, width, 3)."""
    scaled = (image[0].clamp(0, 1) * 255).round().to(torch.uint8)
    return np.asarray(scaled.permute(1, 2, 0).cpu().numpy())
