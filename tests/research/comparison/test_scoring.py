"""Figures of a comparison agree with what they are defined by, and differences are paired."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from causalprint.models.labelled import STRANGER
from causalprint.models.statistics.calibration import balanced, fit_temperature
from causalprint.models.statistics.metrics import is_above_chance
from causalprint.research.comparison.scoring import Ground, MethodRun, headline, judge, pool, recalls
from causalprint.schemas.estimates import Estimate

CLASSES = 3
TRUTH = np.tile([0, 1, 2, STRANGER], 30)
GROUND = Ground(TRUTH, np.arange(120).astype(str), np.array([0, 1]))
NONE = np.zeros((0, CLASSES))


def a_run(share_right: float, seed: int, perturbed: npt.NDArray[np.float64] = NONE) -> MethodRun:
    draw = np.random.default_rng(seed)
    right = np.where(draw.random(120) < share_right, TRUTH % CLASSES, draw.integers(0, CLASSES, 120))
    scores = 3.0 * np.eye(CLASSES)[right] + draw.normal(0, 0.1, (120, CLASSES))
    return MethodRun(np.arange(120), scores, 1.0, np.full(120, np.nan), perturbed, 0.5)


@settings(max_examples=15)
@given(st.floats(1e-3, 1e3), st.integers(0, 3))
def test_a_temperature_undoes_any_scale_of_the_scores(scale: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (400, CLASSES))
    truth = (draw.random((400, 1)) > softmax(logits, axis=1).cumsum(axis=1)).sum(axis=1).clip(max=CLASSES - 1)
    temperature = fit_temperature(logits * scale, truth, balanced(truth))
    assert temperature / scale == pytest.approx(1, abs=0.3)


def test_constant_scores_have_a_temperature() -> None:
    assert fit_temperature(np.ones((4, 3)), np.array([0, 1, 2, 0]), np.ones(4)) == pytest.approx(1)


def test_a_method_is_compared_with_itself_without_any_doubt_and_with_a_worse_one_in_pairs() -> None:
    runs = {"good": [a_run(0.9, 0), a_run(0.9, 1)], "poor": [a_run(0.2, 2), a_run(0.2, 3)]}
    found = judge(runs, GROUND, "good", "poor", rounds=100)
    assert found["good"].over_best == Estimate(0, 0, 0)
    assert found["poor"].over_best.value == pytest.approx(found["poor"].accuracy.value - found["good"].accuracy.value)
    assert found["poor"].over_best.high < 0 < found["good"].over_recipe.low
    assert found["good"].accuracy.value == pytest.approx(headline(runs["good"], GROUND))
    several = recalls(pool(runs["good"]), GROUND)
    assert found["good"].accuracy.value == pytest.approx(np.mean(several[:2]))
    assert found["good"].accuracy_all.value == pytest.approx(np.mean(several))
    assert np.isnan(found["good"].jpeg75.value)
    with pytest.raises(ValueError, match="different images"):
        judge({**runs, "short": [runs["good"][0]]}, GROUND, "good", None, rounds=2)


def test_what_a_jpeg_changes_is_counted() -> None:
    run = a_run(1.0, 0)
    moved = np.roll(run.scores, 1, axis=1)
    (found,) = judge({"one": [run._replace(perturbed=moved)]}, GROUND, "one", None, rounds=10).values()
    assert (found.flips.value, found.jpeg75.value) == (1, -1)
    assert np.isnan(found.over_recipe.value)


def test_novelty_tells_unknown_sources_where_a_method_measures_it() -> None:
    run = a_run(1.0, 0)
    told = run._replace(novelty=(TRUTH == STRANGER).astype(float))
    plain, measured = judge({"plain": [run], "measured": [told]}, GROUND, "plain", None, rounds=10).values()
    assert measured.open_auroc.value == 1
    assert measured.open_fpr95.value == 0
    assert measured.open_oscr.value == 1
    assert plain.open_auroc.value < 0.8


def test_what_lives_off_a_shortcut_fails_where_the_audit_does() -> None:
    audit, other = a_run(0.3, 0), a_run(0.3, 1)
    runs = {"audit": [audit], "copy": [audit], "other": [other]}
    found = judge(runs, GROUND, "other", None, rounds=20, audits=["audit"])
    assert found["copy"].accuracy.value > 1 / CLASSES
    assert found["copy"].audits_fail.value == 0
    hard = (audit.scores.argmax(axis=1) != TRUTH) & np.isin(TRUTH, GROUND.several)
    right = other.scores.argmax(axis=1) == TRUTH
    shares = [right[hard & (label == TRUTH)].mean() for label in GROUND.several]
    assert found["other"].audits_fail.value == pytest.approx(np.mean(shares))
    assert np.isnan(judge(runs, GROUND, "other", None, rounds=20)["other"].audits_fail.value)


def test_a_right_answer_holds_with_other_contents_of_its_source_within_a_run() -> None:
    contents = np.repeat(np.arange(30), 4).astype(str)
    found = np.where(np.arange(120) < 60, TRUTH % CLASSES, (TRUTH + 1) % CLASSES)
    half, whole = (a_run(1.0, 0)._replace(scores=np.eye(CLASSES)[one]) for one in (found, TRUTH % CLASSES))
    ground = GROUND._replace(contents=contents)
    one = judge({"one": [half]}, ground, None, None, rounds=5, swaps=True)["one"].swap.value
    both = judge({"both": [half, whole]}, ground, None, None, rounds=5, swaps=True)["both"].swap.value
    assert one == pytest.approx(14 / 29)
    assert both == pytest.approx((14 / 29 + 1) / 2)
    assert np.isnan(judge({"one": [half]}, ground, None, None, rounds=5)["one"].swap.value)


def test_only_what_beats_chance_clearly_voids() -> None:
    found = judge({"right": [a_run(0.5, 0)], "blind": [a_run(0.0, 1)]}, GROUND, "right", None, rounds=200)
    assert is_above_chance(found["right"].accuracy_all, CLASSES)
    assert not is_above_chance(found["blind"].accuracy_all, CLASSES)


def test_scatter_over_trainings_is_no_shortcut() -> None:
    recall = Estimate(0.30, 0.27, 0.33)
    assert is_above_chance(recall, 4)
    assert is_above_chance(recall, 4, [0.29, 0.30, 0.31])
    assert not is_above_chance(recall, 4, [0.20, 0.33, 0.37])
