from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline
from PIL import Image
from safetensors.torch import load_file

from causalprint.research.generators.autoencoders import Decoder
from causalprint.research.generators.denoising import SIGMAS
from causalprint.research.generators.prior import PriorConfig
from causalprint.research.training import own_model, photographs
from causalprint.research.training.config import ModelTrainingConfig
from causalprint.research.training.loop import TrainingConfig
from causalprint.research.training.photographs import split_photographs
from causalprint.research.training.train_autoencoder import train_autoencoder
from causalprint.research.training.train_prior import train_prior
from causalprint.schemas.losses import Losses, ReasonCount

TINY = PriorConfig(channels=(8, 8), groups=4)
TRAINING = TrainingConfig(patches=((16, 2), (24, 1)), warmup=2)


@pytest.fixture(autouse=True)
def _no_shipped_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is installed beside the package must not change what these tests see.
    monkeypatch.setattr(photographs, "photographs", lambda: iter(()))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Twenty photographs of ten scenes (two of scenes 10, 12 and 13 are held out, by their digest) and two generated images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(22):
        pixels = np.random.default_rng(index).integers(0, 256, (32, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
        sidecar = {
            "source": "real" if index < 20 else "some-model",
            "origin": "here" if index < 10 else "there",
            "licence": "CC0",
            "content": f"scene {index // 2 + 5}",
        }
        (folder / f"{index:02d}.json").write_text(json.dumps(sidecar))
    return folder


@pytest.fixture
def config(images: Path, tmp_path: Path) -> ModelTrainingConfig:
    return ModelTrainingConfig(inputs=(str(images),), output=str(tmp_path / "model"), steps=6, device="cpu")


def test_the_result_is_a_pipeline_with_a_card(config: ModelTrainingConfig) -> None:
    result = train_prior(config, prior=TINY, training=TRAINING)
    assert result.steps == 6
    assert DDPMPipeline.from_pretrained(result.output).unet.config.block_out_channels == [8, 8]
    card = Path(result.card).read_text()
    assert "--steps 6 --seed 0 --device cpu" in card
    assert "| here | CC0 | 10 | 0 |" in card
    assert len(re.findall(r"^\| \d+ \| [\d.]+ \| [\d.]+ \| \*\*[\d.]+\*\* \|", card, re.MULTILINE)) == len(SIGMAS)


def test_interrupted_and_resumed_gives_the_weights_of_an_uninterrupted_run(
    config: ModelTrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_prior(config, prior=TINY, training=TRAINING)

    # Stopped from outside in the middle, some steps after its last checkpoint.
    parts = replace(config, output=str(tmp_path / "parts"), resume=True)
    train_prior(replace(parts, steps=3), prior=TINY, training=TRAINING)
    monkeypatch.setattr(own_model, "REPORT_STEPS", 1)

    def stop(text: str) -> None:
        if text.startswith("step 5/6, loss "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_prior(parts, stop, prior=TINY, training=TRAINING)
    told: list[str] = []
    train_prior(parts, told.append, prior=TINY, training=TRAINING)

    assert [text.partition(",")[0] for text in told] == ["step 4/6", "step 5/6", "step 6/6"]
    name = "unet/diffusion_pytorch_model.safetensors"
    for key, tensor in load_file(Path(whole.output) / name).items():
        torch.testing.assert_close(load_file(tmp_path / "parts" / name)[key], tensor, atol=0, rtol=0)


def test_a_checkpoint_is_never_overwritten_by_a_new_run(config: ModelTrainingConfig) -> None:
    train_prior(config, prior=TINY, training=TRAINING)
    with pytest.raises(FileExistsError, match="--resume"):
        train_prior(config, prior=TINY, training=TRAINING)
    with pytest.raises(ValueError, match="another seed"):
        train_prior(replace(config, seed=1, resume=True), prior=TINY, training=TRAINING)


def test_the_budget_can_be_time(config: ModelTrainingConfig) -> None:
    result = train_prior(replace(config, steps=None, minutes=0.002), prior=TINY, training=TRAINING)
    assert result.steps >= 1


def test_only_photographs_count_and_no_scene_is_on_both_sides(config: ModelTrainingConfig) -> None:
    split = split_photographs(config.inputs, (), 32)
    assert len(split.training) + len(split.held_out) == 20
    assert split.held_out
    assert not {one.label.content for one in split.training} & {one.label.content for one in split.held_out}
    assert Counter(one.label.origin for one in split.training + split.held_out) == {"here": 10, "there": 10}


def test_what_names_no_source_is_a_photograph_and_what_cannot_be_decoded_is_left_out_and_said(
    config: ModelTrainingConfig, images: Path
) -> None:
    (images / "00.json").write_text("{}")
    data = (images / "01.png").read_bytes()
    (images / "01.png").write_bytes(data[: len(data) // 2])
    split = split_photographs(config.inputs, (), 32)
    assert len(split.training) + len(split.held_out) == 19
    assert {one.label.licence for one in split.training + split.held_out} == {"CC0", "unstated"}
    assert split.losses == Losses((ReasonCount("truncated-image", 1),))
    result = train_prior(replace(config, steps=1), prior=TINY, training=TRAINING)
    assert "Of the inputs, 1 image is left out (1 truncated-image)." in Path(result.card).read_text()


def test_val_is_held_out_with_all_that_shares_its_scenes(config: ModelTrainingConfig, images: Path, tmp_path: Path) -> None:
    val = tmp_path / "val"
    val.mkdir()
    for suffix in ("png", "json"):
        (val / f"00.{suffix}").write_bytes((images / f"00.{suffix}").read_bytes())
    split = split_photographs(config.inputs, (str(val),), 32)
    assert [photograph.label.content for photograph in split.held_out] == ["scene 5"]
    assert {photograph.label.content for photograph in split.training} == {f"scene {index}" for index in range(6, 15)}


def test_too_few_photographs_is_said_with_the_remedy(config: ModelTrainingConfig) -> None:
    with pytest.raises(ValueError, match="0 photographs to train on and 0 held out, each at least 64 pixels"):
        split_photographs(config.inputs, (), 64)


@pytest.mark.parametrize("decoder", get_args(Decoder))
def test_an_autoencoder_is_trained_alike(config: ModelTrainingConfig, decoder: Decoder) -> None:
    result = train_autoencoder(replace(config, steps=2), decoder, training=TRAINING)
    assert result.steps == 2
    assert re.search(r"8 bits in and out: \d+\.\d\d dB", Path(result.card).read_text())
