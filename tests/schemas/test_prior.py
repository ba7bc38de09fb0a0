"""A prior is three shares that add up to 1; what a user does not name has the rest in the usual proportions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.prior import EVEN, Prior, parse_prior


def shares(prior: Prior) -> tuple[float, float, float]:
    return prior.photograph, prior.graphic, prior.generated


@pytest.mark.parametrize(("text", "expected"), [
    ("photograph=0.9", (0.9, 0.02, 0.08)),
    ("generated=0.1", (0.675, 0.225, 0.1)),
    ("photograph=0.9,graphic=0.05", (0.9, 0.05, 0.05)),
    (" graphic=0.2 , photograph=0.5,generated=0.3", (0.5, 0.2, 0.3)),
])  # fmt: skip
def test_what_is_not_named_has_the_rest(text: str, expected: tuple[float, float, float]) -> None:
    assert shares(parse_prior(text)) == pytest.approx(expected)


@given(st.floats(0.01, 0.9), st.floats(0.01, 0.09))
def test_a_prior_is_read_as_it_is_written(photograph: float, graphic: float) -> None:
    prior = parse_prior(f"photograph={photograph},graphic={graphic}")
    assert shares(parse_prior(str(prior))) == pytest.approx(shares(prior), rel=1e-5)
    assert sum(shares(prior)) == pytest.approx(1)
    assert parse_prior(prior) is prior
    assert math.exp(prior.log_odds) == pytest.approx(prior.generated / (prior.photograph + prior.graphic))


def test_the_even_prior_is_what_bundles_are_calibrated_for() -> None:
    assert EVEN.log_odds == 0
    assert EVEN.graphic_share == 0.25


@pytest.mark.parametrize(
    "text",
    [
        *("", "photo=0.9", "photograph", "photograph=most", "photograph=0.9,photograph=0.1", "photograph=1", "generated=0"),
        *("graphic=-0.1", "generated=nan", "photograph=0.9,graphic=0.2", "photograph=0.9,graphic=0.1"),
        "photograph=0.5,graphic=0.2,generated=0.2",
    ],
)
def test_what_is_no_prior_is_refused_with_the_value(text: str) -> None:
    with pytest.raises(ValueError, match="share") as caught:
        parse_prior(text)
    assert text.split(",", maxsplit=1)[0].partition("=")[2] in str(caught.value)
