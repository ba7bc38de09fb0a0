"""AEROBLADE and AEDR: distances to reconstructions, on reconstructions that are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data as skimage_data
from skimage import feature as skimage_feature
from torch import Tensor

from causalprint.models.residuals.base import Reconstruction, subtract
from causalprint.research.methods.aedr import AEDR, homogeneity, score
from causalprint.research.methods.aeroblade import AEROBLADE, distances
from causalprint.research.methods.base import UNAVAILABLE, Kit
from causalprint.schemas.model_spec import ResidualSpec
from tests.research.methods.sources import crops_of_each, training_of

data: Any = skimage_data  # untyped
feature: Any = skimage_feature
KIT = Kit()


@dataclass(frozen=True, slots=True)
class Shift:
    """Moves every pixel to ``level``, a share of the way: first by that share, then by that share of what is left."""

    level: float
    share: float

    @property
    def spec(self) -> ResidualSpec:
        return ResidualSpec("autoencoder", "shift")

    @property
    def digests(self) -> Mapping[str, str]:
        return {}

    def __call__(self, x: Tensor) -> Reconstruction:
        return subtract(x, x + self.share * (self.level - x))


def test_aedr_is_the_ratio_of_two_losses_times_homogeneity() -> None:
    image = torch.rand((1, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    luma = (255 * (image[0] * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=0)).round().to(torch.uint8).numpy()
    pairs = feature.graycomatrix(luma, [1], [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4], 256, normed=True)
    homogeneity = feature.graycoprops(pairs, "homogeneity").mean()
    # The second pass moves what the first left, so its loss is (1 - share)² of the first's.
    for share in (0.25, 0.5):
        assert float(score(image, Shift(0.4, share))) == pytest.approx(homogeneity / (1 - share) ** 2, rel=1e-3)


def test_homogeneity_is_that_of_the_cooccurrence_matrix() -> None:
    photograph = data.astronaut()[:64, 100:164]
    x = torch.from_numpy(photograph).permute(2, 0, 1)[None] / 255
    luma = (255 * (0.299 * x[0, 0] + 0.587 * x[0, 1] + 0.114 * x[0, 2])).round().numpy().astype(np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    matrix = feature.graycomatrix(luma, [1], angles, levels=256, symmetric=True, normed=True)
    assert homogeneity(x).item() == pytest.approx(feature.graycoprops(matrix, "homogeneity").mean(), abs=1e-5)
    assert homogeneity(torch.full((1, 3, 8, 8), 0.3)).item() == 1


def test_aedr_is_low_for_what_the_decoder_made() -> None:
    image = torch.full((1, 3, 16, 16), 0.4)
    made = score(image + 1e-7, Shift(0.4, 0.5))
    assert float(made) == pytest.approx(1, rel=1e-3)  # nothing is lost by either pass


def test_aeroblade_distances_are_zero_to_itself_and_grow() -> None:
    image = torch.rand((1, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    assert distances(image, image).tolist() == [0, 0, 0]
    near, far = (distances(image, image + step * torch.rand(image.shape)) for step in (0.05, 0.5))
    assert (near > 0).all()
    assert (far > near).all()
    brighter = distances(image, image + 0.1)
    assert float(brighter[0]) == pytest.approx(0.01, rel=1e-3)
    assert float(brighter[1]) < 1e-10  # a constant changes no difference of neighbours


def test_aeroblade_ends_with_the_least_distance_over_autoencoders() -> None:
    crops, _ = crops_of_each(1, seed=0)
    features = AEROBLADE.features(crops, KIT)
    assert features.shape == (3, 3, 3)
    np.testing.assert_array_equal(features[:, 2], features[:, :2].min(axis=1))
    assert not np.array_equal(features[:, 0], features[:, 1])


def test_aedr_takes_the_densest_source() -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    rows = draw.normal(0, 0.3, (80, 2)).astype(np.float32) + labels[:, None]
    predict = AEDR.fit(training_of(rows, labels, classes=2), KIT)
    scores = predict(np.array([[0, 0], [1, 1], [0.5, 0.4], [-3, -3]], np.float32))
    assert scores.argmax(axis=1).tolist() == [0, 1, 0, 0]
    assert np.abs(np.diff(scores[2])) < np.abs(np.diff(scores[0]))
    assert np.isfinite(predict(np.array([[1e4, -1e4]], np.float32))).all()


def test_an_autoencoder_that_cannot_be_loaded_is_named() -> None:
    crops, _ = crops_of_each(1, seed=0)
    for method in (AEROBLADE, AEDR):
        with pytest.raises(UNAVAILABLE, match="/no/such"):
            method.features(crops, Kit(autoencoders=("autoencoder:/no/such",)))
