"""Labelled shards of every format, wherever they lie and whatever computes them, give the same features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from causalprint.models.features import feature
from causalprint.models.training.examples import Examples, Extraction
from causalprint.models.training.interventions import Interventions
from causalprint.pipelines.training.features import FeatureConfig, FeatureError, LabelledExamples, labelled_examples
from causalprint.schemas.config import Slicing
from causalprint.schemas.elements import ImageSlice, Shard
from causalprint.transforms import read_image_shards
from causalprint.transforms.formats.slices import read_slices
from tests.audits import command
from tests.bundles import tiny_prior
from tests.servers import ObjectStore
from tests.shards import Sample, damaged_tar, make_samples, tar_bytes, write_shard

FORMATS = ("folder", "parquet", "tar", "tfrecord")


@pytest.fixture(scope="module")
def extraction(tmp_path_factory: pytest.TempPathFactory) -> Extraction:
    features = (feature("rgb", "residual"), feature("stats", "image"))
    return Extraction(
        f"denoise:{tiny_prior(tmp_path_factory.mktemp('prior'))}", features, label_field="maker", interventions=(Interventions(),)
    )


def labelled(count: int, seed: int = 0) -> list[Sample]:
    samples = make_samples(count, seed=seed, kinds=("PNG",), width=256, height=256)
    label = {"maker": "alpha", "origin": "here", "licence": "CC0"}
    return [sample._replace(metadata={**label, "content": sample.key}) for sample in samples]


def columns(examples: Examples, place: slice = slice(None)) -> dict[str, list[object]]:
    arrays = {**examples.images.columns, **{name: getattr(examples, name) for name in ("features", "style", "thumbnail")}}
    return {name: column[place].tolist() for name, column in arrays.items()}


def test_every_format_gives_the_same_features(tmp_path: Path, extraction: Extraction) -> None:
    samples = labelled(3)
    shards = [str(write_shard(kind, samples, tmp_path / f"shard.{kind}")) for kind in FORMATS]
    told: list[str] = []
    config = FeatureConfig(extraction, str(tmp_path / "features"), threads=2, slicing=Slicing(images=2))
    found, validation = labelled_examples(shards, [], config, told.append)
    assert validation is None
    assert found.features.shape == (12, 2, extraction.width)
    assert set(found.images.source) == {"alpha"}
    parts = [columns(found, slice(start, start + 3)) for start in range(0, 12, 3)]
    assert all(part == parts[0] for part in parts)
    assert told[-1] == "reading the features of 4 shards"
    assert len(list((tmp_path / "features").glob("features/*/*.parquet"))) == 2 * len(FORMATS)


def test_damage_is_told_and_counted(tmp_path: Path, extraction: Extraction) -> None:
    tar, lost = damaged_tar(labelled(6), {1: "flipped header", 3: "cut short", 5: "cut inside"})
    (tmp_path / "damaged.tar").write_bytes(tar)
    (tmp_path / "whole.tar").write_bytes(tar_bytes(labelled(2, seed=1)))
    told: list[str] = []
    config = FeatureConfig(extraction, str(tmp_path / "features"), threads=2)
    found = labelled_examples([str(tmp_path / "*.tar")], [], config, told.append).training
    assert (len(found.images), found.left_out) == (6 - len(lost) + 2, len(lost))
    assert any("1 of 2 shards are damaged and give what can be read of them" in line and "damaged.tar" in line for line in told)


def test_inputs_and_features_may_lie_in_an_object_store(s3_store: ObjectStore, tmp_path: Path, extraction: Extraction) -> None:
    shard = tar_bytes(labelled(2))
    (tmp_path / "0.tar").write_bytes(shard)
    there = FeatureConfig(extraction, f"{s3_store.url}/features", threads=2, storage=s3_store.storage)
    first = labelled_examples([s3_store.put("in/0.tar", shard)], [s3_store.put("val/1.tar", shard)], there)
    here = labelled_examples([str(tmp_path / "0.tar")], [], FeatureConfig(extraction, str(tmp_path / "features"), threads=1))
    assert first.validation is not None
    assert columns(first.training) == columns(first.validation) == columns(here.training)


@pytest.mark.slow
def test_workers_change_nothing(tmp_path: Path, extraction: Extraction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    shards = [str(write_shard("tar", labelled(5, seed), tmp_path / f"{seed}.tar")) for seed in range(3)]

    def compute(name: str, *beam_options: str) -> LabelledExamples:
        config = FeatureConfig(extraction, str(tmp_path / name), slicing=Slicing(images=2), beam_options=beam_options)
        return labelled_examples(shards[:2], shards[2:], config)

    one, two = compute("one"), compute("two", "--direct_num_workers=2")
    assert one.validation is not None
    assert two.validation is not None
    assert columns(one.training) == columns(two.training)
    assert columns(one.validation) == columns(two.validation)
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).glob("features/*/*.parquet")} for name in ("one", "two")]
    assert len(files[0]) == 9
    assert files[0] == files[1]


def test_a_shard_that_could_not_be_read_is_no_shard_that_ends(
    tmp_path: Path, extraction: Extraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(shard: Shard, key: str, *arguments: Any) -> Iterator[ImageSlice]:
        first = next(read_slices(shard, key, *arguments))
        yield first
        yield replace(
            first, slice_id=shard.slice_id(key, 1), index=1, images=(), last=True, damage="connection reset", retryable=True
        )

    shard = write_shard("tar", labelled(3), tmp_path / "0.tar")
    config = FeatureConfig(extraction, str(tmp_path / "features"), threads=2, slicing=Slicing(images=1))
    with monkeypatch.context() as patched:
        patched.setattr(read_image_shards, "read_slices", broken)
        with pytest.raises(FeatureError, match=r"0\.tar: connection reset; run the same command again with --resume"):
            labelled_examples([str(shard)], [], config)
    (kept,) = (tmp_path / "features").glob("features/*/*.parquet")
    before = (kept.stat().st_ino, kept.stat().st_mtime_ns)
    assert len(labelled_examples([str(shard)], [], config).training.images) == 3
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == before, "features that were there were computed again"


def test_an_image_without_a_label_is_left_out_and_said(tmp_path: Path, extraction: Extraction) -> None:
    samples = labelled(3)
    samples[1] = samples[1]._replace(metadata={"url": "https://example.org"})
    told: list[str] = []
    config = FeatureConfig(extraction, str(tmp_path / "features"), threads=2)
    shard = str(write_shard("tar", samples, tmp_path / "0.tar"))
    found = labelled_examples([shard], [], config, told.append).training
    assert (found.images.content.tolist(), found.left_out) == ([samples[0].key, samples[2].key], 1)
    assert "1 image is left out (1 unlabelled)" in told


def test_that_no_image_has_a_label_is_one_clear_error(
    tmp_path: Path, extraction: Extraction, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = [sample._replace(metadata={"url": "https://example.org"}) for sample in labelled(3)]
    tar = write_shard("tar", samples, tmp_path / "0.tar")
    answer = command(
        capsys,
        "train",
        tar,
        "-o",
        tmp_path / "bundle",
        "--residual",
        extraction.residual,
        "--label-field",
        "maker",
        "--interventions",
        0,
    )
    assert answer.code == 1
    expected = (
        f"000000.png in file://{tar} has no label: 'maker' of its sidecar or row is not there and it lies in no folder; "
        "state its source there, or name another key or column with another --label-field"
    )
    assert answer.found["error"] == expected
    assert answer.log.splitlines()[1:] == [f"causalprint: {expected}"]
