"""``train`` makes a bundle that audits: labelled shards in, a card and figures out, and it goes on where it was stopped."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import tarfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.bundles.gallery import read_gallery
from causalprint.models.bundles.held_out import read_held_out
from causalprint.models.fingerprint import Fingerprinter
from causalprint.pipelines.commands.train import TrainConfig
from causalprint.pipelines.training.bundle_files import LICENCE
from causalprint.pipelines.training.features import FeatureError
from causalprint.pipelines.training.train import TrainingError, train
from causalprint.transforms.images.decode import decode
from tests.bundles import photograph, tiny_prior
from tests.forks import Forks

PER_ORIGIN = 5


def a_checkerboard(seed: int) -> npt.NDArray[np.uint8]:
    """A photograph with the trace of a bad decoder."""
    trace = 12 * ((np.add.outer(np.arange(256), np.arange(256)) % 2) - 0.5)
    changed: npt.NDArray[np.uint8] = np.clip(photograph(seed) + trace[..., None], 0, 255).astype(np.uint8)
    return changed


def write_tar(path: Path, rows: Sequence[tuple[npt.NDArray[np.uint8], dict[str, str] | None]]) -> str:
    with tarfile.open(path, "w") as tar:
        for place, (pixels, sidecar) in enumerate(rows):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            files = [("png", buffer.getvalue())] + ([("json", json.dumps(sidecar).encode())] if sidecar else [])
            for suffix, data in files:
                member = tarfile.TarInfo(f"{place:04d}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return str(path)


def labelled(first: int, origins: Sequence[str]) -> list[tuple[npt.NDArray[np.uint8], dict[str, str] | None]]:
    rows: list[tuple[npt.NDArray[np.uint8], dict[str, str] | None]] = []
    for number, origin in enumerate(origins):
        for place in range(PER_ORIGIN):
            seed = first + 100 * number + place
            rows.append((photograph(seed), {"source": "real", "origin": origin, "licence": "CC0"}))
            rows.append((a_checkerboard(seed + 50), {"source": "checkerboard", "origin": origin, "licence": "MIT"}))
    return rows


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"denoise:{tiny_prior(tmp_path_factory.mktemp('prior'))}?sigma=0.05"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recipe that computes little."""
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text("{name: small, about: little, lenses: [{lens: rgb, reading: residual}, {lens: stats, reading: image}]}")
    return str(path)


def commits(folder: Path) -> dict[str, tuple[int, int]]:
    """Files of features, each with what changes when it is written again."""
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in folder.glob("features/*/*.parquet")}


def test_a_trained_bundle_attributes_what_it_has_not_seen(tmp_path: Path, prior: str) -> None:
    shard = write_tar(tmp_path / "train.tar", labelled(0, ["here", "there"]))
    told: list[str] = []
    config = TrainConfig(
        (shard,), str(tmp_path / "bundle"), residual=prior, name="checked", licence="CC0", views=3, interventions=1, threads=2
    )
    bundle = train(config, told.append)
    assert told
    assert bundle.bundle_id.startswith("checked-")
    assert bundle == load_bundle(tmp_path / "bundle")
    assert bundle.manifest.sources == ("real", "checkerboard")
    assert bundle.manifest.geometry.views == 3
    assert bundle.manifest.residual == "denoise:./residual?sigma=0.05"
    held_out = read_held_out(bundle)
    assert held_out is not None
    assert Counter(zip(held_out.source.tolist(), held_out.origin.tolist(), strict=True)) == {
        (one.source, one.origin): one.training for one in bundle.manifest.data
    }
    assert np.allclose(held_out.probabilities[:, 1], held_out.generated)
    assert {(one.source, one.origin, one.training, one.licence) for one in bundle.manifest.data} == {
        ("real", "here", 5, "CC0"),
        ("real", "there", 5, "CC0"),
        ("checkerboard", "here", 5, "MIT"),
        ("checkerboard", "there", 5, "MIT"),
    }
    assert {figure.name: figure.value for figure in bundle.manifest.figures}["macro recall"] > 0.8
    card = (tmp_path / "bundle" / "card.md").read_text()
    assert "| checkerboard | there | 5 | 0 | MIT |" in card
    assert "must not be used" in card
    assert "up to 3 crops of 256 x 256 pixels" in card
    assert "crops of 256 pixels of 20 images, each in the encoding of its file, from 2 origins a source" in card
    assert not any("nan" in text for text in told)
    assert not (tmp_path / "bundle.features").exists()
    crops = np.stack([photograph(7001), a_checkerboard(7002), photograph(7003), a_checkerboard(7004)])
    verdicts = Attributor(bundle)(Fingerprinter(bundle, "cpu")(crops).fingerprint)
    probabilities = [verdict.generated_probability or 0.0 for verdict in verdicts]
    assert max(probabilities[::2]) < min(probabilities[1::2])  # a few photographs and a strong ridge tell no more
    gallery = read_gallery(bundle)
    assert gallery is not None
    assert sorted(zip(gallery.source, gallery.origin, gallery.licence, strict=True)) == sorted(
        (one.source, one.origin, one.licence) for one in bundle.manifest.data for _ in range(one.training)
    )
    with tarfile.open(shard) as archive:
        stored = [file.read() for member in archive if member.name.endswith(".png") and (file := archive.extractfile(member))]
    assert set(gallery.image_id.tolist()) == {hashlib.sha256(data).hexdigest() for data in stored}
    pixels = {hashlib.sha256(data).hexdigest(): decode(data).pixels for data in stored}
    first = Fingerprinter(bundle, "cpu")(np.stack([pixels[gallery.image_id[0]]])).fingerprint[0]
    assert np.abs(first.astype(float) - gallery.fingerprint[0]).max() < 0.05


