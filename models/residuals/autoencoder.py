"""Residual of one pass through an autoencoder: r = x - D(E(x)) (AEROBLADE, CVPR 2024, measures the same reconstruction)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from causalprint.models.residuals.base import ModelResidual
from causalprint.models.residuals.loading import load_model
from causalprint.models.residuals.taef2 import FACTOR, FILES, load_taef2
from causalprint.models.residuals.weights import locate, take_digests
from causalprint.schemas.model_spec import ResidualSpec

CLASSES = ("AutoencoderKL", "AutoencoderTiny", "VQModel", "AutoencoderDC", "AutoencoderKLFlux2")
FOLDERS = ("vae", "vqvae", "movq")


def load(spec: ResidualSpec, device: torch.device | str) -> ModelResidual:
    """Loads kind ``autoencoder``: the one in the directory that ``spec`` names or in ``vae``, ``vqvae`` or ``movq`` below.

    Raises:
        ResidualError: there is none, or not one that can be loaded.
    """
    root = locate(spec, FOLDERS)
    halves = [root / name for name in FILES]
    if all(half.is_file() for half in halves):
        return ModelResidual(spec, load_taef2(spec, root, device), FACTOR, take_digests(root, halves))
    model, files = load_model(spec, root, FOLDERS, CLASSES, device)

    def round_trip(x: Tensor) -> Tensor:
        decoded: Tensor = model.decode(_latents(model.encode(2 * x - 1))).sample  # its own range is -1 to 1
        return (decoded + 1) / 2

    return ModelResidual(spec, round_trip, _factor(model), take_digests(root, files))


def _latents(encoded: Any) -> Tensor:
    """The latents of an ``encode`` call. Of a posterior its mean, which is its mode: deterministic, unlike a sample."""
    if "latent_dist" in encoded:
        mean: Tensor = encoded.latent_dist.mode()
        return mean
    latents: Tensor = encoded.latents if "latents" in encoded else encoded.latent
    return latents


def _factor(model: Any) -> int:
    if "decoder_block_types" in model.config:  # AutoencoderDC
        return int(model.spatial_compression_ratio)
    channels = model.config[
        "encoder_block_out_channels" if "encoder_block_out_channels" in model.config else "block_out_channels"
    ]
    return int(2 ** (len(channels) - 1))
