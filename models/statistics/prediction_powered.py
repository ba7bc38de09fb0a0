"""A share from a few labelled images and a score of all: prediction-powered inference."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from causalprint.models.statistics.clusters import Cells, clustered
from causalprint.models.statistics.intervals import Spread, unified
from causalprint.schemas.arrays import Doubles, Mask, Text

_SHIFTS = np.linspace(-30, 30, 1201)


class Labelled(NamedTuple):
    """A random sample of n images of a set, and what is known of the set.

    Attributes:
        truth: whether each image is what is asked about, (n,).
        score: of each image, of any meaning, (n,).
        weight: one over the chance that it was drawn, (n,).
        stratum: what it was drawn from, at random, (n,).
        mean: of the scores of all images of the set.
        images: how many these are.
    """

    truth: Mask
    score: Doubles
    weight: Doubles
    stratum: Text
    mean: float
    images: int


class LabelledShards(NamedTuple):
    """Where images are from that were drawn from a sample of shards.

    Attributes:
        cells: P shards, of one group.
        scores: sums of the scores of all their images, (P,).
        cell: the shard of each labelled image, (n,).
    """

    cells: Cells
    scores: Doubles
    cell: np.ndarray


class Share(NamedTuple):
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


def labelled_share(sample: Labelled, shards: LabelledShards | None = None) -> Share:
    """The share of what is true, unbiased whatever the score is worth; a score that is worth much narrows the interval.

    PPI++ (Angelopoulos, Duchi and Zrnic, 2023, equation 3 and section 6: the weight of the score that makes the interval
    narrowest), for strata by Horvitz and Thompson's weights. The interval is of shares that are not refuted, the images of each
    stratum varying as they would at that share: so it does not shrink to nothing where all labels are alike. Where the set is
    of a sample of ``shards``, what these differ by counts: sums over shards of what the estimate adds up.
    """
    truth, weight = sample.truth.astype(np.float64), sample.weight / sample.weight.sum()
    count = len(truth)
    names, place = np.unique(sample.stratum, return_inverse=True)
    part = np.bincount(place, weight)
    many = np.bincount(place)
    # Within strata, since only what varies there is uncertain.
    middle = [np.bincount(place, values) / many for values in (truth, sample.score)]
    off, lean = truth - middle[0][place], sample.score - middle[1][place]
    scale = (part / many)[place] ** 2
    worth = float((scale * lean * lean).sum())
    trust = float(np.clip((scale * off * lean).sum() / worth, -1e6, 1e6)) if worth > 1e-12 else 0.0
    trust /= 1 + count / max(sample.images, count)  # the scores of all are a sample too
    found = trust * sample.mean + float((weight * (truth - trust * sample.score)).sum())
    before, after = float((scale * off * off).sum()), float((scale * (off - trust * lean) ** 2).sum())
    # Of a handful of true ones the gain cannot be told from luck.
    true = float(truth.sum())
    left = 1.0 if min(true, count - true) < 5 or before <= 0 else min(max(after / before, 0.02), 1.0)
    smooth = (np.bincount(place, truth) + 0.5) / (many + 1)
    logit = np.log(smooth / (1 - smooth))
    of_shift = 1 / (1 + np.exp(-(logit + _SHIFTS[:, None]))) @ part

    by_shard = None
    if shards is not None:
        left_over = weight * (truth - trust * sample.score)
        totals = np.bincount(shards.cell, left_over - weight * left_over.sum(), len(shards.scores)) * sample.images
        by_shard = clustered(shards.cells, totals + trust * (shards.scores - shards.cells.images * sample.mean), 1)

    def spread(share: Doubles) -> Spread:
        shift = np.interp(share, of_shift, _SHIFTS)  # strata are moved alike in their log odds until they make the share
        chances = 1 / (1 + np.exp(-(logit + shift[:, None])))
        variance = left * (part**2 / many * chances * (1 - chances)).sum(axis=1)
        freedom = np.full(len(share), max(count - len(names), 1), np.float64)
        if by_shard is not None:
            variance = by_shard.at(share, np.clip(found, 0, 1), variance)
            freedom = np.minimum(freedom, by_shard.freedom)
        return Spread(np.sqrt(variance), freedom, np.zeros(len(share)))

    low, high = unified(np.array([found]), spread)
    return Share(float(np.clip(found, 0, 1)), float(low[0]), float(high[0]))
