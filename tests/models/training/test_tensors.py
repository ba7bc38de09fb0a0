"""A bundle computes what was trained: networks to files, files to fingerprints and verdicts of real crops."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import RESIDUAL_FOLDER, Bundle, save_bundle
from causalprint.models.bundles.manifest import SCHEMA, AttributorKind, Fusion, Geometry, Manifest, Network
from causalprint.models.features import FeatureExtractor, feature
from causalprint.models.fingerprint import Fingerprinter
from causalprint.models.labelled import LabelledImages
from causalprint.models.training.examples import Labelled
from causalprint.models.training.head import attribution_tensors, detector_tensors, fingerprint_tensors
from causalprint.models.training.interventions import Style
from causalprint.models.training.learning import Trained, learn
from causalprint.models.training.recipe import Optimiser, Use
from causalprint.schemas.tables import FINGERPRINT_DIM
from tests.bundles import UNDECIDED, photograph, tiny_prior
from tests.models.training.worlds import OURS

SIDE = 64
SOURCES = ("real", "alpha", "beta")
FEATURES = (feature("radial", "residual"), feature("stats", "image"), feature("rgb", "difference"))
INTERCEPT = np.array([0.7, -0.2, 0.0], np.float32)
NETWORKS = [Network(*choice) for choice in product(get_args(Fusion), (False, True), get_args(AttributorKind))]


class World(NamedTuple):
    residual: Path
    crops: npt.NDArray[np.uint8]
    labelled: Labelled


class Saved(NamedTuple):
    trained: Trained
    bundle: Bundle


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tiny_prior(tmp_path_factory.mktemp("prior"))
    crops = np.stack([photograph(place, SIDE, SIDE) for place in range(18)])
    crops[::3] = crops[::3] // 2 + 60
    values = FeatureExtractor(f"denoise:{folder}", FEATURES, torch.device("cpu"), "the test")(crops).astype(np.float16)
    labels = np.arange(18) % 3
    names = np.array([str(place) for place in range(18)])
    images = LabelledImages.known(labels.astype(str), origin=labels.astype(str), content=names)
    style = np.tile(Style().vector(), (18, 1, 1))
    thumbnail = np.zeros((18, 768), np.uint8)
    sizes = tuple(one.size for one in FEATURES)
    return World(folder, crops, Labelled(images, values[:, None], style, thumbnail, labels, (False, True, True), sizes))


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda one: f"{one.fusion}-{one.autoencoder}-{one.attributor}")
def saved(request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    network: Network = request.param
    recipe = replace(
        OURS,
        lenses=tuple(Use(one.lens, one.reading) for one in FEATURES),
        fusion=network.fusion,
        autoencoder=network.autoencoder,
        attributor=network.attributor,
        objective=replace(OURS.objective, swap=0.0, sparsity=0.1),
        optimiser=Optimiser(epochs=1, batch=9, rate=1e-2),
        components=12,
    )
    validation = np.arange(18) >= 12
    trained = learn(world.labelled, len(SOURCES), recipe, validation)
    directory = tmp_path_factory.mktemp("bundle")
    tiny_prior(directory / RESIDUAL_FOLDER)
    manifest = Manifest(
        schema=SCHEMA,
        name="trained",
        licence="Apache-2.0",
        sources=SOURCES,
        geometry=Geometry(crop=SIDE),
        residual=f"denoise:./{RESIDUAL_FOLDER}",
        features=FEATURES,
        decision=replace(UNDECIDED, temperature=1.5, generated_scale=2.0, generated_offset=0.5),
        network=network,
    )
    measure = {
        "centre": np.zeros((len(SOURCES), FINGERPRINT_DIM), np.float32),
        "whitening": np.eye(FINGERPRINT_DIM, dtype=np.float32),
    }
    attribution = attribution_tensors(trained.attributor, INTERCEPT) | detector_tensors(trained.detector) | measure
    return Saved(trained, save_bundle(directory, manifest, fingerprint_tensors(trained, FEATURES), attribution, {}))


def test_fingerprints_of_crops_are_those_of_the_trained_network(saved: Saved, world: World) -> None:
    """Up to float16, which training features, stored projections and stored fingerprints are in."""
    found = Fingerprinter(saved.bundle, "cpu")(world.crops[:6]).fingerprint.astype(np.float32)
    expected = saved.trained.fingerprints(world.labelled.features[:6, 0])
    assert found.any(axis=1).all()
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=4e-3 * np.abs(expected).max())
    across = np.abs(expected - expected.mean(axis=0)).max()
    assert np.abs(found - expected).max() < 0.05 * across, "images differ by far more than rounding"


def test_probabilities_are_those_of_the_trained_attributor_and_the_prior(saved: Saved, world: World) -> None:
    rows = saved.trained.fingerprints(world.labelled.features[:4, 0])
    among = torch.from_numpy((saved.trained.scores(rows) + INTERCEPT) / np.float32(1.5))[:, 1:].softmax(dim=1)
    made = torch.from_numpy(2 * saved.trained.detection(rows) + np.float32(0.5)).sigmoid()[:, None]
    expected = torch.cat([1 - made, made * among], dim=1)
    attributor = Attributor(saved.bundle)
    for row, probabilities in zip(rows, expected, strict=True):
        np.testing.assert_allclose(attributor.chances(row).sources, probabilities.numpy(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(attributor.scores(torch.from_numpy(rows)).softmax(dim=1), expected, rtol=1e-4, atol=1e-6)
    (verdict,) = attributor(rows[:1].astype(np.float16))
    assert verdict.candidates[0].source == SOURCES[int(expected[0].argmax())]
