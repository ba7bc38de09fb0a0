"""Residual of one pass through an autoencoder: r = x - D(E(x)) (AEROBLADE, CVPR 2024, measures the same reconstruction)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from causalprint.models.residuals.base import Reconstruction, gradients_where_asked, pad_to_factor, subtract
from causalprint.models.residuals.loading import load_model
from causalprint.models.residuals.taef2 import FILES, is_taef2, load_taef2
from causalprint.models.residuals.weights import find_model, locate, take_digests
from causalprint.schemas.model_spec import ResidualSpec

CLASSES = ("AutoencoderKL", "AutoencoderTiny", "VQModel", "AutoencoderDC", "AutoencoderKLFlux2")
FOLDERS = ("vae", "vqvae", "movq")


@dataclass(frozen=True, slots=True)
class Codec:
    """An autoencoder as a function of images.

    Attributes:
        through: (N, 3, H, W) in 0 to 1, sides multiples of ``factor`` -> D(E(x)), not clipped.
        factor: what both sides must be a multiple of, in pixels.
        digests: as of :class:`~causalprint.models.residuals.base.Residual`.
    """

    through: Callable[[Tensor], Tensor]
    factor: int
    digests: Mapping[str, str]

    def __call__(self, x: Tensor) -> Tensor:
        """D(E(x)) of ``x``, float32 (N, 3, H, W) in 0 to 1, clipped to that range."""
        height, width = x.shape[-2:]
        return self.through(pad_to_factor(x, self.factor))[..., :height, :width].clamp(0, 1)


@dataclass(frozen=True, slots=True)
class AutoencoderResidual:
    """The residual of ``codec``; see :class:`~causalprint.models.residuals.base.Residual`."""

    spec: ResidualSpec
    codec: Codec

    @property
    def digests(self) -> Mapping[str, str]:
        """See :class:`~causalprint.models.residuals.base.Residual`."""
        return self.codec.digests

    @gradients_where_asked
    def __call__(self, x: Tensor) -> Reconstruction:
        """See :class:`~causalprint.models.residuals.base.Residual`."""
        return subtract(x, self.codec(x))


def load_codec(spec: ResidualSpec, device: torch.device | str) -> Codec:
    """The autoencoder that ``spec`` names: in its directory or in ``vae``, ``vqvae`` or ``movq`` below.

    Raises:
        ResidualError: there is none, or not one that can be loaded.
    """
    root = locate(spec, FOLDERS)
    if is_taef2(root):
        taef2 = load_taef2(spec, root, device)
        return Codec(taef2, taef2.factor, take_digests(root, tuple(root / name for name in FILES)))
    saved = find_model(spec, root, FOLDERS, CLASSES)
    model = load_model(spec, saved, device)
    return Codec(_DiffusersRoundTrip(model), _factor(model), take_digests(root, saved.files))


def load(spec: ResidualSpec, device: torch.device | str) -> AutoencoderResidual:
    """Loads kind ``autoencoder``."""
    return AutoencoderResidual(spec, load_codec(spec, device))


@dataclass(frozen=True, slots=True)
class _DiffusersRoundTrip:
    """Encodes and decodes by a diffusers autoencoder, whose own range is -1 to 1."""

    model: Any

    def __call__(self, x: Tensor) -> Tensor:
        decoded: Tensor = self.model.decode(_latents(self.model.encode(2 * x - 1))).sample
        return (decoded + 1) / 2


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
