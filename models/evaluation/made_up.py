"""Made-up scores of datasets whose shares are known, to try on them what estimates shares: each origin has errors of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from causalprint.models.prevalence import Calibration, Moments
from causalprint.schemas.arrays import Labels, Scores

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
