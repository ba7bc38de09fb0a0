"""P-values: valid whatever the probabilities are worth, and none where too few images are held out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.bundles.held_out import read_held_out
from causalprint.models.statistics.conformal import FEWEST, PValues
from causalprint.schemas.prior import Prior
from causalprint.schemas.tables import FINGERPRINT_DIM

SOURCES = ("real", "alpha", "rare")


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("steps", [3, 1_000_000])  # many alike, and none
def test_of_a_sources_own_images_few_have_a_small_one(share: float, steps: int) -> None:
    draw = np.random.default_rng(0)
    hits = []
    for _ in range(300):
        probabilities = (np.round(draw.beta(0.3, 2, (80, 3)) * steps) / steps).astype(np.float32)
        found = PValues(SOURCES, np.array(["alpha"] * 60), probabilities[:60])(probabilities[60:])
        hits.append(found[:, 1] <= share)
    assert np.mean(hits) <= share + 0.01
    if steps > 100:
        assert np.mean(hits) == pytest.approx(share, abs=0.025)


@settings(max_examples=50)
@given(values=st.lists(st.floats(0, 1, width=32), min_size=FEWEST, max_size=60), asked=st.floats(0, 1, width=32))
def test_it_is_the_share_of_held_out_images_that_look_no_more_like_the_source(values: list[float], asked: float) -> None:
    held_out = np.zeros((len(values), 3), np.float32)
    held_out[:, 1] = values
    found = PValues(SOURCES, np.array(["alpha"] * len(values)), held_out)(np.full((1, 3), asked, np.float32))
    below = sum(value <= asked for value in held_out[:, 1].tolist())
    assert found[0, 1] == np.float32((1 + below) / (1 + len(values)))
    assert np.isnan(found[0, [0, 2]]).all()


def test_a_source_of_few_held_out_images_has_none() -> None:
    few = np.ones((FEWEST - 1, 3), np.float32)
    assert np.isnan(PValues(SOURCES, np.array(["alpha"] * len(few)), few)(few)).all()


def test_candidates_have_those_of_the_bundles_held_out_images_whatever_the_prior() -> None:
    bundle = load_bundle(prior=Prior(0.9, 0.05, 0.05))
    held_out = read_held_out(bundle)
    assert held_out is not None
    fingerprints = np.random.default_rng(1).normal(size=(20, FINGERPRINT_DIM)).astype(np.float16)
    attributor, sources = Attributor(bundle), bundle.manifest.sources
    even = attributor.chances(fingerprints.astype(np.float32)).sources
    for verdict, chances in zip(attributor(fingerprints), even, strict=True):
        for one in verdict.candidates:
            place = sources.index(one.source)
            own = held_out.probabilities[held_out.source == one.source, place]
            assert one.p_value == np.float32((1 + (own <= chances[place]).sum()) / (1 + len(own)))
