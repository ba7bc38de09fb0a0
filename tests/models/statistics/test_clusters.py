"""Shares of a sample of shards: intervals hold where images of one shard are alike; those of single images do not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from causalprint.models.evaluation.made_up import OfShards, calibration, from_shards, moments, sharded
from causalprint.models.prevalence import estimate
from causalprint.models.statistics.clusters import Cells, clustered
from causalprint.models.statistics.intervals import unified_count
from causalprint.models.statistics.prediction_powered import Labelled, LabelledShards, labelled_share
from causalprint.schemas.arrays import Doubles, Labels
from causalprint.transforms.formats.chosen import draw_shards, shares_alike


class Sampled(NamedTuple):
    """Images of a sample of shards: those that were taken and exist, by shard and source, and by which chance that was drawn."""

    taken: Labels
    images: Labels
    chance: Doubles
    truth: float

    def drawn(self, random: np.random.Generator) -> OfShards:
        return from_shards(random, self.images, self.taken)


def sampled(random: np.random.Generator, generated: float, alike: float, shards: int, images: int) -> Sampled:
    data = sharded(random, generated, alike)
    drawn = draw_shards(shards, data.sizes.tolist(), int(random.integers(10**6)))
    place, chance = [each.place for each in drawn], [each.chance for each in drawn]
    taken = shares_alike(images, data.images[place].sum(axis=1).tolist(), chance, 0)
    return Sampled(np.array(taken), data.images[place], np.array(chance), data.generated)


def made_in(random: np.random.Generator, one: Sampled) -> Labels:
    """How many of those that were taken of each shard are generated."""
    return random.hypergeometric(one.images[:, 2:].sum(axis=1), one.images[:, :2].sum(axis=1), one.taken)


def test_counted_shares_are_unbiased_and_held_where_images_drawn_one_by_one_would_not_be() -> None:
    rounds, off = 50, []
    held = {"alone": 0, "shards": 0}
    for generated in (0.1, 0.3, 0.6):
        for number in range(rounds):
            random = np.random.default_rng((number, int(generated * 10)))
            one = sampled(random, generated, 0.5, 60, 1000)
            made, kept = made_in(random, one), one.taken > 0
            cells = Cells(np.zeros(int(kept.sum()), np.int64), one.taken[kept].astype(np.float64), one.chance[kept])
            share, images = np.array([made.sum() / one.taken.sum()]), np.array([float(one.taken.sum())])
            off.append(float(share[0]) - one.truth)
            for name, shards in (("alone", None), ("shards", clustered(cells, made[kept].astype(np.float64), 1))):
                low, high = unified_count(share, images, shards)
                held[name] += bool(low[0] <= one.truth <= high[0])
    assert abs(np.mean(off)) < 3 * np.std(off) / len(off) ** 0.5
    assert held["alone"] / len(off) < 0.75
    assert 0.93 <= held["shards"] / len(off) <= 0.985


def test_corrected_shares_are_held_too() -> None:
    held, rounds = np.zeros(2), 30
    for number in range(rounds):
        random = np.random.default_rng(number)
        known, one = calibration(random), sampled(random, (0.3, 0.5)[number % 2], 0.9, 40, 1000)
        images = one.drawn(random)
        for place, by_shard in enumerate((None, images.by_shard(one.chance))):
            found = estimate(moments(images.drawn), known, None, np.array([100.0]), by_shard)
            held[place] += found.low[0] <= one.truth <= found.high[0]
    assert held[0] / rounds < 0.85
    assert held[1] / rounds >= 0.9


def test_labelled_shares_are_held_too() -> None:
    held, rounds = np.zeros(2), 40
    for number in range(rounds):
        random = np.random.default_rng(number)
        one = sampled(random, 0.4, 0.6, 50, 2000)
        images = one.drawn(random)
        scores = images.drawn.probabilities[:, 2:].sum(axis=1)
        rows = random.choice(len(scores), 400, replace=False)
        by_shard = images.by_shard(one.chance)
        cell = np.searchsorted(np.flatnonzero(one.taken), images.shard[rows])
        truth = images.drawn.source[rows] >= 2
        sample = Labelled(truth, scores[rows], np.ones(400), np.full(400, ""), float(scores.mean()), len(scores))
        shards = LabelledShards(by_shard.cells, by_shard.total[:, 2:].sum(axis=1), cell)
        for place, given in enumerate((None, shards)):
            found = labelled_share(sample, given)
            held[place] += found.low <= one.truth <= found.high
    assert held[0] / rounds < 0.8
    assert held[1] / rounds >= 0.9


@pytest.mark.parametrize("shards", [20, 200])
def test_shards_that_hold_nothing_exclude_no_more_than_they_can(shards: int) -> None:
    cells = Cells(np.zeros(shards, np.int64), np.full(shards, 50.0), np.zeros(shards))
    low, high = unified_count(np.zeros(1), np.array([50.0 * shards]), clustered(cells, np.zeros(shards), 1))
    assert low[0] == 0
    assert 3 / shards < high[0] < 5 / shards  # the rule of three says 3 for one side


def test_shards_that_were_certain_vary_by_their_images_alone() -> None:
    random = np.random.default_rng(0)
    number, said = np.full(30, 40.0), random.binomial(40, random.beta(0.5, 0.5, 30)).astype(np.float64)
    share, images = np.array([said.sum() / 1200]), np.array([1200.0])
    alone = unified_count(share, images)
    certain, rare = (clustered(Cells(np.zeros(30, np.int64), number, np.full(30, chance)), said, 1) for chance in (1.0, 0.01))
    assert np.allclose(unified_count(share, images, certain), alone)
    low, high = unified_count(share, images, rare)
    assert high[0] - low[0] > 3 * (alone[1][0] - alone[0][0])
