"""How generators are built, as far as their makers have said so: what the structure study holds fingerprints against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Design(NamedTuple):
    """Declared design choices of one source; ``None`` where its maker has not said, or where its images are of several.

    Attributes:
        family: what draws the image: ``gan``, ``diffusion`` (flow matching too), ``autoregressive``; ``reconstruction`` where
            photographs are decoded and nothing is drawn.
        space: of what is drawn: ``pixel`` or ``latent``.
        upsampling: of the last layers, those that write pixels: ``nearest`` (then a convolution), ``transposed`` (convolution),
            ``filtered`` (with a low-pass filter, as StyleGAN's), ``pixelshuffle``.
        compression: pixels a latent position, one way, as text; ``none`` without latents.
        decoder_loss: whether the network that writes pixels was trained against a discriminator: ``adversarial`` or
            ``plain``.
    """

    family: str | None = None
    space: str | None = None
    upsampling: str | None = None
    compression: str | None = None
    decoder_loss: str | None = None


_STABLE_DIFFUSION = Design("diffusion", "latent", "nearest", "8", "adversarial")
_STYLEGAN = Design("gan", "pixel", "filtered", "none", "adversarial")
_UNDISCLOSED = Design()

DESIGNS: Mapping[str, Design] = {
    # Ramesh et al. 2022 (unCLIP): a cascade of pixel-space diffusion models, 64 to 256 to 1024.
    "dalle-2": Design("diffusion", "pixel", None, "none", "plain"),
    # Betker et al. 2023, appendices A and B: diffusion in the latents of Rombach et al.'s eightfold autoencoder, decoded by a
    # diffusion model with the U-Net of Ho et al. 2020, whose upsampling is nearest and a convolution.
    "dalle-3": Design("diffusion", "latent", "nearest", "8", "plain"),
    # OpenAI, addendum to the GPT-4o system card, 2025, section 2.1: autoregressive; its decoder is not described.
    "gpt-image-1": Design(family="autoregressive"),
    "gpt-image-2": _UNDISCLOSED,
    "gemini-2-5-flash-image": _UNDISCLOSED,
    "gemini-3-pro-image": _UNDISCLOSED,
    "midjourney-v6-v7": _UNDISCLOSED,
    # Rombach et al., CVPR 2022; the published models compress by 4 and by 8, and the collections do not say which they used.
    "latent-diffusion": Design("diffusion", "latent", "nearest", None, "adversarial"),
    # The same paper's autoencoder, eightfold.
    "stable-diffusion-1": _STABLE_DIFFUSION,
    "stable-diffusion-1-finetune": _STABLE_DIFFUSION,
    # Podell et al. 2023.
    "sdxl-finetune": _STABLE_DIFFUSION,
    # Esser et al., ICML 2024: rectified flow, 16 channels.
    "stable-diffusion-3": _STABLE_DIFFUSION,
    # Karras et al., CVPR 2020.
    "stylegan2-ffhq": _STYLEGAN,
    # The collection says StyleGAN and not which.
    "stylegan-generated-photos": _STYLEGAN,
    # This repository's own (research/generators/autoencoders.py, research/generators/prior.py).
    "autoencoder-nearest": Design("reconstruction", "latent", "nearest", "4", "plain"),
    "autoencoder-pixelshuffle": Design("reconstruction", "latent", "pixelshuffle", "4", "plain"),
    "causalprint-prior": Design("diffusion", "pixel", "nearest", "none", "plain"),
    "prior-denoise": Design("reconstruction", "pixel", "nearest", "none", "plain"),
    # madebyollin/taesd: distilled from FLUX.2's autoencoder, its decoder against a discriminator (issue 2 there).
    "taef2": Design("reconstruction", "latent", "nearest", "8", "adversarial"),
    # Graphnull/VAElight: a pyramid of 2x2 transposed convolutions, as its ONNX graph says; its loss is not stated.
    "vaelight": Design("reconstruction", "latent", "transposed", "8", None),
}
"""Designs by source; ``real`` has none."""
