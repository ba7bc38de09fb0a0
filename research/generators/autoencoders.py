"""Two small autoencoders whose decoders differ in design: the demo's generators, and the aligned track's.

Both squeeze an image into the same latent, 8 channels at a quarter of the side. What tells their outputs apart is
therefore what the decoders do on the way back: one repeats pixels and convolves (``AutoencoderTiny``), the other
convolves and rearranges channels into pixels (``AutoencoderDC``, Chen et al., ICLR 2025).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from diffusers import AutoencoderDC, AutoencoderTiny

Decoder = Literal["nearest", "pixelshuffle"]

LATENT_CHANNELS = 8
GRADIENT_WEIGHT = 0.02
"""Share of the gradient term in the loss: enough to keep edges, too little to cost PSNR."""


def build_autoencoder(decoder: Decoder) -> AutoencoderTiny | AutoencoderDC:
    """An untrained autoencoder; images in and out are (n, 3, height, width) in [-1, 1], sides multiples of 4."""
    if decoder == "nearest":
        return AutoencoderTiny(
            encoder_block_out_channels=(24, 24, 24),
            decoder_block_out_channels=(24, 24, 24),
            num_encoder_blocks=(1, 2, 2),
            num_decoder_blocks=(2, 2, 1),
            latent_channels=LATENT_CHANNELS,
            upsample_fn="nearest",
        )
    return AutoencoderDC(
        latent_channels=LATENT_CHANNELS,
        attention_head_dim=8,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=(16, 32, 64),
        decoder_block_out_channels=(16, 32, 64),
        encoder_layers_per_block=(1, 1, 1),
        decoder_layers_per_block=(1, 1, 1),
        encoder_qkv_multiscales=((), (), ()),
        decoder_qkv_multiscales=((), (), ()),
        downsample_block_type="pixel_unshuffle",
        upsample_block_type="pixel_shuffle",
    )


def decode_encoded(model: AutoencoderTiny | AutoencoderDC, images: torch.Tensor) -> torch.Tensor:
    """``D(E(x))`` in [-1, 1], differentiable.

    Not ``model(images)``: AutoencoderTiny rounds its latents to bytes there, which stops gradients.
    """
    decoded: torch.Tensor = model.decode(model.encode(images)[0]).sample
    return decoded


def reconstruction_loss(model: torch.nn.Module, images: torch.Tensor, _: np.random.Generator) -> torch.Tensor:
    """Mean square error plus ``GRADIENT_WEIGHT`` times the L1 error of the pixel differences; nothing is drawn for it."""
    error = decode_encoded(model, images).float() - images
    gradient = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.square().mean() + GRADIENT_WEIGHT * gradient


def export_autoencoder(average: torch.nn.Module, decoder: Decoder, directory: Path) -> None:
    """Writes the model as diffusers does, weights in float16; ``from_pretrained(directory)`` reads it."""
    model = build_autoencoder(decoder)
    model.load_state_dict(average.state_dict())
    model.half().save_pretrained(directory)
    # AutoencoderTiny notes down an argument that it does not take, and warns of it whenever it is loaded.
    path = directory / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("block_out_channels", None)
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
