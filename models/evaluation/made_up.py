"""Made-up scores of datasets whose shares are known, to try on them what estimates shares: each origin has errors of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from causalprint.models.prevalence import ByShard, Calibration, Moments
from causalprint.models.statistics.clusters import Cells
from causalprint.schemas.arrays import Doubles, Labels, Scores

SOURCES = ("real", "graphic", "alpha", "beta")
LOG_ODDS, BETWEEN = (-3.0, -4.0, 2.0, 1.0), (1.0, 0.8, 1.3, 1.3)
"""Of what is generated, by source: mean over origins, and how much origins differ."""


class Drawn(NamedTuple):
    """Of N images: probabilities (N, 4) of :data:`SOURCES`; the place of what made each among them, and its origin, (N,)."""

    probabilities: Scores
    source: Labels
    origin: Labels


def draw(random: np.random.Generator, images: Labels, source: Labels) -> Drawn:
    """So many images of each origin, whose ``source`` is told; each origin has errors of its own, a few very many."""
    centre = np.array(LOG_ODDS)[source] + np.array(BETWEEN)[source] * random.standard_normal(len(source))
    strange = random.random(len(source)) < 0.05
    centre += np.where(strange, np.where(source < 2, 2.5, -2.5), 0)
    origin = np.repeat(np.arange(len(source)), images)
    of_image = source[origin]
    generated = 1 / (1 + np.exp(-(centre[origin] + 1.5 * random.standard_normal(len(origin)))))
    drawn, beta = (
        1 / (1 + np.exp(-(sign + 1.5 * random.standard_normal(len(origin)))))
        for sign in (np.where(of_image == 1, 3.0, -3.0), np.where(of_image == 3, 1.0, -1.0))
    )
    chances = [(1 - generated) * (1 - drawn), (1 - generated) * drawn, generated * (1 - beta), generated * beta]
    return Drawn(np.stack(chances, axis=1), of_image, origin)


def calibration(random: np.random.Generator, origins: tuple[int, ...] = (40, 25, 20, 20)) -> Calibration:
    """What is known of a bundle: 4 to 39 images of each of so many origins a source."""
    source = np.repeat(np.arange(4), origins)
    held_out = draw(random, random.integers(4, 40, len(source)), source)
    names = np.array(SOURCES)[held_out.source]
    return Calibration.of(SOURCES, held_out.probabilities, names, held_out.origin.astype(str), "", "made up")


class Dataset(NamedTuple):
    """Images, and the share of those by source beta in what they were drawn from."""

    drawn: Drawn
    beta: float


def dataset(random: np.random.Generator, generated: float, origins: int = 100, images: int = 1000) -> Dataset:
    """Of so many origins, each of one source; an image is ``generated`` by this chance, and by source beta by that chance."""
    kinds = np.array([0.8 * (1 - generated), 0.2 * (1 - generated), generated])
    several = np.where(kinds > 0, np.maximum(np.round(kinds * origins), 1), 0).astype(int)
    kind = np.repeat(np.arange(3), several)
    source = kind + (kind == 2) * (random.random(len(kind)) < 0.4)
    chance = (kinds / np.maximum(several, 1))[kind]
    return Dataset(draw(random, random.multinomial(images, chance / chance.sum()), source), float(chance[source == 3].sum()))


def moments(drawn: Drawn) -> Moments:
    """Of all these images as one set."""
    found = Moments.none(1, len(SOURCES))
    found.add(drawn.probabilities, np.zeros(len(drawn.source), np.int64))
    return found


class Sharded(NamedTuple):
    """A dataset of S shards: images of each by source, int64 (S, 4), and its bytes, (S,)."""

    images: Labels
    sizes: Labels

    @property
    def generated(self) -> float:
        """The share of all images."""
        return float(self.images[:, 2:].sum() / self.images.sum())


def sharded(random: np.random.Generator, generated: float, alike: float = 0.5, shards: int = 400) -> Sharded:
    """About so much is ``generated``, and what is lies together: ``alike`` is the correlation of two images of one shard.

    Shards hold very different numbers of images, and generated images take twice the bytes of others.
    """
    many = np.maximum(np.round(np.exp(4 + random.standard_normal(shards))), 1).astype(np.int64)
    spread = 1 / alike - 1
    inside = 0 < generated < 1
    chance = random.beta(generated * spread, (1 - generated) * spread, shards) if inside else np.full(shards, generated)
    made = random.binomial(many, chance)
    graphics, beta = random.binomial(many - made, 0.2), random.binomial(made, 0.4)
    images = np.stack([many - made - graphics, graphics, made - beta, beta], axis=1)
    return Sharded(images, (images @ np.array([1e5, 1e5, 2e5, 2e5])).astype(np.int64))


class OfShards(NamedTuple):
    """Images of a sample of shards, and the shard of each, (N,)."""

    drawn: Drawn
    shard: Labels

    def by_shard(self, chance: Doubles) -> ByShard:
        """What is of one shard; each was drawn by a ``chance``, (S,)."""
        number = np.bincount(self.shard, minlength=len(chance))
        kept, total = number > 0, np.zeros((len(chance), len(SOURCES)))
        np.add.at(total, self.shard, self.drawn.probabilities)
        cells = Cells(np.zeros(int(kept.sum()), np.int64), number[kept].astype(np.float64), chance[kept])
        return ByShard(cells, total[kept])


def from_shards(random: np.random.Generator, images: Labels, taken: Labels, origins: int = 100) -> OfShards:
    """So many images ``taken``, (S,), at random of shards with ``images`` (S, 4) by source.

    Images of one source are of several origins, wherever they lie.
    """
    counts = np.stack([random.multivariate_hypergeometric(row, take) for row, take in zip(images, taken, strict=True)])
    total = counts.sum(axis=0)
    several = np.maximum(np.round(total / total.sum() * origins), 1).astype(np.int64)
    source = np.repeat(np.arange(4), several)
    of_origin = [random.multinomial(number, np.full(many, 1 / many)) for number, many in zip(total, several, strict=True)]
    drawn = draw(random, np.concatenate(of_origin), source)
    shard = [random.permutation(np.repeat(np.arange(len(images)), column)) for column in counts.T]
    return OfShards(drawn, np.concatenate(shard))  # images come by source, as their shards do
