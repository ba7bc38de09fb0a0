"""A pretrained pixel-space diffusion model (diffusers ``UNet2DModel`` and its scheduler) as a predictor of clean image and noise.

In the field's notation x_t = √ᾱ_t · x_0 + √(1 - ᾱ_t) · ε, with ᾱ_t = ``alphas_cumprod[t]``, t = 0 … T - 1, images in -1 to 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from causalprint.models.residuals.loading import load_model
from causalprint.models.residuals.weights import locate, take_digests
from causalprint.schemas.model_spec import ResidualSpec

FOLDERS = ("unet",)
PREDICTIONS = ("epsilon", "v_prediction", "sample")
LINEAR = {"beta_schedule": "linear", "trained_betas": None, "rescale_betas_zero_snr": False}
"""What the config of a scheduler says where its noise levels follow from two numbers."""


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
    inputs, outputs = model.conv_in.in_channels, model.conv_out.out_channels
    needed = "no" if getattr(model, "class_embedding", None) is None else "a"
    if inputs != 3 or outputs not in (3, 6) or needed == "a":
        raise spec.error(
            f"{files[0].parent} takes {inputs} channels, gives {outputs}, needs {needed} class; give an unconditional "
            "model of RGB images (3 channels to 3, or to 6 with a learned variance)"
        )
    factor = 2 ** (len(model.down_blocks) - 1)

    def network(x_t: Tensor, timestep: int) -> Tensor:
        raw = model(x_t, timestep)
        predicted: Tensor = raw if isinstance(raw, Tensor) else raw.sample  # diffusers' networks wrap it
        return predicted[:, :3]  # a learned variance, where there is one, follows

    return Prior(network, alphas, prediction_type, factor, take_digests(root, (*files, schedule)))


def _read_schedule(spec: ResidualSpec, root: Path) -> tuple[Path, tuple[float, ...], str]:
    """The file of the scheduler in ``root``; its ᾱ_t and its prediction type."""
    places = (root / "scheduler" / "scheduler_config.json", root / "scheduler_config.json")
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise spec.error(
            f"no noise schedule beside the U-Net (looked for {places[0]} and {places[1]}); "
            "save the whole pipeline, or its scheduler with save_pretrained"
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        alphas, prediction_type = _schedule(config)
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        raise spec.error(f"{file} is no diffusers scheduler ({error}); save it again with save_pretrained") from error
    if alphas is None or prediction_type not in PREDICTIONS:
        raise spec.error(
            f"{file} holds a {config['_class_name']} that predicts {prediction_type}, without the noise "
            f"levels alphas_cumprod or a prediction among {', '.join(PREDICTIONS)}; give a model trained as DDPM or DDIM"
        )
    return file, tuple(torch.as_tensor(alphas, dtype=torch.float64).tolist()), prediction_type


def _schedule(config: Mapping[str, Any]) -> tuple[Tensor | None, str]:
    """ᾱ_t and the prediction type of a scheduler's config; by its own diffusers class where they do not follow from two numbers.

    Diffusers takes seconds to import.
    """
    numbers = ("num_train_timesteps", "beta_start", "beta_end", "prediction_type")
    plain = config.get("_class_name") in ("DDPMScheduler", "DDIMScheduler") and LINEAR.items() <= config.items()
    if plain and config.keys() >= set(numbers):
        count, first, last, prediction_type = (config[name] for name in numbers)
        return (1 - torch.linspace(first, last, count, dtype=torch.float32)).cumprod(0), str(prediction_type)
    import diffusers  # noqa: PLC0415 - see above

    scheduler = getattr(diffusers, config["_class_name"]).from_config(config)
    return getattr(scheduler, "alphas_cumprod", None), str(scheduler.config.get("prediction_type", "epsilon"))
