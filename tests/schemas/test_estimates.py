"""A value with its interval is written and shown in one way."""

from __future__ import annotations

import math

from causalprint.schemas.estimates import UNMEASURED, Estimate, finite


def test_it_is_shown_with_its_interval_or_as_not_measured() -> None:
    assert Estimate(0.44111, 0.4, 0.5).show(2) == "0.44 [0.40, 0.50]"
    assert UNMEASURED.show() == "—"
    assert Estimate(0.4, 0.3, 0.6).arms == (0.4 - 0.3, 0.6 - 0.4)


def test_it_is_written_rounded_and_where_no_resample_had_a_value_as_the_value_alone() -> None:
    assert Estimate(0.123456789, 0.1, 0.2).rounded(4) == (0.1235, 0.1, 0.2)
    assert Estimate(0.5, math.nan, math.nan).rounded() == (0.5, 0.5, 0.5)
    assert math.isnan(UNMEASURED.rounded(4).value)
    assert [finite(0.44444), finite(math.nan)] == [0.4444, None]
