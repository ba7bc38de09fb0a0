"""Perturbations are pure: of a crop they make another crop, the same for the same seed, and say by themselves what they did."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.models.encodings import recompress
from causalprint.models.evaluation.perturbations import CHAINS, PERTURBATIONS, TRACKS, fit, rescale, seed_of
from tests.bundles import photograph


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_every_perturbation_is_pure_and_changes_the_image(name: str) -> None:
    perturbation = PERTURBATIONS[name]
    image = photograph(3, 64, 64)
    before = image.copy()
    changed = perturbation.apply(image, 7)
    assert changed.dtype == np.uint8
    assert changed.shape == image.shape
    assert np.array_equal(image, before)
    assert not np.array_equal(changed, image)
    assert np.array_equal(perturbation.apply(image, 7), changed)
    assert np.array_equal(perturbation.apply(image, 8), changed) is not perturbation.drawn
    assert name.split("-", maxsplit=1)[0] in perturbation.about.lower().replace("resized", "resize").replace("a random", "crop")
    kept = np.corrcoef(changed[:24, :24].flatten(), image[:24, :24].flatten())[0, 1]
    assert kept > 0.5 or "resize" in perturbation.about.lower() or "random" in perturbation.about


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_fitting_gives_the_size_asked_for_and_only_pixels_that_were_there(h: int, w: int, height: int, width: int) -> None:
    image = np.random.default_rng(h * 41 + w).integers(0, 256, (h, w, 3)).astype(np.uint8)
    fitted = fit(image, height, width)
    assert fitted.shape == (height, width, 3)
    colours = {tuple(colour) for colour in image.reshape(-1, 3).tolist()}
    assert {tuple(colour) for colour in fitted.reshape(-1, 3).tolist()} <= colours
    if h <= height and w <= width:
        assert np.array_equal(fitted[:h, :w], image)


def test_stronger_is_farther() -> None:
    image = photograph(5, 128, 128)
    losses = [
        np.square(changed.astype(float) - image).mean()
        for changed in (recompress(image, 90), recompress(image, 75), recompress(image, 50))
    ]
    assert losses == sorted(losses)
    assert losses[0] > 0
    assert np.array_equal(rescale(image, 1.0), image)


def test_a_track_encodes_every_image_alike_and_png_changes_nothing() -> None:
    image = photograph(6, 64, 64)
    assert np.array_equal(TRACKS["png"](image), image)
    once = TRACKS["jpeg95"](image)
    assert once.shape == image.shape
    loss = np.abs(once.astype(int) - image).mean()
    assert 0 < loss < np.abs(recompress(image, 75).astype(int) - image).mean()


def test_laundering_sends_each_image_through_a_chain_of_the_web_that_its_pixels_draw() -> None:
    chains = set()
    for seed in range(12):
        image = photograph(seed, 64, 64)
        laundered = TRACKS["laundered"](image)
        assert laundered.shape == image.shape
        assert np.array_equal(TRACKS["laundered"](image.copy()), laundered)
        fixed = {name: PERTURBATIONS[name].apply(image, 0) for name in CHAINS if not PERTURBATIONS[name].drawn}
        chains.add(next((name for name, pixels in fixed.items() if np.array_equal(pixels, laundered)), "drawn"))
        assert not np.array_equal(laundered, image)
    assert chains == {"messenger", "drawn"}


def test_the_draw_of_an_image_depends_on_its_bytes_and_the_seed_alone() -> None:
    ids = [f"{number:064x}" for number in range(16**62, 16**62 + 3)]
    ids = [identity[::-1] for identity in ids]
    seeds = {seed_of(identity, seed) for identity in ids for seed in range(3)}
    assert len(seeds) == 9
    assert seed_of(ids[0], 1) == seed_of(ids[0], 1)
