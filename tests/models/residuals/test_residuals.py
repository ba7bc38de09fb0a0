"""What every residual promises, over every entry of the registry; and what each kind computes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data as skimage_data
from skimage import feature as skimage_feature

from causalprint.models.residuals import RESIDUALS, load_residual, parse_residual
from causalprint.models.residuals.base import Residual, pad_to_factor
from tests.models.tiny_models import AUTOENCODERS, save_autoencoder, save_for_kind, save_pipeline, save_taef2

data: Any = skimage_data  # untyped
feature: Any = skimage_feature
TAEF2 = Path(__file__).parents[3] / ".." / "shared" / "weights" / "taef2"


@pytest.fixture(scope="module")
def residuals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Residual]:
    """Every kind, on a tiny random model."""
    root = tmp_path_factory.mktemp("models")
    loaded = {kind: load_residual(save_for_kind(root / kind, kind)) for kind in RESIDUALS}
    loaded["denoise with noise"] = load_residual(f"denoise:{root / 'denoise'}?noise=1&timestep=100")
    loaded["taef2"] = load_residual(f"autoencoder:{save_taef2(root / 'taef2')}")
    return loaded


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_any_size_gives_a_reconstruction_and_its_exact_signed_residual(
    residuals: dict[str, Residual], height: int, width: int, seed: int
) -> None:
    x = torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(seed))
    for name, residual in residuals.items():
        found = residual(x)
        assert found.reconstruction.shape == found.residual.shape == x.shape, name
        assert found.residual.dtype == torch.float32, name
        assert found.residual.isfinite().all(), name
        assert (found.reconstruction >= 0).all(), name
        assert (found.reconstruction <= 1).all(), name
        assert torch.equal(found.residual, x - found.reconstruction), name


def test_a_row_depends_on_its_image_alone(residuals: dict[str, Residual]) -> None:
    x = torch.rand((4, 3, 24, 20), generator=torch.Generator().manual_seed(1))
    for name, residual in residuals.items():
        together = residual(x)
        alone = [residual(image[None]) for image in x]
        again = [residual(image[None]) for image in x.flip(0)][::-1]
        for index in range(4):
            assert torch.equal(alone[index].residual, again[index].residual), name
            torch.testing.assert_close(together.residual[index], alone[index].residual[0], rtol=0, atol=1e-5)
        changed = x.clone()
        changed[0] = 1 - changed[0]
        assert torch.equal(residual(changed).residual[1:], together.residual[1:]), name


@pytest.mark.parametrize("kind", RESIDUALS)
def test_digests_tell_weights_apart(kind: str, tmp_path: Path) -> None:
    first, same, other = (
        load_residual(save_for_kind(tmp_path / name, kind, seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first.digests == same.digests
    changed = {name for name in first.digests if first.digests[name] != other.digests[name]}
    assert changed == {name for name in first.digests if name.endswith((".safetensors", ".onnx"))}
    assert changed


@pytest.mark.parametrize("kind", RESIDUALS)
def test_gradients_flow_where_the_image_asks_for_them_and_nowhere_else(kind: str, residuals: dict[str, Residual]) -> None:
    x = torch.rand((1, 3, 16, 16))
    plain = residuals[kind](x)
    assert not plain.residual.requires_grad
    x.requires_grad_()
    traced = residuals[kind](x)
    assert traced.reconstruction.requires_grad == (kind != "onnx-autoencoder")  # another runtime gives none
    torch.testing.assert_close(traced.residual.detach(), plain.residual)
    traced.residual.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.any()


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_every_class_of_autoencoder_agrees_with_diffusers(name: str, tmp_path: Path) -> None:
    residual = load_residual(f"autoencoder:{save_autoencoder(tmp_path, name)}")
    model = AUTOENCODERS[name].__annotations__["return"]
    import diffusers

    reference = getattr(diffusers, model).from_pretrained(tmp_path).eval()
    x = torch.rand((1, 3, 32, 32))
    with torch.inference_mode():
        expected = ((reference(2 * x - 1).sample + 1) / 2).clamp(0, 1)
    torch.testing.assert_close(residual(x).reconstruction, expected, rtol=0, atol=0.005 if name == "AutoencoderTiny" else 1e-6)


def test_a_pipeline_is_found_by_its_subfolder(tmp_path: Path) -> None:
    save_autoencoder(tmp_path / "vae")
    whole, part = load_residual(f"autoencoder:{tmp_path}"), load_residual(f"autoencoder:{tmp_path / 'vae'}")
    x = torch.rand((1, 3, 16, 16))
    assert torch.equal(whole(x).residual, part(x).residual)
    assert list(whole.digests) == ["vae/config.json", "vae/diffusion_pytorch_model.safetensors"]


def test_padding_reflects_as_numpy_does_however_small_the_image() -> None:
    for height, width, factor in ((1, 1, 8), (2, 3, 8), (5, 9, 8), (8, 16, 8), (33, 17, 16)):
        x = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
        padded = pad_to_factor(x, factor)
        bottom, right = padded.shape[-2] - height, padded.shape[-1] - width
        assert padded.shape[-2] % factor == padded.shape[-1] % factor == 0
        assert np.array_equal(padded[0, 0].numpy(), np.pad(x[0, 0].numpy(), ((0, bottom), (0, right)), mode="reflect"))


def test_denoise_takes_its_level_as_timestep_or_standard_deviation(tmp_path: Path) -> None:
    save_pipeline(tmp_path)
    x = torch.rand((1, 3, 16, 16))
    from causalprint.models.residuals.prior import load_prior

    prior = load_prior(parse_residual(f"denoise:{tmp_path}"), "cpu")
    level = prior.noise_level(40)
    assert prior.nearest_timestep(level) == 40
    by_timestep = load_residual(f"denoise:{tmp_path}?timestep=40")(x).residual
    by_level = load_residual(f"denoise:{tmp_path}?sigma={level}")(x).residual
    assert torch.equal(by_timestep, by_level)
    assert not torch.equal(by_timestep, load_residual(f"denoise:{tmp_path}?timestep=41")(x).residual)


def test_denoise_with_noise_adds_the_same_to_every_image_and_other_seeds_other_noise(tmp_path: Path) -> None:
    save_pipeline(tmp_path)
    noisy = load_residual(f"denoise:{tmp_path}?noise=1&timestep=200")
    x = torch.rand((1, 3, 16, 16)).expand(3, 3, 16, 16)
    rows = noisy(x).residual
    torch.testing.assert_close(rows[0], rows[2], rtol=0, atol=1e-6)
    other = load_residual(f"denoise:{tmp_path}?noise=1&timestep=200&seed=1")
    assert not torch.allclose(other(x).residual, rows, atol=1e-3)
    assert not torch.allclose(load_residual(f"denoise:{tmp_path}?timestep=200")(x).residual, rows, atol=1e-3)


def test_taef2_reconstructs_photographs_as_published() -> None:
    if not TAEF2.is_dir():
        pytest.skip(f"the published weights are not at {TAEF2}")
    residual = load_residual(f"autoencoder:{TAEF2}")
    figures = []
    for photograph in (data.astronaut(), data.chelsea(), data.coffee()):
        pixels = np.asarray(Image.fromarray(photograph).crop((60, 40, 316, 296)))
        x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
        figures.append(-10 * residual(x).residual.square().mean().log10().item())
    # Without the normalised branch, which stock AutoencoderTiny has not, these weights give 16 dB.
    assert 30 < np.mean(figures) < 33


def test_a_spec_parses_without_torch() -> None:
    imports = "import sys; from causalprint.models.residuals import parse_residual"
    code = f"{imports}; parse_residual('ddim:a/b'); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
