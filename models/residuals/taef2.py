"""The tiny autoencoder of FLUX.2's latent space, from ``encoder.safetensors`` and ``decoder.safetensors``.

Architecture: TAESD (github.com/madebyollin/taesd, MIT) with a normalised branch in its lowest resolution. Module indices are
those of the original state dict, so that the published weights load as they are.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from causalprint.schemas.model_spec import ResidualSpec

FILES = ("encoder.safetensors", "decoder.safetensors")
FACTOR = 8
WIDTH = 64
LATENT = 32


class Block(nn.Module):
    """Residual block of three 3x3 convolutions, 64 channels in and out.

    With ``pooled``, ``x + Conv1x1(ReLU(GroupNorm(4, Conv1x1(x))))`` comes first, four times as wide within: the only part
    that sees the whole image, through the norm's statistics.
    """

    def __init__(self, *, pooled: bool = False) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(WIDTH, WIDTH), nn.ReLU(), _conv(WIDTH, WIDTH), nn.ReLU(), _conv(WIDTH, WIDTH)
        )  # fmt: skip
        self.pool = (
            nn.Sequential(
                nn.Conv2d(WIDTH, 4 * WIDTH, 1, bias=False),
                nn.GroupNorm(4, 4 * WIDTH),
                nn.ReLU(),
                nn.Conv2d(4 * WIDTH, WIDTH, 1, bias=False),
            )
            if pooled
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 64, H, W) -> the same shape."""
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class SoftClamp(nn.Module):
    """``3·tanh(x / 3)``: keeps latents within what the decoder was trained on."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape, -3 to 3."""
        return 3 * torch.tanh(x / 3)


class Taef2(nn.Module):
    """Encoder and decoder, 32 latent channels, images in 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            _conv(3, WIDTH), Block(),
            _plain(stride=2), Block(), Block(), Block(),
            _plain(stride=2), Block(), Block(), Block(),
            _plain(stride=2), Block(pooled=True), Block(pooled=True), Block(pooled=True),
            _conv(WIDTH, LATENT),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            SoftClamp(), _conv(LATENT, WIDTH), nn.ReLU(),
            Block(pooled=True), Block(pooled=True), Block(pooled=True), nn.Upsample(scale_factor=2), _plain(),
            Block(), Block(), Block(), nn.Upsample(scale_factor=2), _plain(),
            Block(), Block(), Block(), nn.Upsample(scale_factor=2), _plain(),
            Block(), _conv(WIDTH, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in 0 to 1, sides multiples of :data:`FACTOR` -> its reconstruction, the same shape, not clipped."""
        reconstruction: Tensor = self.decoder(self.encoder(x))
        return reconstruction


def load_taef2(spec: ResidualSpec, root: Path, device: torch.device | str) -> Taef2:
    """The autoencoder in ``root``, float32, in evaluation mode, without gradients.

    Raises:
        ResidualError: a file is no safetensors, or holds other tensors.
    """
    model = Taef2()
    for half, name in zip((model.encoder, model.decoder), FILES, strict=True):
        try:
            half.load_state_dict(load_file(root / name))
        except (RuntimeError, SafetensorError) as error:
            raise spec.error(
                f"{root / name} does not hold FLUX.2's tiny autoencoder "
                f"({str(error).splitlines()[0]}); for any other autoencoder give a directory saved by diffusers"
            ) from error
    return model.to(device).eval().requires_grad_(False)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _plain(stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(WIDTH, WIDTH, 3, padding=1, stride=stride, bias=False)
