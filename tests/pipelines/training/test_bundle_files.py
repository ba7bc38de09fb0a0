"""A bundle holds the weights that it was trained with: it computes the same when the folders they came from are gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.fingerprint import Fingerprinter
from causalprint.models.lenses.base import PACKAGE
from causalprint.models.lenses.convolutional import CONFIG, WEIGHTS, save_trunk
from causalprint.pipelines.commands.train import TrainConfig
from causalprint.pipelines.training.bundle_files import TakenIn, take_in, take_in_lens
from causalprint.pipelines.training.train import train
from causalprint.schemas.model_spec import LensError
from tests.bundles import photograph, tiny_prior
from tests.models.tiny_trunks import tiny_trunk
from tests.pipelines.training.test_train import labelled, write_tar


def test_a_bundle_computes_the_same_after_all_that_it_was_made_from_is_gone(tmp_path: Path) -> None:
    save_trunk(tiny_trunk(), tmp_path / "made" / "trunk")
    tiny_prior(tmp_path / "made" / "prior")
    shard = write_tar(tmp_path / "made" / "train.tar", labelled(0, ["here"]))
    recipe = tmp_path / "made" / "own.yaml"
    lens = f"convolutional:{tmp_path / 'made' / 'trunk'}"
    recipe.write_text(
        f"{{name: own, about: little, lenses: [{{lens: '{lens}', reading: residual}}, {{lens: rgb, reading: image}}]}}"
    )
    prior = f"denoise:{tmp_path / 'made' / 'prior'}?sigma=0.05"
    bundle = train(TrainConfig((shard,), str(tmp_path / "bundle"), recipe=str(recipe), residual=prior, threads=1))
    assert [one.lens for one in bundle.manifest.features] == ["convolutional:./lenses/trunk", "rgb"]
    assert {f"lenses/trunk/{name}" for name in (CONFIG, WEIGHTS)} < {file.path for file in bundle.manifest.files}
    assert str(tmp_path) not in (tmp_path / "bundle" / "bundle.json").read_text()
    crops = np.stack([photograph(1)])
    before = Fingerprinter(bundle, "cpu")(crops).fingerprint
    shutil.rmtree(tmp_path / "made")
    shutil.move(tmp_path / "bundle", tmp_path / "elsewhere")
    moved = load_bundle(tmp_path / "elsewhere")
    assert moved.bundle_id == bundle.bundle_id
    np.testing.assert_array_equal(Fingerprinter(moved, "cpu")(crops).fingerprint, before)
    assert before.any()
    (tmp_path / "elsewhere" / "lenses" / "trunk" / WEIGHTS).unlink()
    with pytest.raises(LensError, match="trunk"):
        Fingerprinter(moved, "cpu")


def files(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_a_folder_goes_in_whole_and_keeps_its_options(tmp_path: Path) -> None:
    weights = files(tiny_prior(tmp_path / "prior"))
    (tmp_path / "prior" / "optimizer.pt").write_bytes(b"no part of the weights")
    part = take_in(f"denoise:{tmp_path / 'prior'}?sigma=0.1", "residual")
    assert part.spec == "denoise:./residual?sigma=0.1"
    part.copy(tmp_path / "bundle")
    assert files(tmp_path / "bundle" / "residual") == weights
    take_in(f"denoise:{tmp_path / 'bundle' / 'residual'}", "residual").copy(tmp_path / "bundle")
    assert files(tmp_path / "bundle" / "residual") == weights


def test_a_file_goes_in_alone(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name in ("encoder.int8.onnx", "other.onnx"):
        (tmp_path / "models" / name).write_bytes(name.encode())
    part = take_in_lens(f"onnx:{tmp_path / 'models' / 'encoder.int8.onnx'}?mean=0.5&std=0.5")
    assert part.spec == "onnx:./lenses/encoder.int8/encoder.int8.onnx?mean=0.5&std=0.5"
    part.copy(tmp_path / "bundle")
    (copied,) = [file for file in (tmp_path / "bundle").rglob("*") if file.is_file()]
    assert copied.read_bytes() == b"encoder.int8.onnx"
    assert copied == tmp_path / "bundle" / "lenses" / "encoder.int8" / "encoder.int8.onnx"


def test_each_lens_of_another_folder_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    for name in ("trunk-1.0", "trunk-1.1", "c"):
        save_trunk(tiny_trunk(), tmp_path / name)
    specs = [take_in_lens(f"convolutional:{tmp_path / name}").spec for name in ("trunk-1.0", "trunk-1.1", "c")]
    assert specs == [f"convolutional:./lenses/{name}" for name in ("trunk-1.0", "trunk-1.1", "c")]


def test_a_lens_of_the_package_is_taken_in_by_its_name() -> None:
    part = take_in_lens("convolutional:efficientnet-lite0")
    assert part == TakenIn(
        "convolutional:./lenses/efficientnet-lite0", PACKAGE / "efficientnet-lite0", "lenses/efficientnet-lite0"
    )


@pytest.mark.parametrize("lens", ["rgb", "transformers:facebook/dino-vitb16", "timm:resnet18?mean=0.5", "convolutional:o"])
def test_what_lies_nowhere_here_stays_as_it_was_given(lens: str, tmp_path: Path) -> None:
    part = take_in_lens(lens)
    assert (part.spec, part.source) == (lens, None)
    part.copy(tmp_path)
    assert not list(tmp_path.iterdir())
