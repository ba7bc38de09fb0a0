"""Interventions change what they say, the same way for the same seed, and give the crop that was asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from causalprint.models.training.interventions import Interventions, Style, change_chroma
from tests.bundles import photograph

NONE = Interventions(mirror=0, scale=0, blur=0, gamma=0, contrast=0, brightness=0, saturation=0, jpeg=0, encoding=0)
ALONE = {
    "scale": replace(NONE, scale=1),
    "blur": replace(NONE, blur=1),
    "gamma": replace(NONE, gamma=1),
    "contrast": replace(NONE, contrast=1),
    "brightness": replace(NONE, brightness=1),
    "saturation": replace(NONE, saturation=1),
    "jpeg": replace(NONE, jpeg=1),
    "chroma_noise": replace(NONE, chroma_noise=1),
    "chroma_blur": replace(NONE, chroma_blur=1),
}


@settings(max_examples=40, deadline=None)
@given(st.integers(64, 100), st.integers(64, 100), st.integers(0, 10**6))
def test_any_image_gives_a_crop_that_the_seed_alone_decides(height: int, width: int, seed: int) -> None:
    pixels = photograph(seed % 7, height, width)
    first, again = (Interventions()(pixels, 64, (seed, 1)) for _ in range(2))
    assert first.pixels.shape == (64, 64, 3)
    assert first.pixels.dtype == np.uint8
    assert first.style.dtype == np.float32
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.style, again.style)


def test_without_interventions_the_pixels_are_the_images_own() -> None:
    pixels = photograph(1, 64, 64)
    changed = NONE(pixels, 64, (0,))
    np.testing.assert_array_equal(changed.pixels, pixels)
    np.testing.assert_array_equal(changed.style, Style().vector())


def test_a_mirror_exchanges_left_and_right() -> None:
    pixels = photograph(1, 64, 64)
    changed = replace(NONE, mirror=1)(pixels, 64, (0,))
    np.testing.assert_array_equal(changed.pixels, pixels[:, ::-1])
    assert Style(*changed.style) == Style(mirror=1)


@pytest.mark.parametrize("one", [*ALONE.values(), replace(NONE, encoding=95)])
def test_every_intervention_on_style_changes_pixels_and_keeps_the_scene(one: Interventions) -> None:
    pixels = photograph(2, 64, 64)
    changed = one(pixels, 64, (5,)).pixels
    assert not np.array_equal(changed, pixels)
    shades = [np.asarray(values, float).reshape(4, 16, 4, 16, 3).mean(axis=(1, 3)).flatten() for values in (pixels, changed)]
    assert np.corrcoef(*shades)[0, 1] > 0.7


@pytest.mark.parametrize("chance", ALONE)
def test_the_style_tells_what_was_done_within_its_range(chance: str) -> None:
    one = ALONE[chance]
    styles = [Style(*one(photograph(3, 80, 80), 64, (seed,)).style.tolist()) for seed in range(20)]
    own = {"jpeg": ("quality", "chroma")}.get(chance, (chance,))
    assert all(style._replace(**{name: getattr(Style(), name) for name in own}) == Style() for style in styles)
    found = np.array([getattr(style, own[0]) for style in styles])
    ranges: dict[str, tuple[float, float]] = {
        "scale": one.scales,
        "blur": one.blurs,
        "gamma": one.gammas,
        "contrast": one.contrasts,
        "brightness": one.brightnesses,
        "saturation": one.saturations,
        "jpeg": (0.70, 0.95),
        "chroma_noise": one.chroma_noises,
        "chroma_blur": one.chroma_blurs,
    }
    low, high = ranges[chance] if "blur" in chance or chance in ("jpeg", "chroma_noise") else np.log(ranges[chance])
    assert (low - 1e-6 <= found).all()
    assert (found <= high + 1e-6).all()
    assert len(set(found)) > 5


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([0.2, 0.35, 0.5, 0.75]), st.integers(64, 90), st.integers(64, 90), st.integers(0, 10**6))
def test_an_image_no_larger_than_its_crop_shrinks_like_any_other(factor: float, height: int, width: int, seed: int) -> None:
    pixels = photograph(seed % 7, height, width)
    shrink = replace(NONE, scale=1, scales=(factor, factor))
    changed = shrink(pixels, 64, (seed,))
    assert Style(*changed.style.tolist()).scale == pytest.approx(np.log(factor))
    small = [round(side * factor) for side in (height, width)]
    if max(small) < 64:  # the crop begins where the image does, and goes on as its mirror image
        columns = min(64 - small[1], small[1])
        start = changed.pixels[:, small[1] : small[1] + columns]
        np.testing.assert_array_equal(start, changed.pixels[:, small[1] - columns : small[1]][:, ::-1])


@pytest.mark.parametrize("chance", ["chroma_noise", "chroma_blur"])
def test_what_changes_chroma_leaves_luma(chance: str) -> None:
    pixels = photograph(2, 64, 64) // 8 + 112  # no colour leaves the range
    changed = ALONE[chance](pixels, 64, (5,)).pixels
    before, after = (np.asarray(Image.fromarray(image).convert("YCbCr"), np.float64) for image in (pixels, changed))
    moved = np.abs(after - before).mean(axis=(0, 1))
    assert moved[0] < 0.6  # rounding
    assert moved[1:].min() > 1.5 * moved[0]


def test_chroma_noise_is_as_large_as_it_says() -> None:
    pixels = np.full((128, 128, 3), 128, np.uint8)
    changed = change_chroma(pixels, 4.0, 0.0, np.random.default_rng(0))
    found = np.asarray(Image.fromarray(changed).convert("YCbCr"), np.float64).std(axis=(0, 1))
    assert found[1:] == pytest.approx([4.0, 4.0], rel=0.05)
