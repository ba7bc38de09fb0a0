"""Shares are scipy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from causalprint.models.statistics.softmax import softmax


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=st.integers(0, 10**6), spread=st.sampled_from([1e-6, 1.0, 50.0, 1e6]), width=st.integers(1, 40))
def test_shares_are_those_of_scipy_to_the_bit(dtype: type, seed: int, spread: float, width: int) -> None:
    scores: np.ndarray[Any, Any] = np.random.default_rng(seed).normal(0, spread, (5, width)).astype(dtype)
    shares = softmax(scores, axis=1)
    assert shares.dtype == dtype
    assert np.array_equal(shares, scipy.special.softmax(scores, axis=1))


def test_a_source_of_no_chance_has_no_share() -> None:
    assert softmax(np.array([[0.0, -np.inf], [1.0, 1.0]])).tolist() == [[1.0, 0.0], [0.5, 0.5]]
