"""A new generator from a few images, in the space of fingerprints, without training: Fisher's discriminant against all others.

A bundle says where its sources lie (centres) and how images spread about them (one covariance). Together, each at its share of
the prior, the others are a Gaussian mixture. The new source is told by one number: the linear discriminant (Fisher, Annals of
Eugenics 1936) of its images' mean against that mixture, whose covariance is the pooled one and that of the centres. How often it
would name images of others follows from the mixture. How often it finds its own is counted by leaving each image out in turn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import norm

from causalprint.models.bundles.decision import ACCUSED_MOST, even_shares
from causalprint.models.bundles.manifest import are_generators
from causalprint.models.statistics.calibration import fit_odds
from causalprint.schemas.arrays import Doubles, Floats
from causalprint.schemas.prior import EVEN

LEAST_IMAGES = 5
LEAST_RECALL = 0.5
"""Share of its own images, each left out in turn, that must be found: with fewer, the name would say little."""
QUANTILES = (np.arange(200) + 0.5) / 200
"""Of each Gaussian, the points that stand for it where probabilities are fitted."""


class Surroundings(NamedTuple):
    """What is known already.

    Attributes:
        sources: K names.
        centre: (K, 128).
        whitening: (128, 128), makes the covariance about the centres the identity.
    """

    sources: tuple[str, ...]
    centre: npt.NDArray[np.floating]
    whitening: npt.NDArray[np.floating]

    @property
    def shares(self) -> Doubles:
        """Of each source among images that are not of the new one, (K,)."""
        shares = even_shares(self.sources)
        found: Doubles = shares / shares.sum()
        return found


class Taken(NamedTuple):
    """A known source, and the share of its images that are expected to be called by the new name."""

    source: str
    share: float


class Enrolment(NamedTuple):
    """A source that was learned.

    Attributes:
        weight, bias: ``weight @ fingerprint + bias`` are the log odds that the source made the image, at the prior of
            :data:`~causalprint.schemas.prior.EVEN`, generators alike; float32 (128,).
        limit: log odds from which an image is given its name.
        found: of the ``images`` that it was learned from, how many it finds when each is left out in turn.
        images: how many it was learned from.
        accused: share of images by others that are expected to be given its name, at that prior.
        taken: by source, most taken first.
    """

    weight: Floats
    bias: float
    limit: float
    found: int
    images: int
    accused: float
    taken: tuple[Taken, ...]

    @property
    def recall(self) -> float:
        """Expected."""
        return self.found / self.images


def enrol(fingerprints: npt.NDArray[np.floating], known: Surroundings) -> Enrolment:
    """Learns a source from fingerprints (N, 128) of its images, N at least :data:`LEAST_IMAGES`, none of them zero.

    The limit is the least at which at most 1 % (:data:`~causalprint.models.bundles.decision.ACCUSED_MOST`) of the mixture are
    expected to be named, and of photographs and of graphics each. It is raised, to even odds at most, as far as
    every image that it finds stays a standard deviation above it.
    """
    shares = known.shares
    whitening = np.asarray(known.whitening, np.float64)
    middle = shares @ known.centre
    places = (known.centre - middle) @ whitening
    rows = (fingerprints.astype(np.float64) - middle) @ whitening
    spread = np.linalg.inv(np.eye(len(whitening)) + (places * shares[:, None]).T @ places)

    def direction(mean: Doubles) -> Doubles:
        """Along which images differ by a standard deviation of 1 about their centres."""
        found: Doubles = spread @ mean
        return found / np.linalg.norm(found)

    total = rows.sum(axis=0)
    own = direction(total / len(rows))
    left_out = np.array([row @ direction((total - row) / (len(rows) - 1)) for row in rows])
    of_others = places @ own
    limit = _limit(of_others, shares, ~np.array(are_generators(known.sources)))
    # A mixture has no logistic odds; these are the nearest, where scores of its images and of others meet.
    others = (of_others[:, None] + norm.ppf(QUANTILES)).ravel()
    made = np.arange(len(left_out) + len(others)) < len(left_out)
    share = EVEN.generated / (sum(are_generators(known.sources)) + 1)
    weights = np.concatenate(
        [np.full(len(left_out), share / len(left_out)), np.repeat((1 - share) * shares / len(QUANTILES), len(QUANTILES))]
    )
    odds = fit_odds(np.concatenate([left_out, others]), made, weights * len(weights))
    limit = max(limit, min([-odds.offset / odds.scale, *(left_out[left_out >= limit] - 1)]))
    taken = norm.sf(limit - of_others)
    weight = odds.scale * whitening @ own
    order = np.argsort(-taken, kind="stable")
    return Enrolment(
        weight.astype(np.float32),
        float(odds.offset - weight @ middle),
        float(odds.scale * limit + odds.offset),
        int((left_out >= limit).sum()),
        len(rows),
        float(shares @ taken),
        tuple(Taken(known.sources[place], float(taken[place])) for place in order),
    )


def _limit(of_others: Doubles, shares: Doubles, apart: npt.NDArray[np.bool_]) -> float:
    """The least score that at most 1 % of the mixture reach, and of each source that is ``apart`` (K,)."""
    edge = float(norm.isf(ACCUSED_MOST))
    pooled = brentq(
        lambda limit: float(shares @ norm.sf(limit - of_others)) - ACCUSED_MOST, of_others.min() - 1, of_others.max() + edge + 1
    )
    return float(max(pooled, *(of_others[apart] + edge)))
