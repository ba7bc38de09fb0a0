"""A pretrained pixel-space diffusion model (diffusers ``UNet2DModel`` and its scheduler) as a predictor of clean image and noise.

In the field's notation x_t = √ᾱ_t · x_0 + √(1 - ᾱ_t) · ε, with ᾱ_t = ``alphas_cumprod[t]``, t = 0 … T - 1, images in -1 to 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import diffusers
import torch
from torch import Tensor

from causalprint.models.residuals.loading import load_model
from causalprint.models.residuals.weights import locate, take_digests
from causalprint.schemas.model_spec import ResidualSpec

FOLDERS = ("unet",)
PREDICTIONS = ("epsilon", "v_prediction", "sample")


class Prediction(NamedTuple):
    """What a diffusion model sees in x_t: the clean image x_0 and the noise ε, both (N, 3, H, W), consistent with x_t."""

    clean: Tensor
    noise: Tensor


@dataclass(frozen=True, slots=True)
class Prior:
    """A diffusion model.

    Attributes:
        network: x_t (N, 3, H, W) and its timestep -> the raw prediction, the same shape.
        alphas_cumprod: ᾱ_t for t = 0 … T - 1.
        prediction_type: what ``network`` predicts: ``epsilon``, ``v_prediction`` or ``sample``.
        factor: what height and width must be a multiple of, in pixels.
        digests: as of :class:`~causalprint.models.residuals.base.Residual`.
    """

    network: Callable[[Tensor, int], Tensor]
    alphas_cumprod: tuple[float, ...]
    prediction_type: str
    factor: int
    digests: Mapping[str, str]

    def predict(self, x_t: Tensor, timestep: int) -> Prediction:
        """Clean image and noise in ``x_t``, float32 (N, 3, H, W), which is at ``timestep``."""
        signal, spread = self.levels(timestep)
        raw = self.network(x_t, timestep)
        if self.prediction_type == "v_prediction":  # v = √ᾱ·ε - √(1-ᾱ)·x_0 (Salimans & Ho, ICLR 2022)
            return Prediction(signal * x_t - spread * raw, spread * x_t + signal * raw)
        if self.prediction_type == "sample":
            return Prediction(raw, (x_t - signal * raw) / spread)
        return Prediction((x_t - spread * raw) / signal, raw)

    def levels(self, timestep: int) -> tuple[float, float]:
        """√ᾱ and √(1 - ᾱ) at ``timestep``."""
        alpha = self.alphas_cumprod[timestep]
        return math.sqrt(alpha), math.sqrt(1 - alpha)

    def noise_level(self, timestep: int) -> float:
        """Standard deviation of the noise at ``timestep`` over an image in 0 to 1: half of √((1 - ᾱ) / ᾱ)."""
        signal, spread = self.levels(timestep)
        return spread / signal / 2 if signal else math.inf

    def nearest_timestep(self, noise_level: float) -> int:
        """The timestep whose :meth:`noise_level` is nearest."""
        return min(range(len(self.alphas_cumprod)), key=lambda timestep: abs(self.noise_level(timestep) - noise_level))


def load_prior(spec: ResidualSpec, device: torch.device | str) -> Prior:
    """The unconditional RGB diffusion model that ``spec`` names: its U-Net (there or in ``unet`` below) and scheduler.

    Raises:
        ResidualError: one of them is missing, cannot be loaded, or is of another kind (conditional, latent, flow matching).
    """
    root = locate(spec, FOLDERS)
    model, files = load_model(spec, root, FOLDERS, ("UNet2DModel",), device)
    model.to(memory_format=torch.channels_last)  # a quarter faster on a CPU
    schedule, alphas, prediction_type = _read_schedule(spec, root)
    if model.config.in_channels != 3 or model.config.out_channels not in (3, 6) or model.class_embedding is not None:
        raise spec.error(
            f"{files[0].parent} takes {model.config.in_channels} channels, gives "
            f"{model.config.out_channels}, needs {'no' if model.class_embedding is None else 'a'} class; give an unconditional "
            "model of RGB images (3 channels to 3, or to 6 with a learned variance)"
        )
    factor = 2 ** (len(model.config.block_out_channels) - 1)

    def network(x_t: Tensor, timestep: int) -> Tensor:
        raw: Tensor = model(x_t, timestep).sample
        return raw[:, :3]  # a learned variance, where there is one, follows

    return Prior(network, alphas, prediction_type, factor, take_digests(root, (*files, schedule)))


def _read_schedule(spec: ResidualSpec, root: Path) -> tuple[Path, tuple[float, ...], str]:
    """The file of the scheduler in ``root``; its ᾱ_t and its prediction type, computed by its own diffusers class."""
    places = (root / "scheduler" / "scheduler_config.json", root / "scheduler_config.json")
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise spec.error(
            f"no noise schedule beside the U-Net (looked for {places[0]} and {places[1]}); "
            "save the whole pipeline, or its scheduler with save_pretrained"
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        scheduler = getattr(diffusers, config["_class_name"]).from_config(config)
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        raise spec.error(f"{file} is no diffusers scheduler ({error}); save it again with save_pretrained") from error
    alphas = getattr(scheduler, "alphas_cumprod", None)
    prediction_type = str(scheduler.config.get("prediction_type", "epsilon"))
    if alphas is None or prediction_type not in PREDICTIONS:
        raise spec.error(
            f"{file} holds a {config['_class_name']} that predicts {prediction_type}, without the noise "
            f"levels alphas_cumprod or a prediction among {', '.join(PREDICTIONS)}; give a model trained as DDPM or DDIM"
        )
    return file, tuple(torch.as_tensor(alphas, dtype=torch.float64).tolist()), prediction_type
