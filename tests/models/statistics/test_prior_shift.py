"""The share of generated images, found from likelihood ratios."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.models.statistics.prior_shift import LEAST, ratio_counts, share_generated


@given(st.floats(0.0, 1.0), st.integers(0, 2**32 - 1))
def test_the_share_is_found_whatever_it_is(share: float, seed: int) -> None:
    """Normal scores of two classes whose means are 3 apart: the logarithm of the ratio is 3 x."""
    draw = np.random.default_rng(seed)
    made = draw.random(20_000) < share
    ratios = 3 * draw.normal(np.where(made, 1.5, -1.5), 1)
    assert share_generated(ratio_counts(ratios)) == pytest.approx(made.mean(), abs=0.02)


def test_counts_add_up_in_any_order_and_far_ratios_count() -> None:
    ratios = np.random.default_rng(0).normal(0, 60, 1000).astype(np.float32)
    ratios[:2] = np.inf, -np.inf
    assert np.array_equal(ratio_counts(ratios), ratio_counts(ratios[::-1][:300]) + ratio_counts(ratios[::-1][300:]))
    assert ratio_counts(ratios).sum() == 1000


def test_a_share_leaves_room_for_either() -> None:
    assert share_generated(ratio_counts(np.full(100_000, -9.0))) == LEAST
    assert share_generated(ratio_counts(np.full(100_000, 9.0))) == 1 - LEAST
    assert share_generated(ratio_counts(np.full(10, -20.0))) == pytest.approx(1 / 12), "ten images do not tell that there is none"
    assert share_generated(ratio_counts(np.full(10, 0.0))) == pytest.approx(0.5)
