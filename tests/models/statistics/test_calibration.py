"""Scores become probabilities that can be believed, whatever their scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from causalprint.models.statistics.calibration import at_prior, fit_odds


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-50, 50))
def test_odds_are_those_of_logistic_regression_whatever_scale_the_scores_have(seed: int, scale: float, shift: float) -> None:
    draw = np.random.default_rng(seed)
    truth = draw.random(4000) < 0.3
    scores = (draw.normal(size=4000) + 1.5 * truth) * scale + shift
    weights = draw.uniform(0.5, 2, 4000)
    found = fit_odds(scores, truth, weights)
    plain = LogisticRegression(C=np.inf, tol=1e-9).fit(((scores - shift) / scale)[:, None], truth, weights)
    odds = plain.decision_function(((scores - shift) / scale)[:, None])
    assert np.isfinite(odds).all()
    np.testing.assert_allclose(found.scale * scores + found.offset, odds, rtol=0.01, atol=0.02)


def test_scores_that_tell_everything_do_not_run_away() -> None:
    truth = np.arange(100) >= 50
    found = fit_odds(np.where(truth, 1.0, -1.0), truth, np.ones(100))
    chance = 1 / (1 + np.exp(-(found.scale + found.offset)))
    assert 0.95 < chance < 1


def test_a_larger_score_is_never_less_likely() -> None:
    truth = np.arange(100) >= 50
    assert fit_odds(-np.arange(100.0), truth, np.ones(100)).scale > 0


@pytest.mark.parametrize("seed", range(3))
def test_weights_count_like_copies(seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth = draw.random(300) < 0.5
    scores = draw.normal(size=300) + truth
    times = draw.integers(1, 4, 300)
    weighed = fit_odds(scores, truth, times.astype(np.float64))
    copied = fit_odds(np.repeat(scores, times), np.repeat(truth, times), np.ones(times.sum()))
    assert weighed.scale == pytest.approx(copied.scale, rel=0.05)
    assert weighed.offset == pytest.approx(copied.offset, abs=0.05)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_labels_weigh_as_their_shares_of_those_that_are_there(drawn: list[int]) -> None:
    labels, shares = np.array(drawn), np.array([0.5, 0.3, 0.15, 0.05])
    weights = at_prior(labels, shares)
    assert weights.mean() == pytest.approx(1)
    there = np.unique(labels)
    found = np.array([weights[labels == label].sum() for label in there]) / len(labels)
    assert found == pytest.approx(shares[there] / shares[there].sum())