@pytest.mark.slow
def test_a_training_that_was_killed_takes_up_its_features_and_gives_the_same_bundle(
    tmp_path: Path, prior: str, small: str, forks: Forks
) -> None:
    shards = [write_tar(tmp_path / f"{number}.tar", labelled(500 * number, [f"place-{number}"])) for number in range(5)]
    arguments = ["train", *shards, "--residual", prior, "--recipe", small, "--json"]
    assert forks.run(*arguments, "-o", tmp_path / "whole").code == 0
    killed = [*arguments, "-o", tmp_path / "resumed", "--features", tmp_path / "features"]
    running = forks.start(*killed)
    while running.runs and not commits(tmp_path / "features"):
        time.sleep(0.005)
    running.kill(signal.SIGKILL)
    assert running.wait().code == -signal.SIGKILL
    kept = commits(tmp_path / "features")
    assert kept
    again = forks.start(*killed)
    assert again.wait().code == 0, again.out.read_text()
    found = commits(tmp_path / "features")
    assert len(found) == len(shards)
    assert kept.items() <= found.items(), "features that were there were computed again"
    assert load_bundle(tmp_path / "resumed").digest == load_bundle(tmp_path / "whole").digest


def test_resuming_keeps_the_features_beside_the_output_until_there_is_a_bundle(tmp_path: Path, prior: str, small: str) -> None:
    shard = write_tar(tmp_path / "0.tar", labelled(0, ["here", "there"]))
    own = tmp_path / "bundle.features"
    config = TrainConfig((shard,), str(tmp_path / "bundle"), recipe=small, residual=prior, threads=2, resume=True)
    when_fitting: list[dict[str, tuple[int, int]]] = []

    def stop(text: str) -> None:
        if "fitting" in text:
            when_fitting.append(commits(own))
            if len(when_fitting) < 3:
                raise KeyboardInterrupt

    for each in (config, replace(config, resume=False)):
        with pytest.raises(KeyboardInterrupt):
            train(each, stop)
    train(config, stop)
    first, anew, resumed = when_fitting
    assert first
    assert first != anew == resumed
    assert not own.exists()


def test_given_validation_sets_the_limits_and_the_parts_licence_is_inherited(tmp_path: Path, prior: str, small: str) -> None:
    shard = write_tar(tmp_path / "train.tar", labelled(0, ["here"]))
    other = write_tar(tmp_path / "val.tar", labelled(500, ["there"]))
    config = TrainConfig((shard,), str(tmp_path / "bundle"), (other,), small, residual=prior, threads=2)
    (licensed := Path(prior.partition(":")[2].partition("?")[0]) / LICENCE).write_text("Research only\n")
    manifest = train(config).manifest
    licensed.unlink()
    assert {(one.origin, one.training, one.validation) for one in manifest.data} == {("here", 5, 0), ("there", 0, 5)}
    notes = {figure.name: figure.note for figure in manifest.figures}
    assert notes["macro recall, unseen origins"] == "held-out images of origins that were not learned from"
    assert manifest.licence == "Research only"
    assert {file.licence for file in manifest.files} == {"Research only"}


def test_what_cannot_be_trained_from_is_said(tmp_path: Path, prior: str, small: str) -> None:
    only_real = write_tar(tmp_path / "real.tar", [(photograph(seed), {"source": "real"}) for seed in range(5)])
    with pytest.raises(TrainingError, match=r"at least 4 images of `real` and of each generator.*found \{'real': 5\}"):
        train(TrainConfig((only_real,), str(tmp_path / "a"), recipe=small, residual=prior))
    with pytest.raises(FeatureError, match=r"real\.tar is among the inputs and in --val"):
        train(TrainConfig((only_real,), str(tmp_path / "b"), (only_real,), recipe=small, residual=prior))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "bundle.json").write_text("{}")
    blind = tmp_path / "blind.yaml"
    blind.write_text("{name: blind, about: little, lenses: [{lens: rgb, reading: residual}]}")
    with pytest.raises(TrainingError, match=r"--views 2 needs a lens that reads the image, and recipe .*blind.yaml has none"):
        train(TrainConfig((only_real,), str(tmp_path / "d"), recipe=str(blind), views=2, residual=prior))
    with pytest.raises(TrainingError, match="already holds a bundle"):
        train(TrainConfig((only_real,), str(tmp_path / "c"), recipe=small, residual=prior))
