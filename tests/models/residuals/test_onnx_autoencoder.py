"""Autoencoders in ONNX as residuals: what is computed, what is published, and what a wrong folder is told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import compose
from skimage import data as skimage_data
from torch.nn.functional import conv2d, conv_transpose2d, interpolate

from causalprint.models.residuals import load_residual
from causalprint.schemas.model_spec import ResidualError
from tests.models.tiny_models import save_onnx_autoencoder

data: Any = skimage_data  # untyped
VAELIGHT = Path(__file__).parents[3] / ".." / "shared" / "weights" / "vaelight_sd"


def weights(file: Path) -> list[torch.Tensor]:
    model = onnx.load(file)
    return [torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in model.graph.initializer]


def test_a_decoder_with_several_outputs_is_a_pyramid(tmp_path: Path) -> None:
    save_onnx_autoencoder(tmp_path, levels=2)
    (encoder,), (coarse, fine) = weights(tmp_path / "tiny_encoder.onnx"), weights(tmp_path / "tiny_decoder.onnx")
    x = torch.rand(2, 3, 16, 24)
    latent = conv2d(2 * x - 1, encoder, stride=4)
    half = conv_transpose2d(latent, coarse, stride=2)
    whole = interpolate(half, size=[16, 24], mode="bilinear", align_corners=False) + conv_transpose2d(latent, fine, stride=4)
    expected = ((whole + 1) / 2).clamp(0, 1)
    torch.testing.assert_close(load_residual(f"onnx-autoencoder:{tmp_path}")(x).reconstruction, expected)


def test_one_file_may_hold_both_halves(tmp_path: Path) -> None:
    save_onnx_autoencoder(tmp_path, levels=1)
    halves = [onnx.load(tmp_path / f"tiny_{half}.onnx") for half in ("encoder", "decoder")]
    renamed = compose.add_prefix(halves[1], "decoder_")
    onnx.save(compose.merge_models(halves[0], renamed, io_map=[("latent", "decoder_latent")]), tmp_path / "both.onnx")
    x = torch.rand(1, 3, 10, 9)
    whole = load_residual(f"onnx-autoencoder:{tmp_path / 'both.onnx'}?factor=4")
    (tmp_path / "halves").mkdir()
    for half in ("encoder", "decoder"):
        shutil.copy(tmp_path / f"tiny_{half}.onnx", tmp_path / "halves")
    in_two = load_residual(f"onnx-autoencoder:{tmp_path / 'halves'}")
    torch.testing.assert_close(whole(x).reconstruction, in_two(x).reconstruction)
    assert list(whole.digests) == ["both.onnx"]
    unit = load_residual(f"onnx-autoencoder:{tmp_path / 'halves'}?range=unit")
    assert not torch.allclose(unit(x).reconstruction, in_two(x).reconstruction, atol=1e-3)


def test_its_reconstruction_is_a_constant_to_gradients(tmp_path: Path) -> None:
    residual = load_residual(f"onnx-autoencoder:{save_onnx_autoencoder(tmp_path)}")
    x = torch.rand((1, 3, 8, 8), requires_grad=True)
    assert not residual(x).reconstruction.requires_grad


def test_what_is_no_autoencoder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResidualError, match="holds none"):
        load_residual(f"onnx-autoencoder:{tmp_path}")
    save_onnx_autoencoder(tmp_path)
    with pytest.raises(ResidualError, match="range=odd is unknown; give signed"):
        load_residual(f"onnx-autoencoder:{tmp_path}?range=odd")
    with pytest.raises(ResidualError, match="comes back as"):
        load_residual(f"onnx-autoencoder:{tmp_path / 'tiny_encoder.onnx'}")
    (tmp_path / "tiny_decoder.onnx").write_bytes(b"no model")
    with pytest.raises(ResidualError, match=r"tiny_decoder\.onnx is no ONNX model"):
        load_residual(f"onnx-autoencoder:{tmp_path}")


def test_vaelight_reconstructs_photographs_as_published() -> None:
    if not VAELIGHT.is_dir():
        pytest.skip(f"the published weights are not at {VAELIGHT}")
    residual = load_residual(f"onnx-autoencoder:{VAELIGHT}")
    figures = []
    for photograph in (data.astronaut(), data.chelsea(), data.coffee()):
        x = torch.from_numpy(np.ascontiguousarray(photograph[40:296, 60:316])).permute(2, 0, 1)[None] / 255
        figures.append(-10 * residual(x).residual.square().mean().log10().item())
    assert 22 < np.mean(figures) < 28
