"""What a wrong spec or a wrong directory is told: one error that names the value and the remedy. And hub names."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file, save_file

from causalprint.models.residuals import load_residual, parse_residual
from causalprint.schemas.model_spec import ResidualError
from tests.models.tiny_models import save_autoencoder, save_pipeline, save_taef2, unet

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize(
    "text",
    ["autoencoder:/models/vae", "ddim:owner/name?steps=5&until=99", "denoise:C:/odd path?noise=1", "onnx-autoencoder:~/vae"],
)
def test_a_spec_is_its_text(text: str) -> None:
    assert str(parse_residual(text)) == text
    assert parse_residual(str(parse_residual(text))) == parse_residual(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("autoencoder", "kind:path-or-hub-name"),
        (":/models/vae", "kind:path-or-hub-name"),
        ("ddim:", "kind:path-or-hub-name"),
        ("vae:/models/vae", "no kind 'vae'; choose one of autoencoder, onnx-autoencoder, ddim, denoise"),
        ("ddim:a/b?timestep=3", "no option 'timestep'; it has revision, steps, until"),
        ("ddim:a/b?steps", "option=value"),
        ("ddim:a/b?steps=1&steps=2", "comes twice"),
    ],
)
def test_a_wrong_spec_is_told(text: str, told: str) -> None:
    with pytest.raises(ResidualError, match=re.escape(told)) as raised:
        parse_residual(text)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("ddim:{path}?steps=none", "steps=none is no number; give one from 1 to 999"),
        ("ddim:{path}?steps=2.5", "no whole number"),
        ("ddim:{path}?steps=1000", "out of range; give a number from 1 to 999"),
        ("ddim:{path}?steps=11&until=10", "out of range; give a number from 1 to 10"),
        ("denoise:{path}?timestep=1000", "out of range; give a number from 0 to 999"),
        ("denoise:{path}?sigma=nan", "out of range"),
        ("denoise:{path}?noise=2", "out of range; give a number from 0 to 1"),
        ("denoise:{path}?timestep=3&sigma=0.1", "give timestep or sigma, not both"),
        ("autoencoder:{path}", "holds a UNet2DModel, and autoencoder needs one of AutoencoderKL"),
    ],
)
def test_a_value_that_does_not_fit_the_model_is_told(spec: str, told: str, tmp_path: Path) -> None:
    save_pipeline(tmp_path)
    shutil.copytree(tmp_path / "unet", tmp_path / "vae")  # for the last one: a U-Net where an autoencoder belongs
    with pytest.raises(ResidualError, match=re.escape(told)):
        load_residual(spec.format(path=tmp_path))


def test_a_missing_directory_is_told() -> None:
    with pytest.raises(ResidualError, match=r"no directory /nowhere/vae; give that of a model, or owner/name on the hub"):
        load_residual("autoencoder:/nowhere/vae")


def test_a_file_in_place_of_a_directory_is_told(tmp_path: Path) -> None:
    directory = save_autoencoder(tmp_path)
    with pytest.raises(ResidualError, match=r"is a file; give the directory that holds"):
        load_residual(f"autoencoder:{directory / WEIGHTS}")


def test_an_empty_directory_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ResidualError, match=r"looked for .*config\.json, .*vae/config\.json.*save_pretrained"):
        load_residual(f"autoencoder:{tmp_path}")


def test_an_autoencoder_given_to_a_diffusion_residual_is_told(tmp_path: Path) -> None:
    save_autoencoder(tmp_path)
    with pytest.raises(ResidualError, match=r"holds a AutoencoderKL, and ddim needs one of UNet2DModel"):
        load_residual(f"ddim:{tmp_path}")


def test_pickled_weights_are_never_loaded(tmp_path: Path) -> None:
    save_autoencoder(tmp_path)
    torch.save(load_file(tmp_path / WEIGHTS), tmp_path / "diffusion_pytorch_model.bin")
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(
        ResidualError, match=r"only diffusion_pytorch_model\.bin, and pickles are never loaded; .*safe_serialization=True"
    ):
        load_residual(f"autoencoder:{tmp_path}")


def test_weights_that_do_not_fit_are_refused_and_not_filled_with_random_numbers(tmp_path: Path) -> None:
    save_autoencoder(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    del tensors["decoder.conv_out.bias"]
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(ResidualError, match=r"decoder\.conv_out\.bias"):
        load_residual(f"autoencoder:{tmp_path}")


def test_damaged_weights_are_told(tmp_path: Path) -> None:
    save_autoencoder(tmp_path)
    (tmp_path / WEIGHTS).write_bytes((tmp_path / WEIGHTS).read_bytes()[:100])
    with pytest.raises(ResidualError, match=r"could not be loaded as AutoencoderKL"):
        load_residual(f"autoencoder:{tmp_path}")


def test_other_tensors_in_the_layout_of_taef2_are_told(tmp_path: Path) -> None:
    save_taef2(tmp_path)
    shutil.copy(tmp_path / "decoder.safetensors", tmp_path / "encoder.safetensors")
    with pytest.raises(ResidualError, match=r"encoder\.safetensors does not hold FLUX\.2's tiny autoencoder"):
        load_residual(f"autoencoder:{tmp_path}")


def test_a_model_without_its_schedule_is_told(tmp_path: Path) -> None:
    save_pipeline(tmp_path)
    with pytest.raises(ResidualError, match=r"no noise schedule beside the U-Net .*save the whole pipeline"):
        load_residual(f"denoise:{tmp_path / 'unet'}")


def test_a_model_and_its_schedule_side_by_side_load(tmp_path: Path) -> None:
    unet().save_pretrained(tmp_path)
    DDPMScheduler().save_pretrained(tmp_path)
    assert set(load_residual(f"denoise:{tmp_path}").digests) == {"config.json", WEIGHTS, "scheduler_config.json"}


def test_flow_matching_is_told(tmp_path: Path) -> None:
    save_pipeline(tmp_path)
    FlowMatchEulerDiscreteScheduler().save_pretrained(tmp_path / "scheduler")
    with pytest.raises(ResidualError, match=r"FlowMatchEulerDiscreteScheduler .*give a model trained as DDPM or DDIM"):
        load_residual(f"ddim:{tmp_path}")


def test_a_model_that_needs_a_class_is_told(tmp_path: Path) -> None:
    save_pipeline(tmp_path, unet(num_class_embeds=4))
    with pytest.raises(ResidualError, match=r"needs a class; give an unconditional model of RGB images"):
        load_residual(f"denoise:{tmp_path}")


def test_a_model_with_a_learned_variance_gives_its_mean(tmp_path: Path) -> None:
    save_pipeline(tmp_path, unet(out_channels=6))
    assert load_residual(f"denoise:{tmp_path}")(torch.rand(1, 3, 8, 8)).residual.shape == (1, 3, 8, 8)


def test_a_schedule_that_ends_in_pure_noise_needs_an_earlier_end(tmp_path: Path) -> None:
    save_pipeline(tmp_path)
    DDPMScheduler(rescale_betas_zero_snr=True).save_pretrained(tmp_path / "scheduler")
    with pytest.raises(ResidualError, match=r"leaves no signal.*give until=998 or less"):
        load_residual(f"ddim:{tmp_path}?steps=2")
    assert load_residual(f"ddim:{tmp_path}?steps=2&until=998")(torch.rand(1, 3, 8, 8)).residual.isfinite().all()


def test_sharded_weights_load_and_every_part_is_digested(tmp_path: Path) -> None:
    from tests.models.tiny_models import autoencoder_kl

    autoencoder_kl().save_pretrained(tmp_path, max_shard_size="20KB")
    parts = {file.name for file in tmp_path.glob("*.safetensors")}
    assert len(parts) > 1
    assert parts < set(load_residual(f"autoencoder:{tmp_path}").digests)


def _hub_cache(cache: Path, name: str, revision: str) -> Path:
    """The folder of a snapshot in the layout of the hub's local cache, as if it had been downloaded."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(revision)
    return repository / "snapshots" / revision


def test_a_hub_name_gives_its_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    revision = "0123456789abcdef0123456789abcdef01234567"
    save_autoencoder(_hub_cache(tmp_path / "cache", "owner/model", revision) / "vae")
    by_name = load_residual("autoencoder:owner/model")
    by_path = load_residual(f"autoencoder:{save_autoencoder(tmp_path / 'same' / 'vae').parent}")
    assert by_name.digests == by_path.digests
    assert load_residual(f"autoencoder:owner/model?revision={revision}").digests == by_path.digests
    with pytest.raises(ResidualError, match=r"owner/other is no directory here, and the model hub did not give it"):
        load_residual("autoencoder:owner/other")


def test_a_broken_config_is_told(tmp_path: Path) -> None:
    save_autoencoder(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ResidualError, match=r"config\.json is no JSON; save the model again"):
        load_residual(f"autoencoder:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["CLIP"]}))
    with pytest.raises(ResidualError, match=r"no diffusers model there"):
        load_residual(f"autoencoder:{tmp_path}")
