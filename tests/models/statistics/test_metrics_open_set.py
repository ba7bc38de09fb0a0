"""Figures of the open set, of operating points and of calibration, against scikit-learn or their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss, roc_curve

from causalprint.models.statistics.metrics import (
    bootstrap,
    bootstrap_each,
    fpr_at_tpr,
    macro_f1,
    macro_recall,
    nll,
    oscr,
    tpr_at_fpr,
)

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)
SCORED = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=60)
SHARES = st.sampled_from([0.0, 0.01, 0.05, 0.5, 0.95, 1.0])


@settings(max_examples=60)
@given(PAIRS)
def test_macro_f1_is_scikit_learns_over_the_classes_that_are_there(pairs: list[tuple[int, int]]) -> None:
    truth, guessed = (np.array(column) for column in zip(*pairs, strict=True))
    expected = f1_score(truth, guessed, average="macro", labels=np.unique(truth), zero_division=0)
    assert macro_f1(truth, guessed) == pytest.approx(expected)


@settings(max_examples=80)
@given(SCORED, SHARES)
def test_operating_points_lie_on_scikit_learns_curve(rows: list[tuple[bool, int]], share: float) -> None:
    positive, scores = np.array([row[0] for row in rows]), np.array([row[1] / 6 for row in rows])
    if positive.all() or not positive.any():
        assert np.isnan(tpr_at_fpr(positive, scores, share))
        assert np.isnan(fpr_at_tpr(positive, scores, share))
        return
    false, true, _ = roc_curve(positive, scores, drop_intermediate=False)
    assert tpr_at_fpr(positive, scores, share) == pytest.approx(true[false <= share].max())
    assert fpr_at_tpr(positive, scores, share) == pytest.approx(false[true >= share - 1e-12].min())


def test_nineteen_of_twenty_are_ninety_five_percent() -> None:
    positive = np.array([True] * 20 + [False] * 10)
    scores = np.concatenate([np.arange(20, 0, -1), np.full(10, 1.5)]).astype(float)
    assert fpr_at_tpr(positive, scores) == 0
    assert tpr_at_fpr(positive, scores) == 0.95


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=25), st.lists(st.integers(0, 5), min_size=1))
def test_oscr_is_the_area_under_its_curve(known: list[tuple[bool, int]], unknown: list[int]) -> None:
    right, scores = np.array([row[0] for row in known]), np.array([float(row[1]) for row in known])
    strange = np.array(unknown, float)
    thresholds = np.arange(6, -2, -1.0)
    of_right = [np.mean(right & (scores >= threshold)) for threshold in thresholds]
    of_unknown = [np.mean(strange >= threshold) for threshold in thresholds]
    assert oscr(right, scores, strange) == pytest.approx(np.trapezoid(of_right, of_unknown))
    assert oscr(right, scores + 10, strange) == pytest.approx(right.mean())


def test_the_likelihood_is_scikit_learns_and_finite() -> None:
    draw = np.random.default_rng(1)
    probabilities = draw.dirichlet(np.ones(4), 30)
    truth = draw.integers(0, 4, 30)
    assert nll(probabilities, truth) == pytest.approx(log_loss(truth, probabilities, labels=range(4)))
    assert nll(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-12))


def test_metrics_of_one_bootstrap_are_those_of_their_own() -> None:
    draw = np.random.default_rng(2)
    truth, found = draw.integers(0, 3, 60), draw.integers(0, 3, 60)
    clusters = [str(place // 2) for place in range(60)]
    together = bootstrap_each(
        lambda rows: [macro_recall(truth[rows], found[rows]), macro_f1(truth[rows], found[rows]), np.nan], clusters, 3, 50
    )
    assert together[0] == bootstrap(lambda rows: macro_recall(truth[rows], found[rows]), clusters, 3, 50)
    assert together[1] == bootstrap(lambda rows: macro_f1(truth[rows], found[rows]), clusters, 3, 50)
    assert all(np.isnan(value) for value in together[2])
    assert together[0].low <= together[0].value <= together[0].high
    assert together[0].standard_error == pytest.approx((together[0].high - together[0].low) / 3.92, rel=1e-3)
