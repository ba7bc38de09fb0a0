"""ManiFPT: the nearest real image is found exactly, and is never the image itself nor one of its content."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.research.methods.base import Kit, UnavailableError
from causalprint.research.methods.manifpt import MANIFPT_FREQ, MANIFPT_LEARNED, Bank, digests_of, freq, halve, rgb
from tests.research.methods.sources import CLASSES, crops_of_each, training_of

SIDE = 16
_KIT = Kit(threads=1)


def crops(count: int, seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def names(prefix: str, count: int) -> npt.NDArray[np.str_]:
    return np.array([f"{prefix}-{place}" for place in range(count)])


@settings(max_examples=20, deadline=None)
@given(bank=st.integers(1, 30), queries=st.integers(1, 70), groups=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_nearest_is_that_of_brute_force(bank: int, queries: int, groups: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    reals, asked = crops(bank, seed), crops(queries, seed + 1000)
    asked[::3] = reals[draw.integers(0, bank, len(asked[::3]))]  # real images of the bank among the queries
    mine = np.array([f"scene-{group}" for group in draw.integers(0, groups, bank)])
    its = np.array([f"scene-{group}" for group in draw.integers(0, groups, queries)])
    mine[0] = "of its own"
    for space in (rgb, freq):
        real_bank = Bank(reals, mine, space)
        vectors, points = space(reals), space(asked)
        flat, others = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (vectors, points))
        distances = np.square(others[:, None] - flat[None]).sum(axis=2)
        distances[(its[:, None] == mine[None]) | (digests_of(asked)[:, None] == digests_of(reals)[None])] = np.inf
        alone = np.isinf(distances).all(axis=1)
        if alone.any():
            with pytest.raises(ValueError, match="show the content"):
                real_bank.artefacts(asked, its)
        if not alone.all():
            expected = points[~alone] - vectors[distances[~alone].argmin(axis=1)]
            np.testing.assert_array_equal(real_bank.artefacts(asked[~alone], its[~alone]), expected)


def test_a_real_image_of_the_bank_has_no_zero_artefact() -> None:
    reals = crops(12, 0)
    repeated = np.concatenate([reals, reals[:4]])
    for space in (rgb, freq):
        bank = Bank(repeated, names("scene", 16), space)  # a repeated image is no neighbour of its twin
        assert (np.abs(bank.artefacts(reals)).max(axis=(1, 2, 3)) > 0.1).all()


def test_a_decoded_copy_is_held_against_another_image_than_its_original() -> None:
    reals = crops(12, 0)
    decoded = np.clip(reals.astype(int) + 3, 0, 255).astype(np.uint8)
    bank = Bank(reals, names("scene", 12), rgb)
    assert (np.abs(bank.artefacts(decoded)).max(axis=(1, 2, 3)) < 0.02).all()  # what has to be avoided
    assert (np.abs(bank.artefacts(decoded, names("scene", 12))).max(axis=(1, 2, 3)) > 0.1).all()


def test_artefacts_are_differences_in_the_space() -> None:
    reals, asked = crops(5, 1), crops(70, 2)
    artefacts = Bank(reals, names("scene", 5), freq).artefacts(asked)
    assert artefacts.dtype == np.float32
    candidates = freq(asked[69:]) - freq(reals)
    np.testing.assert_allclose(artefacts[69], candidates[np.square(candidates).sum(axis=(1, 2, 3)).argmin()], rtol=1e-6)


def test_freq_is_the_logarithm_of_the_shifted_spectrum_of_each_channel() -> None:
    image = crops(1, 3)[0]
    expected = np.log(np.abs(np.fft.fftshift(np.fft.fft2(image[..., 1] / 255.0))) + 1e-12)
    np.testing.assert_allclose(freq(image[None])[0, ..., 1], expected, rtol=1e-3, atol=1e-3)


def test_half_of_the_contents_go_to_the_bank_whatever_their_order() -> None:
    contents = np.repeat(names("scene", 11), 3)
    banked = set(contents[halve(contents, 0)])
    assert len(banked) == 5
    assert set(contents[halve(contents, 0)]).isdisjoint(contents[~halve(contents, 0)])
    assert set(contents[::-1][halve(contents[::-1], 0)]) == banked
    assert set(contents[halve(contents, 1)]) != banked
    with pytest.raises(UnavailableError, match="real images of two contents"):
        halve(contents[:3], 0)


def test_photographs_of_the_bank_are_told_as_photographs_that_were_never_seen() -> None:
    """If a photograph's own place in the bank showed, those of the bank would be told apart from new ones."""
    pixels, labels = crops_of_each(24, seed=0)
    training = training_of(pixels, labels)
    predict = MANIFPT_FREQ.fit(training, _KIT)
    scores = predict(pixels[labels == 0])
    real = np.flatnonzero(~training.validation & (labels == 0))
    banked = real[halve(training.contents[real], training.seed)]
    fresh, _ = crops_of_each(24, seed=50)
    assert (scores[banked].argmax(axis=1) == 0).mean() >= 0.8
    assert (predict(fresh[:24]).argmax(axis=1) == 0).mean() >= 0.8


def test_the_learned_space_takes_any_encoder() -> None:
    features = np.random.default_rng(0).normal(0, 1, (60, 8)).astype(np.float32)
    labels = np.arange(60) % CLASSES
    features[:, 0] += 4 * labels
    predict = MANIFPT_LEARNED.fit(training_of(features, labels), _KIT)
    assert (predict(features).argmax(axis=1) == labels).mean() > 0.7
