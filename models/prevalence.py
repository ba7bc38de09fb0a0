"""Shares of sources in a set of images, corrected for what the bundle gets wrong, with intervals that count what is not known.

Adjusted counting of probabilities (Bella et al., ICDM 2010): a weighted sum of a bundle's probabilities is 1 on average for
held-out images of the source that is asked about, and 0 for those of all others; its mean over a dataset is then the share. That
holds for origins alike. They are not: so the unit of what is known of a source is the origin and not the image, the dataset is
taken for so many origins of its own, and an interval is the set of all shares that a test does not refute.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from causalprint.models.bundles.manifest import GRAPHIC, NOT_GENERATED, REAL, are_generators
from causalprint.models.statistics.clusters import Cells, clustered
from causalprint.models.statistics.intervals import Spread, lean_of, unified
from causalprint.schemas.arrays import Doubles, Labels, Mask, Scores, Text
from causalprint.schemas.prior import EVEN, Prior

LISTED = 5
"""Sources of which an audit stores the probability: see ``candidates``."""
FEW_IMAGES = 50
"""Images of a group below which nothing is made of it."""
FEW_SHARDS = 10
"""Drawn shards, were they alike, below which nobody knows how much shards differ."""
FEW_ORIGINS = 5
"""Origins of a source below which what differs between origins is taken from other generators."""
WIDE = 0.5
"""Width of an interval that says too little."""
TELLING = 10.0
"""How many times the variance of what is known of origins the squared difference between sources must be, or scores tell nothing:
the rule for weak instruments (Staiger and Stock, Econometrica 65, 1997)."""
HALF_WIDTH = 0.05
"""What labels are to bring an interval to, to each side."""
_NORMAL = 1.959964


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Of G sets of images, what the bundle's probabilities of K sources come to.

    Attributes:
        images: int64 (G,).
        total: sums of the probabilities, (G, K).
        square: sums of their products, (G, K, K).
    """

    images: Labels
    total: Doubles
    square: Doubles

    @staticmethod
    def none(sets: int, sources: int) -> Moments:
        """Of sets without images."""
        return Moments(np.zeros(sets, np.int64), np.zeros((sets, sources)), np.zeros((sets, sources, sources)))

    def add(self, probabilities: Scores, place: Labels) -> None:
        """Adds images with probabilities (N, K), each to the set at its ``place`` (N,)."""
        if not len(place):
            return
        order = np.argsort(place, kind="stable")
        found, starts = np.unique(place[order], return_index=True)
        for one, rows in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
            part = probabilities[rows]
            self.images[one] += len(part)
            self.total[one] += part.sum(axis=0)
            self.square[one] += part.T @ part


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What a bundle says of images of known sources, origin by origin.

    Attributes:
        sources: K, those of the bundle.
        source: what made the images of each origin, (U,): also such as the bundle does not know.
        moments: of each origin's images.
        digest: SHA-256 of where it is from, lower-case hex.
        about: where it is from, in words.
    """

    sources: tuple[str, ...]
    source: Text
    moments: Moments
    digest: str
    about: str

    @staticmethod
    def of(sources: Sequence[str], probabilities: Scores, source: Text, origin: Text, digest: str, about: str) -> Calibration:
        """Of images with ``probabilities`` (N, K), as of :func:`as_stored`; true ``source`` and ``origin`` (N,)."""
        units, place = np.unique(np.stack([source, origin], axis=1), axis=0, return_inverse=True)
        moments = Moments.none(len(units), len(sources))
        moments.add(probabilities, np.asarray(place).reshape(-1))
        return Calibration(tuple(sources), units[:, 0], moments, digest, about)

    @property
    def images(self) -> int:
        """How many they are."""
        return int(self.moments.images.sum())


class ByShard(NamedTuple):
    """Of images of a sample of shards, which ones are of one shard: P cells, and sums of their probabilities (P, K)."""

    cells: Cells
    total: Doubles


class Estimates(NamedTuple):
    """Shares of G groups, each (G,); NaN where nothing is known.

    Attributes:
        share, low, high: estimate and 95 % interval.
        origins: the fewest origins that what was said of a source rests on.
        weak: whether scores hardly tell the members from others: then every share is possible.
        outside: whether the scores are such as no mixture of the held-out images gives.
        labels: images to label, drawn at random, for an interval of :data:`HALF_WIDTH` to each side.
    """

    share: Doubles
    low: Doubles
    high: Doubles
    origins: int
    weak: bool
    outside: Mask
    labels: Labels


def as_stored(
    probabilities: Scores, generated: Scores, sources: Sequence[str], prior: Prior = EVEN, listed: int = LISTED
) -> Scores:
    """Probabilities (N, K) as the tables of an audit allow: of the likeliest sources alone, the others 0.

    Args:
        probabilities: (N, K); at ``prior``.
        generated: (N,), that a generator made the image, where half of all are.
        sources: K.
        prior: that of ``probabilities``; those that are returned are at :data:`~causalprint.schemas.prior.EVEN`.
        listed: how many are kept.
    """
    made = np.array(are_generators(sources))
    kept = probabilities.astype(np.float64)
    if listed < kept.shape[1]:
        place = np.argsort(-kept, axis=1, kind="stable")[:, : listed - 1]
        mask = np.zeros(kept.shape, np.bool_)
        np.put_along_axis(mask, place, values=True, axis=1)
        kept = np.where(mask | ~made, kept, 0)
    if GRAPHIC in sources:
        odds = EVEN.graphic_share / (1 - EVEN.graphic_share) * (1 - prior.graphic_share) / prior.graphic_share
        kept[:, list(sources).index(GRAPHIC)] *= odds
    for members, share in ((made, generated), (~made, 1 - generated)):
        total = kept[:, members].sum(axis=1)
        kept[:, members] *= np.divide(share, total, out=np.zeros_like(total), where=total > 0)[:, None]
    return kept


def estimate(
    audit: Moments,
    calibration: Calibration,
    members: Collection[str] | None,
    origins: Doubles | None = None,
    by_shard: ByShard | None = None,
) -> Estimates:
    """Shares of images by ``members``, sources of the bundle, together.

    Args:
        audit: of the groups' images.
        calibration: of images whose sources are known.
        members: one source or a family; ``None``: all generators, those that the bundle does not know too.
        origins: how many origins the images of each group are from, about, (G,); NaN: as many as of the calibration.
        by_shard: where images are from that were drawn from a sample of shards.
    """
    problem = _Problem.of(calibration, members)
    groups = len(audit.images)
    nothing = np.full(groups, np.nan)
    if problem is None:
        return Estimates(
            nothing, np.zeros(groups), np.ones(groups), 0, True, np.zeros(groups, np.bool_), np.zeros(groups, np.int64)
        )
    images = np.maximum(audit.images, 1)
    means = audit.total @ problem.columns / images[:, None]
    score = problem.columns @ problem.weights
    found = means @ problem.weights
    own = np.arange(len(problem.means)) == 0
    rest = np.where(own, 0, np.clip(means @ np.linalg.inv(problem.means), 1e-9, None))
    rest /= rest.sum(axis=1, keepdims=True)
    sampled = np.maximum(np.einsum("k,gkl,l->g", score, audit.square, score) / images - found**2, 0) / images
    of_audit = np.full(groups, np.nan) if origins is None else origins
    shards = None if by_shard is None else clustered(by_shard.cells, by_shard.total @ score, groups)
    freedom_drawn = np.maximum(images - 1, 1) if shards is None else np.minimum(np.maximum(images - 1, 1), shards.freedom)

    def spread(share: Doubles) -> Spread:
        parts = share[:, None] * own + (1 - share)[:, None] * rest
        drawn = np.maximum(np.maximum(parts @ problem.square - share**2, 0) / images, sampled)
        drawn = drawn if shards is None else shards.at(share, np.clip(found, 0, 1), drawn)
        asked = np.where(np.isnan(of_audit)[:, None], problem.many, np.maximum(parts * of_audit[:, None], 1))
        known = parts**2 * problem.spread / problem.many
        other = parts**2 * problem.between / asked
        variance = drawn + (known + other).sum(axis=1)
        ended = drawn**2 / freedom_drawn + ((known + other) ** 2 / problem.freedom).sum(axis=1)
        third = parts**3 * problem.third
        lean = lean_of(
            (third * (1 / asked**2 - 1 / problem.many**2)).sum(axis=1),
            -(third * (1 / asked + 1 / problem.many) / problem.many).sum(axis=1),
            np.sqrt(variance),
        )
        return Spread(np.sqrt(variance), np.maximum(variance**2 / np.maximum(ended, 1e-300), 1), lean)

    low, high = (np.zeros(groups), np.ones(groups)) if problem.weak else unified(found, spread)
    share = np.clip(found, 0, 1)
    outside = np.abs(found - share) > 3 * spread(share).error
    labels = np.where(high - low > 2 * HALF_WIDTH, problem.labels(low, high), 0)
    unknown = audit.images == 0
    return Estimates(
        np.where(unknown, np.nan, share),
        np.where(unknown, 0.0, low),
        np.where(unknown, 1.0, high),
        problem.origins,
        problem.weak,
        outside & ~unknown,
        labels,
    )


class _Problem(NamedTuple):
    """One question: members against photographs, graphics and other generators, C classes, members first.

    Attributes:
        columns: which sources are of which class, (K, C).
        means: mean probability of the classes (columns) for images of each class (rows), origins alike, (C, C).
        weights: with which probabilities of the classes add up to 1 for members, on average, and to 0 for the others, (C,).
        square: mean square of that sum, (C,).
        spread: variance of its means over origins, (C,); ``between``: without what is due to few images.
        third: third central moment of the same.
        many: origins, (C,); ``freedom``: degrees of freedom of ``spread``.
        origins: the fewest that anything rests on.
        weak: see :class:`Estimates`.
        raw: mean and variance of the members' probability itself, for members and for others, (2, 2).
    """

    columns: Doubles
    means: Doubles
    weights: Doubles
    square: Doubles
    spread: Doubles
    between: Doubles
    third: Doubles
    many: Doubles
    freedom: Doubles
    origins: int
    weak: bool
    raw: Doubles

    @staticmethod
    def of(calibration: Calibration, members: Collection[str] | None, *, alone: bool = False) -> _Problem | None:
        """``None`` where nothing is known of one of the classes, or nothing tells them apart."""
        names, of_unit = np.array(calibration.sources), calibration.source
        graphics = GRAPHIC in calibration.sources  # else they are told from photographs by nothing
        told, met = (_classes(one, members, graphics=graphics) for one in (names, of_unit))
        kept: Mask = np.asarray(told.any(axis=0) & met.any(axis=0))
        if not kept[0] or kept.sum() < 2:
            return None
        columns: Doubles = told[:, kept].astype(np.float64)
        units: Mask = met[:, kept]
        moments = calibration.moments
        mean = moments.total @ columns / moments.images[:, None]
        square = np.einsum("kc,ukl,ld->ucd", columns, moments.square, columns) / moments.images[:, None, None]
        means = np.stack([mean[of_class].mean(axis=0) for of_class in units.T])
        if np.linalg.cond(means) > 1e4:
            return None
        weights = np.linalg.inv(means)[:, 0]
        score, squared = mean @ weights, np.einsum("c,ucd,d->u", weights, square, weights)
        noise = np.maximum(squared - score**2, 0) / np.maximum(moments.images - 1, 1)
        count = units.sum(axis=0).astype(np.float64)
        off = score - units @ np.array([score[of_class].mean() for of_class in units.T])
        freedom = np.maximum(count - 1, 1)
        spread = (off**2) @ units / freedom
        between = np.maximum(spread - noise @ units / count, 0)
        third = (off**3) @ units / count
        origins = int(count.min())
        weak = bool(TELLING * (spread / count)[1:].max() > 1 or TELLING * (spread / count)[0] > 1)
        if count[0] < FEW_ORIGINS and not alone:
            borrowed = _pooled(calibration)
            if borrowed is None:
                freedom[0], origins = 1, int(count[0])
            else:
                spread[0] = between[0] = borrowed[0]
                freedom[0], third[0], origins = borrowed[1], 0, int(min(count[1:].min(), borrowed[1] + 1))
        own = units[:, 0]
        raw = np.array([(mean[one, 0].mean(), square[one, 0, 0].mean() - mean[one, 0].mean() ** 2) for one in (own, ~own)])
        squares = np.array([squared[of_class].mean() for of_class in units.T])
        return _Problem(columns, means, weights, squares, spread, between, third, count, freedom, origins, weak, raw)

    def labels(self, low: Doubles, high: Doubles) -> Labels:
        """How many labels suffice wherever in the interval the share is: (Angelopoulos et al., PPI++, 2023, section 6)."""
        (mean, spread), (other, around) = self.raw
        most = np.zeros(len(low))
        for place in np.linspace(0, 1, 21):
            share = low + place * (high - low)
            chance = share * (1 - share)
            scores = share * spread + (1 - share) * around + chance * (mean - other) ** 2
            left = chance - np.divide((chance * (mean - other)) ** 2, scores, out=np.zeros_like(scores), where=scores > 0)
            most = np.maximum(most, left)
        needed: Labels = np.maximum(np.ceil((_NORMAL / HALF_WIDTH) ** 2 * most / 10) * 10, FEW_IMAGES).astype(np.int64)
        return needed


def _classes(names: Text, members: Collection[str] | None, *, graphics: bool) -> Mask:
    """Which names are members, photographs or paintings, graphics, and other generators, (…, 4)."""
    drawn = (names == GRAPHIC) & graphics
    taken = np.isin(names, NOT_GENERATED) & ~drawn
    made = ~taken & ~drawn
    own = made if members is None else taken if REAL in members else np.isin(names, list(members))
    return np.stack([own, taken & ~own, drawn & ~own, made & ~own], axis=-1)


def _pooled(calibration: Calibration) -> tuple[float, float] | None:
    """How much origins of one generator differ, for all generators together, and its degrees of freedom; ``None``: unknown."""
    total = freedom = 0.0
    for source in np.unique(calibration.source):
        if source in NOT_GENERATED or source not in calibration.sources or (calibration.source == source).sum() < 2:
            continue
        problem = _Problem.of(calibration, {str(source)}, alone=True)
        if problem is not None:
            total += float(problem.spread[0] * problem.freedom[0])
            freedom += float(problem.freedom[0])
    return (total / freedom, freedom) if freedom >= FEW_ORIGINS - 1 else None
