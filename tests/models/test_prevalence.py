"""Shares of made-up datasets: whether intervals hold the truth as often as they say, where counting verdicts does not."""

from __future__ import annotations

import numpy as np
import pytest

from causalprint.models.evaluation.made_up import SOURCES, Drawn, calibration, dataset, draw, moments
from causalprint.models.prevalence import Calibration, Moments, as_stored, estimate
from causalprint.models.statistics.intervals import Spread, unified, unified_count
from causalprint.models.statistics.prediction_powered import Labelled, labelled_share
from causalprint.schemas.arrays import Doubles
from causalprint.schemas.prior import EVEN, Prior


def test_intervals_hold_the_share_as_often_as_they_say_whatever_it_is() -> None:
    rounds, shares = 50, (0.0, 0.1, 0.5, 0.9, 1.0)
    held, held_of_source, counted = (np.zeros((len(shares), rounds)) for _ in range(3))
    for row, generated in enumerate(shares):
        for number in range(rounds):
            random = np.random.default_rng((row, number))
            known, images = calibration(random), dataset(random, generated)
            for kept, members, truth in ((held, None, generated), (held_of_source, ("beta",), images.beta)):
                found = estimate(moments(images.drawn), known, members, np.array([100.0]))
                kept[row, number] = found.low[0] - 1e-9 <= truth <= found.high[0] + 1e-9
            said = np.isin(images.drawn.probabilities.argmax(axis=1), (2, 3)).mean()
            low, high = unified_count(np.array([said]), np.array([1000.0]))
            counted[row, number] = low[0] <= generated <= high[0]
    assert 0.93 <= held.mean() <= 0.97, held.mean(axis=1)
    assert 0.93 <= held_of_source.mean() <= 0.985, held_of_source.mean(axis=1)
    assert min(held.mean(axis=1).min(), held_of_source.mean(axis=1).min()) >= 0.86  # of 50, by chance
    assert counted.mean() < 0.4, counted.mean(axis=1)


def test_fewer_origins_widen_an_interval_and_more_images_of_them_do_not_mend_it() -> None:
    def width(origins: int, of_audit: float) -> float:
        random = np.random.default_rng(1)
        found = estimate(moments(dataset(random, 0.3).drawn), calibration(random, (origins,) * 4), None, np.array([of_audit]))
        return float(found.high[0] - found.low[0])

    assert width(5, 100.0) > 1.5 * width(40, 100.0)
    assert width(40, 1.0) > 2 * width(40, 100.0)


def test_where_scores_tell_nothing_every_share_is_possible() -> None:
    random = np.random.default_rng(0)
    source = np.repeat(np.arange(4), 200)
    noise = random.dirichlet(np.ones(4), 800)
    known = Calibration.of(SOURCES, noise, np.array(SOURCES)[source], np.arange(800).astype(str), "", "noise")
    found = estimate(moments(Drawn(noise[:100], source[:100], source[:100])), known, None)
    assert found.weak
    assert (found.low[0], found.high[0]) == (0, 1)
    assert found.labels[0] > 300


def test_images_add_up_whatever_parts_they_come_in_and_some_parts_hold_none() -> None:
    drawn = dataset(np.random.default_rng(0), 0.5, images=40).drawn.probabilities
    place = np.arange(40) % 3
    whole, parts = (Moments.none(3, drawn.shape[1]) for _ in range(2))
    whole.add(drawn, place)
    for rows in (slice(0, 0), slice(0, 7), slice(7, 7), slice(7, 40)):
        parts.add(drawn[rows], place[rows])
    for one, other in ((whole.images, parts.images), (whole.total, parts.total), (whole.square, parts.square)):
        np.testing.assert_allclose(one, other)


def test_what_nothing_is_known_of_is_not_estimated() -> None:
    random = np.random.default_rng(0)
    source = np.repeat(np.arange(4), (10, 10, 10, 0))
    held_out = draw(random, np.full(30, 9), source)
    known = Calibration.of(
        SOURCES, held_out.probabilities, np.array(SOURCES)[held_out.source], held_out.origin.astype(str), "", ""
    )
    found = estimate(moments(dataset(random, 0.3).drawn), known, ("beta",))
    assert found.origins == 0
    assert (found.low[0], found.high[0]) == (0, 1)


