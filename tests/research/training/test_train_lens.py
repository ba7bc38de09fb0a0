"""``train-lens``: labelled shards in, a lens with a card out that a recipe can name; it goes on where it was stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from causalprint.models.features import FeatureExtractor, feature
from causalprint.models.lenses import load_lens
from causalprint.models.lenses.convolutional import CONFIG, WEIGHTS, TrunkConfig
from causalprint.models.training.interventions import Interventions
from causalprint.models.training.recipe import load_recipe
from causalprint.pipelines.training.bundle_files import take_in_lens
from causalprint.research.training.config import LensConfig
from causalprint.research.training.lens import TRUNKS, LensTraining
from causalprint.research.training.lens_data import LensTrainingError
from causalprint.research.training.train_lens import CARD, TrainedLens, train_lens
from tests.audits import command, jpeg, tar
from tests.bundles import photograph, tiny_prior
from tests.pipelines.training.test_train import labelled, write_tar

Capture = pytest.CaptureFixture[str]

TINY = TrunkConfig(stem=4, stages=((1, 4, 3, 1, 1), (1, 6, 3, 2, 2)))
TRAINING = LensTraining(batch=8, crop=64, buffer=16, rate=1e-2)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Photographs, and photographs of which every other pixel is darker, 64 pixels, to learn from and to judge by."""
    folder = tmp_path_factory.mktemp("shards")
    trace = 80 * (np.add.outer(np.arange(64), np.arange(64)) % 2)[..., None]
    written = []
    for name, first in (("train.tar", 0), ("val.tar", 5000)):
        rows = []
        for pixels, label in labelled(first, ["here", "there"]):
            crop = pixels[:64, :64].astype(np.int64)
            made = label is not None and label["source"] == "checkerboard"
            rows.append(((crop - trace if made else crop).clip(0, 255).astype(np.uint8), label))
        written.append(write_tar(folder / name, rows))
    return written[0], written[1]


@pytest.fixture
def config(shards: tuple[str, str], tmp_path: Path) -> LensConfig:
    return LensConfig((shards[0],), str(tmp_path / "lens"), (shards[1],), reading="image", epochs=12, device="cpu")


def learn(config: LensConfig, told: list[str] | None = None) -> TrainedLens:
    report = (lambda _: None) if told is None else told.append
    return train_lens(config, report, TINY, TRAINING, [Interventions(scale=0, blur=0, jpeg=0)])


def test_what_is_learned_is_a_lens_with_a_card(config: LensConfig) -> None:
    told: list[str] = []
    found = learn(config, told)
    assert found.recall >= 0.9
    assert "learning 2 sources from 20 images" in told
    lens = load_lens(found.lens)
    values = lens.apply(torch.rand(2, 3, 70, 50))
    assert values.shape == (2, lens.size)
    card = Path(found.card).read_text()
    assert f"train-lens {config.inputs[0]} --output {config.output} --val {config.val[0]} --reading image --epochs 12" in card
    assert "| checkerboard | there | MIT | 5 | 5 |" in card
    assert f"held-out images: {found.recall:.3f}" in card
    assert sorted(path.name for path in Path(found.output).parent.iterdir()) == ["lens"]


def test_resumed_is_what_an_uninterrupted_training_gives_bit_for_bit(config: LensConfig, tmp_path: Path) -> None:
    prior = f"denoise:{tiny_prior(tmp_path / 'prior')}"
    config = replace(config, reading="residual", residual=prior, epochs=3)
    whole = learn(config)

    def stop(text: str) -> None:
        if text.startswith("epoch 2/"):
            raise KeyboardInterrupt

    parts = replace(config, output=str(tmp_path / "parts"), resume=True)
    changes = (Interventions(scale=0, blur=0, jpeg=0),)
    with pytest.raises(KeyboardInterrupt):
        train_lens(parts, stop, TINY, TRAINING, changes)
    assert not (tmp_path / "parts").exists()
    with pytest.raises(FileExistsError, match="--resume"):
        learn(replace(parts, resume=False))
    with pytest.raises(LensTrainingError, match="another seed"):
        learn(replace(parts, seed=1))
    told: list[str] = []
    resumed = learn(parts, told)
    assert [text[:9] for text in told if text.startswith("epoch")] == ["epoch 3/3"]
    assert resumed[3:] == whole[3:]
    assert (Path(resumed.output) / WEIGHTS).read_bytes() == (Path(whole.output) / WEIGHTS).read_bytes()
    with pytest.raises(FileExistsError, match="another --output"):
        learn(parts)


