from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.conditions import COUNTED, Condition, parse_condition

VERDICTS = {"real": 90, "known": 4, "unknown": 1}
"""With 5 rejects, 100 images."""


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("generated > 4.9 %", True),
        ("generated > 5%", False),
        ("generated>=5 %", True),
        ("known > 3", True),
        ("known > 4", False),
        ("unknown", True),
        ("abstain", False),
        ("rejected >= 5", True),
        ("rejected > 5 %", False),
        (" real > 89.5 % ", True),
        ("graphic >= 0", True),
    ],
)
def test_a_condition_counts_images_or_their_share_of_all(text: str, holds: bool) -> None:
    assert parse_condition(text).holds(VERDICTS, 5) is holds
    assert not parse_condition(text).holds({}, 0), "of no image nothing is known"


@pytest.mark.parametrize(
    "text", ["", "generated >", "generate > 1", "generated < 1", "known > -1", "known > 1 %%", "known 1", "> 1"]
)
def test_what_is_no_condition_is_one_clear_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no condition; give one of generated, .*'known > 1 %'"):
        parse_condition(text)


@given(
    st.builds(Condition, st.sampled_from(COUNTED), st.sampled_from([">", ">="]), st.integers(0, 10**9).map(float), st.booleans())
)
def test_a_condition_is_read_as_it_is_written(condition: Condition) -> None:
    assert parse_condition(str(condition)) == condition