def test_a_strange_generator_counts_as_generated() -> None:
    random = np.random.default_rng(0)
    held_out = draw(random, np.full(80, 9), np.repeat(np.arange(4), 20))
    names = np.array([*SOURCES[:3], "unheard-of"])[held_out.source]
    known = Calibration.of(SOURCES, held_out.probabilities, names, held_out.origin.astype(str), "", "")
    found = estimate(moments(dataset(random, 0.5).drawn), known, None, np.array([100.0]))
    assert found.low[0] < 0.5 < found.high[0]


def test_scores_outside_of_all_mixtures_are_told() -> None:
    random = np.random.default_rng(0)
    never = np.tile([0.001, 0.0, 0.499, 0.5], (200, 1))
    found = estimate(moments(Drawn(never, np.zeros(200, int), np.zeros(200, int))), calibration(random), None, np.array([100.0]))
    assert found.outside[0]


def test_what_an_audit_stores_is_what_is_made_of_held_out_scores() -> None:
    random = np.random.default_rng(0)
    names = ("real", "graphic", *"abcdefgh")
    chances = random.dirichlet(np.full(10, 0.5), 50)
    generated = chances[:, 2:].sum(axis=1)
    stored = as_stored(chances, generated, names)
    assert np.allclose(stored.sum(axis=1), 1)
    assert np.allclose(stored[:, 2:].sum(axis=1), generated)
    # At another prior the table holds other candidates: the same comes of them.
    prior = Prior(0.8, 0.1, 0.1)
    odds = prior.graphic_share / (1 - prior.graphic_share) * (1 - EVEN.graphic_share) / EVEN.graphic_share
    moved = chances * np.where(np.arange(10) == 1, odds, 1)
    moved[:, :2] *= (0.95 / moved[:, :2].sum(axis=1))[:, None]
    moved[:, 2:] *= (0.05 / moved[:, 2:].sum(axis=1))[:, None]
    assert np.allclose(as_stored(moved, generated, names, prior, 10), as_stored(chances, generated, names, EVEN, 10))


def test_intervals_at_the_ends_are_never_empty_and_cover() -> None:
    random = np.random.default_rng(0)
    for share in (0.0, 0.003, 0.02, 0.5, 1.0):
        found = share + 0.01 * random.standard_normal(1500)

        def spread(at: Doubles) -> Spread:
            return Spread(np.full_like(at, 0.01), np.full_like(at, 1e6), np.zeros_like(at))

        low, high = unified(found, spread)
        assert (low <= high).all()
        assert 0.935 <= ((low <= share + 1e-9) & (share - 1e-9 <= high)).mean() <= 0.965


@pytest.mark.parametrize("share", [0.0, 0.02, 0.4, 1.0])
def test_labels_make_an_unbiased_share_with_an_interval_that_holds(share: float) -> None:
    rounds, held, off, width, plain = 80, 0, 0.0, 0.0, 0.0
    for number in range(rounds):
        random = np.random.default_rng((number, int(share * 100)))
        truth = random.random(5000) < share
        score = 1 / (1 + np.exp(-np.where(truth, 2.0, -1.0) - 1.3 * random.standard_normal(5000)))
        bands = np.digitize(score, (0.3, 0.7))
        drawn = [
            random.choice(np.flatnonzero(bands == band), 80, replace=False) for band in range(3) if (bands == band).sum() > 80
        ]
        rows = np.concatenate(drawn)
        weight = np.concatenate([np.full(len(one), (bands == bands[one[0]]).sum() / len(one)) for one in drawn])
        weight *= 5000 / weight.sum()
        found = labelled_share(Labelled(truth[rows], score[rows], weight, bands[rows].astype(str), float(score.mean()), 5000))
        held += found.low - 1e-9 <= truth.mean() <= found.high + 1e-9
        off += (found.value - truth.mean()) / rounds
        width += (found.high - found.low) / rounds
        plain += 2 * 1.96 * np.sqrt(max(share * (1 - share), 1e-9) / len(rows)) / rounds
    assert held / rounds >= 0.92
    assert abs(off) < 0.01
    assert share != 0.4 or width < 0.85 * plain  # than without scores
