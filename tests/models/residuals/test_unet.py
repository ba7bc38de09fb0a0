"""The plain U-Net and its noise levels are those of diffusers, which is imported for all others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

from causalprint.models.residuals import parse_residual
from causalprint.models.residuals.prior import load_prior
from causalprint.models.residuals.unet import UNet, open_unet
from causalprint.schemas.model_spec import ResidualError
from tests.models.tiny_models import unet

WEIGHTS = "diffusion_pytorch_model.safetensors"
PLAIN: dict[str, dict[str, Any]] = {
    "one level": {"block_out_channels": (8,)},
    "levels of different widths": {"block_out_channels": (4, 8, 12), "norm_num_groups": 2},
    "many layers": {"block_out_channels": (8, 4), "layers_per_block": 3},
    "a learned variance": {"block_out_channels": (4, 4), "out_channels": 6, "norm_eps": 1e-3},
}
OTHERS: dict[str, dict[str, Any]] = {
    "attention": {"add_attention": True},
    "another time": {"time_embedding_type": "fourier"},
    "a scale of the time": {"resnet_time_scale_shift": "scale_shift"},
    "blocks with attention": {"down_block_types": ("DownBlock2D", "AttnDownBlock2D")},
    "another padding": {"downsample_padding": 0},
}


def saved(folder: Path, **settings: Any) -> UNet2DModel:
    """A random network, saved in ``folder``, as diffusers loads it; without attention where ``settings`` ask for none."""
    torch.manual_seed(0)
    levels = len(settings.setdefault("block_out_channels", (8, 8)))
    defaults: dict[str, Any] = {"norm_num_groups": 4, "layers_per_block": 1, "add_attention": False}
    blocks = {"down_block_types": ("DownBlock2D",) * levels, "up_block_types": ("UpBlock2D",) * levels}
    UNet2DModel(**defaults | blocks | settings).save_pretrained(folder)
    loaded: UNet2DModel = UNet2DModel.from_pretrained(folder).eval()
    return loaded


def opened(folder: Path) -> UNet | None:
    return open_unet(json.loads((folder / "config.json").read_text()), folder / WEIGHTS)


@pytest.mark.parametrize("settings", PLAIN.values(), ids=PLAIN.keys())
def test_a_plain_one_computes_what_diffusers_does(settings: dict[str, Any], tmp_path: Path) -> None:
    theirs, ours = saved(tmp_path, **settings), opened(tmp_path)
    assert ours is not None
    for count, timestep in ((1, 0), (3, 24), (2, 999)):
        x = torch.rand((count, 3, 24, 16), requires_grad=True)
        found, expected = ours(x, timestep), theirs(x, timestep).sample
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        gradients = [torch.autograd.grad(one.square().sum(), x)[0] for one in (found, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)
        with torch.inference_mode():
            torch.testing.assert_close(ours(x, timestep), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", OTHERS.values(), ids=OTHERS.keys())
def test_any_other_is_computed_by_diffusers(settings: dict[str, Any], tmp_path: Path) -> None:
    theirs = saved(tmp_path / "unet", **settings)
    DDPMScheduler().save_pretrained(tmp_path / "scheduler")
    assert opened(tmp_path / "unet") is None
    network = load_prior(parse_residual(f"denoise:{tmp_path}"), "cpu").network
    x = torch.rand((2, 3, 16, 16))
    with torch.inference_mode():
        torch.testing.assert_close(network(x, 7), theirs(x, 7).sample, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("change", ["lost", "surplus", "reshaped"])
def test_weights_that_do_not_fit_are_refused_by_name(change: str, tmp_path: Path) -> None:
    unet().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    name = "up_blocks.1.resnets.0.norm2.bias"
    value = tensors.pop(name)
    changed = {"lost": {}, "surplus": {name: value, "extra": value.clone()}, "reshaped": {name: value[:4].clone()}}[change]
    save_file(tensors | changed, tmp_path / WEIGHTS)
    with pytest.raises(ResidualError, match="extra" if change == "surplus" else name):
        load_prior(parse_residual(f"denoise:{tmp_path}"), "cpu")


@pytest.mark.parametrize(
    "scheduler",
    [
        DDPMScheduler(),
        DDIMScheduler(num_train_timesteps=400, beta_start=0.001, beta_end=0.1, prediction_type="v_prediction"),
        DDIMScheduler(rescale_betas_zero_snr=True),
        DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="sample"),
        DDPMScheduler(trained_betas=[0.1, 0.2, 0.4]),
        EulerDiscreteScheduler(),
    ],
    ids=lambda scheduler: f"{type(scheduler).__name__}-{scheduler.config.beta_schedule}",
)
def test_noise_levels_are_those_of_the_scheduler(scheduler: Any, tmp_path: Path) -> None:
    unet().save_pretrained(tmp_path / "unet")
    scheduler.save_pretrained(tmp_path / "scheduler")
    prior = load_prior(parse_residual(f"denoise:{tmp_path}"), "cpu")
    assert torch.equal(torch.tensor(prior.alphas_cumprod, dtype=torch.float64), scheduler.alphas_cumprod.double())
    assert prior.prediction_type == scheduler.config.prediction_type
