from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from causalprint.models.sampling import reconstruct
from causalprint.pipelines.shards.photographs import photographs
from causalprint.research.generators.autoencoders import (
    LATENT_CHANNELS,
    Decoder,
    build_autoencoder,
    decode_encoded,
    export_autoencoder,
    reconstruction_loss,
)

DECODERS: tuple[Decoder, ...] = get_args(Decoder)
WEIGHTS = Path(str(files("causalprint.models") / "weights"))


@pytest.mark.parametrize("decoder", DECODERS)
def test_both_squeeze_images_into_the_same_latent(decoder: Decoder) -> None:
    model = build_autoencoder(decoder)
    images = torch.rand(2, 3, 24, 32) * 2 - 1
    assert model.encode(images)[0].shape == (2, LATENT_CHANNELS, 24 // 4, 32 // 4)
    assert decode_encoded(model, images).shape == images.shape
    assert sum(parameter.numel() for parameter in model.parameters()) <= 600_000


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_weight_learns(decoder: Decoder) -> None:
    model = build_autoencoder(decoder)
    reconstruction_loss(model, torch.rand(2, 3, 32, 32), np.random.default_rng(0)).backward()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in model.parameters())


@pytest.mark.parametrize("decoder", DECODERS)
def test_an_export_reconstructs_as_the_model_does(decoder: Decoder, tmp_path: Path) -> None:
    model = build_autoencoder(decoder).eval()
    export_autoencoder(model, decoder, tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        expected = ((decode_encoded(model, x).clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(reconstruct(tmp_path, images), expected, atol=2)


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_shipped_one_keeps_the_scene_of_a_photograph_it_never_saw(decoder: Decoder) -> None:
    held_out = [photograph.pixels[:256, :256] for photograph in photographs() if photograph.name == "camera"]
    if not held_out:
        pytest.skip("scikit-image is not installed: pip install causalprint[demo]")
    folder = WEIGHTS / f"autoencoder-{decoder}"
    decoded = reconstruct(folder, np.stack(held_out))
    error = np.mean((decoded.astype(float) - np.stack(held_out)) ** 2)
    assert 20 * np.log10(255) - 10 * np.log10(error) > 26
    assert json.loads((folder / "config.json").read_text())["_class_name"] in ("AutoencoderTiny", "AutoencoderDC")
