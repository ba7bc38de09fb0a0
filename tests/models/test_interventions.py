"""Interventions change what they say, the same way for the same seed, and give the crop that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.models.interventions import Interventions
from tests.bundles import photograph

NONE = Interventions(mirror=0, scale=0, blur=0, gamma=0, jpeg=0, encoding=0)


@settings(max_examples=40, deadline=None)
@given(st.integers(64, 100), st.integers(64, 100), st.integers(0, 10**6))
def test_any_image_gives_a_crop_that_the_seed_alone_decides(height: int, width: int, seed: int) -> None:
    pixels = photograph(seed % 7, height, width)
    first = Interventions()(pixels, 64, (seed, 1))
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, Interventions()(pixels, 64, (seed, 1)))


def test_without_interventions_the_pixels_are_the_images_own() -> None:
    pixels = photograph(1, 64, 64)
    np.testing.assert_array_equal(NONE(pixels, 64, (0,)), pixels)


def test_a_mirror_exchanges_left_and_right() -> None:
    pixels = photograph(1, 64, 64)
    np.testing.assert_array_equal(Interventions(1, 0, blur=0, gamma=0, jpeg=0, encoding=0)(pixels, 64, (0,)), pixels[:, ::-1])


@pytest.mark.parametrize(
    "one",
    [
        Interventions(0, 1, blur=0, gamma=0, jpeg=0, encoding=0),
        Interventions(0, 0, blur=1, gamma=0, jpeg=0, encoding=0),
        Interventions(0, 0, blur=0, gamma=1, jpeg=0, encoding=0),
        Interventions(0, 0, blur=0, gamma=0, jpeg=1, encoding=0),
        Interventions(0, 0, blur=0, gamma=0, jpeg=0, encoding=95),
    ],
)
def test_every_intervention_on_style_changes_pixels_and_keeps_the_scene(one: Interventions) -> None:
    pixels = photograph(2, 64, 64)
    changed = one(pixels, 64, (5,))
    assert not np.array_equal(changed, pixels)
    shades = [np.asarray(values, float).reshape(4, 16, 4, 16, 3).mean(axis=(1, 3)).flatten() for values in (pixels, changed)]
    assert np.corrcoef(*shades)[0, 1] > 0.7
