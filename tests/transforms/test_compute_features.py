"""Features of labelled images: what is in a row, what is left out and counted, and that nothing but the image decides its row."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from causalprint.models.features import FeatureExtractor, feature
from causalprint.models.residuals import load_residual
from causalprint.models.training.examples import Extraction
from causalprint.models.training.interventions import Interventions, Style
from causalprint.schemas.config import Slicing
from causalprint.schemas.elements import EncodedImage, ImageSlice, Reject, Shard
from causalprint.transforms.compute_features import FeatureSlice, feature_key, feature_slice
from causalprint.transforms.counting import FOLDER, Pool, Tally, read_tally
from tests.bundles import photograph, tiny_prior

SHARD = Shard("file:///data/00000.tar", 1, "etag", "tar")
STYLED = Interventions(mirror=0.5, scale=0, blur=0, gamma=1, jpeg=1)


@pytest.fixture(scope="module")
def extraction(tmp_path_factory: pytest.TempPathFactory) -> Extraction:
    features = (feature("rgb", "residual"), feature("stats", "image"))
    return Extraction(f"denoise:{tiny_prior(tmp_path_factory.mktemp('prior'))}", features, interventions=(STYLED,))


@pytest.fixture(scope="module")
def extractor(extraction: Extraction) -> FeatureExtractor:
    return FeatureExtractor(extraction.residual, extraction.features, torch.device("cpu"), "the test")


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(2) as made:
        yield made


def an_image(seed: int, side: int = 256, source: str | None = "real") -> EncodedImage:
    buffer = io.BytesIO()
    Image.fromarray(photograph(seed, side, side)).save(buffer, "PNG")
    metadata = None if source is None else json.dumps({"source": source, "origin": "here", "content": f"scene {seed}"})
    return EncodedImage(f"{seed}.png", 512 * seed, buffer.getvalue(), metadata)


def a_slice(*images: EncodedImage) -> ImageSlice:
    lost = Reject("gone.png", 9000, "read", "truncated-member", "the shard ends", None, None)
    return ImageSlice("0" * 32, SHARD, 0, images, (lost,), last=True, damage="the shard ends inside gone.png")


def test_a_row_holds_the_features_of_the_crop_and_of_what_the_interventions_made_of_it(
    extraction: Extraction, extractor: FeatureExtractor, pool: Pool
) -> None:
    image = an_image(1)
    (row,) = feature_slice(a_slice(image), extractor, extraction, pool).rows.to_pylist()
    assert [row[name] for name in ("image_id", "shard", "member")] == [image.image_id, SHARD.uri, "1.png"]
    assert [row[name] for name in ("source", "origin", "content", "licence")] == ["real", "here", "scene 1", "unstated"]
    assert row["encoded_bytes"] == len(image.data)
    features, style = np.array(row["features"], np.float16), [Style(*version) for version in row["style"]]
    assert features.shape == (2, extraction.width)
    np.testing.assert_array_equal(features[0], extractor(photograph(1)[None])[0].astype(np.float16))
    assert not np.array_equal(*features)
    assert style[0] == Style()
    assert style[1].gamma != 0
    assert style[1].quality < 1
    thumbnail = np.frombuffer(row["thumbnail"], np.uint8).reshape(16, 16, 3)
    blocks = photograph(1).reshape(16, 16, 16, 16, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(thumbnail, blocks, atol=1)


def test_what_is_left_out_is_counted_by_its_reason(
    extraction: Extraction,
    extractor: FeatureExtractor,
    pool: Pool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    cut, text = an_image(2), an_image(3)._replace(data=b"404: not found")
    images = (an_image(1), cut._replace(data=cut.data[:9000]), text, an_image(4, side=128), an_image(5))
    found = feature_slice(a_slice(*images), extractor, extraction, pool)
    assert found.rows.column("member").to_pylist() == ["1.png", "5.png"]
    assert len(found.rows) == 2
    assert [tuple(each) for each in found.left_out] == [
        ("compute", "too-small", 1),
        ("decode", "truncated-image", 1),
        ("decode", "unsupported-format", 1),
        ("read", "truncated-member", 1),
    ]
    assert found.source.damage == "the shard ends inside gone.png"
    told = Tally(images=6, rejects=4, encoded_bytes=sum(len(image.data) for image in images))
    assert read_tally(str(tmp_path))[0] == told


def test_features_that_are_no_numbers_are_left_out(extraction: Extraction, pool: Pool) -> None:
    class Overflowing(FeatureExtractor):
        def __call__(
            self, crops: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
        ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
            return super().__call__(crops) * np.float32(1e9)

    overflowing = Overflowing(extraction.residual, extraction.features, torch.device("cpu"), "the test")
    found = feature_slice(a_slice(an_image(1)), overflowing, extraction, pool)
    assert (len(found.rows), found.left_out[0]) == (0, ("compute", "non-finite", 1))


def test_nothing_but_the_image_decides_its_row(extraction: Extraction, extractor: FeatureExtractor) -> None:
    images = [an_image(seed) for seed in range(4)]

    def rows(order: list[EncodedImage], threads: int) -> FeatureSlice:
        with Pool(threads) as several:
            return feature_slice(a_slice(*order), extractor, extraction, several)

    first, other = rows(images, 1), rows(images[::-1], 3)
    assert first.rows.to_pylist() == other.rows.to_pylist()[::-1]


def test_an_image_without_a_label_is_left_out_and_computes_nothing(
    extraction: Extraction, extractor: FeatureExtractor, pool: Pool
) -> None:
    class Counting(FeatureExtractor):
        computed = 0

        def __init__(self) -> None:
            pass

        def __call__(
            self, crops: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
        ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
            Counting.computed += 1
            return extractor(crops)

    found = feature_slice(a_slice(an_image(1), an_image(2, source=None)), Counting(), extraction, pool)
    assert (found.rows.num_rows, Counting.computed) == (1, 1)
    assert ("read", "unlabelled", 1) in found.left_out


def test_the_key_tells_all_that_features_depend_on_and_nothing_else(extraction: Extraction, tmp_path: Path) -> None:
    def key(of: Extraction, images: int = 256) -> str:
        return feature_key(of, load_residual(of.residual, torch.device("cpu")), Slicing(images=images))

    same = replace(extraction, residual=f"denoise:{tiny_prior(tmp_path / 'moved')}")
    others = [
        replace(extraction, residual=f"denoise:{tiny_prior(tmp_path / 'other', seed=1)}"),
        replace(extraction, residual=f"{extraction.residual}?sigma=0.2"),
        replace(extraction, features=extraction.features[:1]),
        replace(extraction, interventions=(STYLED, STYLED)),
        replace(extraction, seed=1),
        replace(extraction, label_field="maker"),
        replace(extraction, interventions=(Interventions(),)),
    ]
    keys = [key(each) for each in (extraction, *others)] + [key(extraction, images=7)]
    assert key(same) == keys[0]
    assert len(set(keys)) == len(keys)
