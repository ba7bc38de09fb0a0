"""What every method of the comparison promises, over every entry of the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from causalprint.research.methods import BASELINES
from causalprint.research.methods.base import AUTOENCODERS, UNAVAILABLE, Kit, Method, Predict
from causalprint.schemas.arrays import Crops
from tests.models.tiny_encoders import clip, save_encoder
from tests.research.methods.sources import CLASSES, crops_of_each, training_of

LEARNED, TESTED = 32, 10
FEWER = {"causal": 12, "causal_paper": 12, "aedr": 12, "aeroblade": 12}
"""Crops a source that are enough for methods that compute many lenses of each, or pass each through large networks."""


class Fitted(NamedTuple):
    method: Method
    kit: Kit
    features: npt.NDArray[Any]
    predict: Predict


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    encoder = save_encoder(tmp_path_factory.mktemp("clip"), clip())
    return Kit(residual=AUTOENCODERS[0], clip=encoder, epochs=3, threads=1)


@pytest.fixture(scope="module", params=list(BASELINES.values()), ids=list(BASELINES))
def fitted(request: pytest.FixtureRequest, kit: Kit) -> Fitted:
    method: Method = request.param
    crops, labels = crops_of_each(FEWER.get(method.name, LEARNED), seed=0)
    features = available(lambda: method.features(crops, kit))
    return Fitted(method, kit, features, available(lambda: method.fit(training_of(features, labels), kit)))


def available(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except UNAVAILABLE as error:
        pytest.skip(str(error))


def test_the_registry_holds_each_method_under_its_name() -> None:
    assert all(name == method.name for name, method in BASELINES.items())
    assert all(method.title and method.reference and method.published and method.differs for method in BASELINES.values())


def test_learns_sources_that_anything_can_tell_apart(fitted: Fitted) -> None:
    crops, labels = crops_of_each(TESTED, seed=100)
    scores = fitted.predict(fitted.method.features(crops, fitted.kit))
    assert scores.shape == (len(crops), CLASSES)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert (scores.argmax(axis=1) == labels).mean() >= 0.8


def test_the_same_seed_gives_the_same_scores(fitted: Fitted) -> None:
    crops, labels = crops_of_each(2, seed=200)
    unknown = fitted.method.features(crops, fitted.kit)
    learned = np.repeat(np.arange(CLASSES), len(fitted.features) // CLASSES)
    again = fitted.method.fit(training_of(fitted.features, learned), fitted.kit)
    np.testing.assert_array_equal(fitted.predict(unknown), again(unknown))
    assert len(labels) == len(unknown)


def test_a_row_depends_on_its_crop_alone(fitted: Fitted) -> None:
    crops, _ = crops_of_each(2, seed=300)
    together = fitted.method.features(crops, fitted.kit)
    assert together.dtype in (np.float16, np.float32, np.uint8)
    same(together[1:3], fitted.method.features(crops[1:3], fitted.kit))
    other: Crops = crops.copy()
    other[:2] = other[:2] // 2
    same(together[2:], fitted.method.features(other, fitted.kit)[2:])
    assert not np.array_equal(together[:2], fitted.method.features(other[:2], fitted.kit))


def test_scores_depend_on_their_row_alone(fitted: Fitted) -> None:
    crops, _ = crops_of_each(2, seed=400)
    unknown = fitted.method.features(crops, fitted.kit)
    together = fitted.predict(unknown)
    np.testing.assert_allclose(fitted.predict(unknown[1:3]), together[1:3], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(fitted.predict(unknown[::-1]), together[::-1], rtol=1e-3, atol=1e-3)


def same(rows: npt.NDArray[Any], others: npt.NDArray[Any]) -> None:
    """Alike up to the rounding that a batch of another size may bring to a network."""
    scale = float(np.abs(rows.astype(np.float64)).max())
    np.testing.assert_allclose(rows.astype(np.float64), others.astype(np.float64), rtol=1e-3, atol=2e-3 * scale)
