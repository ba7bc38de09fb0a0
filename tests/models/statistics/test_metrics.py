"""Figures of merit against their definitions and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from causalprint.models.statistics.metrics import area_under_curve, bootstrap, calibration_error, macro_recall

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40).filter(
    lambda pairs: len({pair[0] for pair in pairs}) > 1
)


@settings(max_examples=60, deadline=None)
@given(LABELS)
def test_macro_recall_is_scikit_learns_balanced_accuracy(pairs: list[tuple[int, int]]) -> None:
    truth, guessed = (np.array(column) for column in zip(*pairs, strict=True))
    found = np.where(np.isin(guessed, truth), guessed, truth[0])
    assert macro_recall(truth, found) == pytest.approx(balanced_accuracy_score(truth, found))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_the_area_under_the_curve_is_scikit_learns_ties_included(pairs: list[tuple[bool, int]]) -> None:
    positive, scores = np.array([pair[0] for pair in pairs]), np.array([float(pair[1]) for pair in pairs])
    if positive.all() or not positive.any():
        assert np.isnan(area_under_curve(positive, scores))
    else:
        assert area_under_curve(positive, scores) == pytest.approx(roc_auc_score(positive, scores))


def test_calibration_error_is_the_gap_of_confidence_and_accuracy() -> None:
    confidence = np.array([0.9] * 10 + [0.5] * 10)
    right = np.array([True] * 9 + [False] + [True] * 5 + [False] * 5)
    assert calibration_error(confidence, right) == pytest.approx(0)
    assert calibration_error(confidence, np.zeros(20, bool)) == pytest.approx(0.7)
    assert calibration_error(np.ones(4), np.ones(4, bool)) == pytest.approx(0)
    weights = np.random.default_rng(0).integers(1, 4, 20)
    repeated = calibration_error(np.repeat(confidence, weights), np.repeat(right, weights))
    assert calibration_error(confidence, right, weights.astype(float)) == pytest.approx(repeated)


def test_an_interval_is_wider_where_images_are_copies_of_each_other() -> None:
    draw = np.random.default_rng(0)
    values = np.repeat(draw.integers(0, 2, 20), 10).astype(float)

    def mean(rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> float:
        return float(values[rows].mean())

    alone = bootstrap(mean, [str(place) for place in range(200)], rounds=300)
    clustered = bootstrap(mean, [str(place // 10) for place in range(200)], rounds=300)
    assert alone.value == clustered.value == values.mean()
    assert clustered.high - clustered.low > 2 * (alone.high - alone.low)
    assert bootstrap(mean, ["a"] * 200, rounds=5) == (values.mean(),) * 3