def test_without_validation_some_contents_are_held_out(config: LensConfig, tmp_path: Path) -> None:
    found = learn(replace(config, inputs=config.inputs + config.val, val=(), epochs=1))
    last = Path(found.card).read_text().split("| all | | | ")[1].split(" |")
    learned, held_out = int(last[0]), int(last[1].removeprefix("| "))
    assert learned + held_out == 40
    assert 0 < held_out < 15


def test_a_lens_can_begin_from_another(config: LensConfig, tmp_path: Path) -> None:
    first = learn(replace(config, epochs=1))
    second = train_lens(
        replace(config, output=str(tmp_path / "second"), init=first.lens, epochs=1), training=replace(TRAINING, rate=0.0)
    )
    before, after = (load_file(Path(found.output) / WEIGHTS) for found in (first, second))
    assert np.array_equal(before["stem.0.weight"], after["stem.0.weight"])
    assert f"from `{first.lens}`" in Path(second.card).read_text()


def test_what_cannot_be_trained_is_said(config: LensConfig, tmp_path: Path) -> None:
    with pytest.raises(LensTrainingError, match=r"train\.tar is among the inputs and in --val"):
        learn(replace(config, val=config.inputs))
    with pytest.raises(LensTrainingError, match="leave --residual out"):
        learn(replace(config, residual="denoise:somewhere"))
    with pytest.raises(LensTrainingError, match="no convolutional lens"):
        learn(replace(config, init="onnx:some.onnx"))
    small = tar(tmp_path / "small.tar", [("0.jpg", jpeg(1, 40)), ("0.json", b'{"source": "real"}')])
    with pytest.raises(LensTrainingError, match="nothing is held out to validate on"):
        learn(replace(config, val=(str(small),)))
    with pytest.raises(LensTrainingError, match=r"as large as the crop at least; found \{\} to learn from, and 20 that"):
        train_lens(config, shape=TINY, training=replace(TRAINING, crop=65))


def test_the_command_makes_a_lens_that_a_recipe_can_name(tmp_path: Path, capsys: Capture) -> None:
    shard = write_tar(tmp_path / "train.tar", labelled(0, ["here"])[:9])
    lens = tmp_path / "lens"
    code, found, _ = command(
        capsys, "lab", "train-lens", shard, "--val", write_tar(tmp_path / "val.tar", labelled(900, ["there"])[:4]), "-o", lens,
        "--reading", "image", "--epochs", 1, "--device", "cpu",
    )  # fmt: skip
    assert (code, found["lens"], found["epochs"]) == (0, f"convolutional:{lens}", 1)
    assert Path(found["card"]).is_file()
    path = tmp_path / "recipe.yaml"
    uses = [{"lens": found["lens"], "reading": "image"}]
    path.write_text(json.dumps({"name": "own", "about": "a lens of its own", "lenses": uses}))
    own = [feature(use.lens, use.reading) for use in load_recipe(str(path)).lenses]
    extractor = FeatureExtractor(f"denoise:{tiny_prior(tmp_path / 'prior')}", own, torch.device("cpu"), "the test")
    assert extractor(photograph(0)[None]).shape == (1, 2 * sum(TRUNKS["small"].channels))
    taken = take_in_lens(found["lens"])
    taken.copy(tmp_path / "bundle")
    assert taken.spec == "convolutional:./lenses/lens"
    assert sorted(file.name for file in (tmp_path / "bundle" / "lenses" / "lens").iterdir()) == [CARD, CONFIG, WEIGHTS]


def test_an_unlabelled_image_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    tar(tmp_path / "0.tar", [("bare.jpg", jpeg(1))])
    code, found, log = command(capsys, "lab", "train-lens", tmp_path / "0.tar", "-o", tmp_path / "lens", "--reading", "image")
    assert code == 1
    assert "bare.jpg in file://" in found["error"]
    assert "--label-field" in found["error"]
    assert "Traceback" not in log
    assert not (tmp_path / "lens").exists()
