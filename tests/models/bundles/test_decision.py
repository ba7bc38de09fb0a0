"""Limits are what they say of held-out images: few photographs and graphics accused, what is cleared mostly rightly so."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from causalprint.models.bundles.decision import ACCUSED_MOST, CLEARED_RIGHT, HeldOut, Limits, set_limits
from causalprint.models.bundles.manifest import are_generators
from causalprint.models.statistics.calibration import balanced
from causalprint.models.statistics.origins import halved
from causalprint.schemas.arrays import Labels, Mask

SOURCES = ("real", "graphic", "alpha", "beta", "gamma")
EACH = 400
MADE = np.array(are_generators(SOURCES))


def some(gap: float, seed: int = 0) -> tuple[Limits, Labels]:
    """Images whose detection differs by ``gap`` on average, and whose sources are told well."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(SOURCES)), EACH)
    scores = draw.normal(size=(len(labels), len(SOURCES))).astype(np.float32)
    scores[np.arange(len(labels)), labels] += 3
    detection = (draw.normal(size=len(labels)) + gap * MADE[labels]).astype(np.float32)
    familiarity = draw.normal(size=len(labels)).astype(np.float32)
    said = HeldOut(scores, detection, familiarity, np.ones(len(labels), np.bool_), np.full(len(labels), "one"))
    return set_limits(said, labels, SOURCES), labels


def kept(keep: Mask, new: Mask) -> Limits:
    """Limits from those of 100 images a source that ``keep`` holds; ``new`` are of origins that were not learned from."""
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(SOURCES)), 100)
    scores = draw.normal(size=(len(labels), len(SOURCES))).astype(np.float32)
    scores[np.arange(len(labels)), labels] += 3
    scores[~keep] = np.nan
    detection = (draw.normal(size=len(labels)) + 2 * MADE[labels]).astype(np.float32)
    familiarity = draw.normal(size=len(labels)).astype(np.float32)
    return set_limits(HeldOut(scores, detection, familiarity, new, np.full(len(labels), "one")), labels, SOURCES)


@pytest.mark.parametrize("gap", [0.5, 2.0, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_few_photographs_and_few_graphics_reach_the_limit_that_accuses(gap: float, seed: int) -> None:
    limits, labels = some(gap, seed)
    for kind in (0, 1):
        assert (limits.generated[labels == kind] >= limits.decision.generated_limit).mean() <= ACCUSED_MOST
    assert limits.decision.cleared_limit < limits.decision.generated_limit


@pytest.mark.parametrize("kind", [0, 1])
def test_of_a_small_collection_that_looks_generated_no_more_are_accused_than_of_large_ones_that_do_not(kind: int) -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(SOURCES)), EACH)
    origins = np.full(len(labels), "large")
    of_kind = np.flatnonzero(labels == kind)
    origins[of_kind] = np.repeat(["large", "small"], [EACH - 10, 10])
    detection = (draw.normal(size=len(labels)) + 3 * MADE[labels]).astype(np.float32)
    detection[of_kind[-10:]] += 3
    scores = draw.normal(size=(len(labels), len(SOURCES))).astype(np.float32)
    said = HeldOut(scores, detection, scores[:, 0], np.ones(len(labels), np.bool_), origins)
    limits = set_limits(said, labels, SOURCES)
    accused = limits.generated >= limits.decision.generated_limit
    shares = [accused[(labels == kind) & (origins == name)].mean() for name in ("large", "small")]
    assert np.mean(shares) <= ACCUSED_MOST
    assert accused[MADE[labels]].any()


@pytest.mark.parametrize("gap", [2.0, 5.0])
def test_what_is_cleared_is_seldom_generated_where_half_of_all_images_are(gap: float) -> None:
    limits, labels = some(gap)
    cleared = limits.generated <= limits.decision.cleared_limit
    weights = halved(balanced(labels), MADE[labels])
    assert (weights * ~MADE[labels])[cleared].sum() / weights[cleared].sum() >= CLEARED_RIGHT - 0.01
    assert cleared[labels == 0].mean() > 0.5


def test_probabilities_add_up_and_are_calibrated() -> None:
    limits, labels = some(2.0)
    np.testing.assert_allclose(limits.held_out.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(limits.held_out[:, MADE].sum(axis=1), limits.generated, atol=1e-5)
    weights = halved(balanced(labels), MADE[labels])
    for low in (0.1, 0.4, 0.7):
        here = (limits.generated >= low) & (limits.generated < low + 0.2)
        share = weights[here & MADE[labels]].sum() / weights[here].sum()
        assert share == pytest.approx(low + 0.1, abs=0.1)


def test_where_nothing_tells_nothing_is_cleared_and_hardly_anything_accused() -> None:
    limits, labels = some(0.0)
    assert (limits.generated <= limits.decision.cleared_limit).mean() < 0.1
    assert (limits.generated[MADE[labels]] >= limits.decision.generated_limit).mean() < 0.05


OF_GENERATORS = np.repeat(MADE, 100)


@pytest.mark.parametrize("lacking", [OF_GENERATORS, ~OF_GENERATORS])
def test_where_one_kind_has_no_new_origin_all_held_out_images_calibrate_what_needs_it(lacking: Mask) -> None:
    everything = np.ones(len(lacking), np.bool_)
    here, whole = kept(everything, ~lacking).decision, kept(everything, everything).decision
    assert (here.generated_scale, here.generated_offset) == (whole.generated_scale, whole.generated_offset)
    assert here.temperature == whole.temperature


@pytest.mark.parametrize("held", [OF_GENERATORS, ~OF_GENERATORS])
def test_where_one_kind_is_not_held_out_limits_are_numbers_all_the_same(held: Mask) -> None:
    decision = kept(held, held).decision
    assert np.isfinite([value for value in asdict(decision).values() if isinstance(value, float)]).all()


def test_images_that_were_not_held_out_have_no_numbers() -> None:
    draw = np.random.default_rng(0)
    labels = np.tile(np.arange(len(SOURCES)), 20)
    scores = draw.normal(size=(len(labels), len(SOURCES))).astype(np.float32)
    scores[::2] = np.nan
    rest = draw.normal(size=(2, len(labels))).astype(np.float32)
    said = HeldOut(scores, rest[0], rest[1], np.zeros(len(labels), np.bool_), np.full(len(labels), "one"))
    limits = set_limits(said, labels, SOURCES)
    for values in (limits.held_out[:, 0], limits.generated, limits.novelty):
        assert np.isnan(values[::2]).all()
        assert np.isfinite(values[1::2]).all()
