"""From what networks said of held-out images to a bundle's calibration and limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from causalprint.models.bundles.manifest import GRAPHIC, UNREGISTERED, Decision, are_generators
from causalprint.models.statistics.calibration import balanced, fit_odds, fit_temperature
from causalprint.models.statistics.origins import halved
from causalprint.models.statistics.softmax import shared_out
from causalprint.schemas.arrays import Doubles, Floats, Labels, Mask, Text
from causalprint.schemas.prior import EVEN

FARTHEST = 80.0
"""How far below its limit a familiarity can be for novelty to tell: e to this power is still a float32."""


ANSWERED_RIGHT = 0.9
"""Share of the generators named on held-out images that must be right; it sets the least probability."""
NAMED_LEAST = 0.35
"""Share of the held-out images found to be generated that must be named all the same."""
ACCUSED_MOST = 0.01
"""Share of held-out photographs, and of graphics, that may be taken for generated."""
CLEARED_RIGHT = 0.95
"""Share of the held-out images called ``real`` or ``graphic`` that must be, where half of all images are generated."""
NOVELTY_QUANTILE = 0.95
"""Share of held-out images of known sources that the novelty limit lets through."""
FLAT = 0.5 / 255
"""See :class:`~causalprint.models.bundles.manifest.Decision`."""


class HeldOut(NamedTuple):
    """What networks said of N images that they had not seen.

    Attributes:
        scores: (N, K), NaN where an image was held out by none, as the next two.
        detection: (N,), larger for generated images.
        familiarity: (N,), the largest discriminant of a source that is not ``unregistered``.
        of_new_origin: (N,), whether the networks had seen no image of the same source and origin.
        origins: (N,), of the images.
    """

    scores: Floats
    detection: Floats
    familiarity: Floats
    of_new_origin: Mask
    origins: Text


class Limits(NamedTuple):
    """What was found.

    Attributes:
        intercept: (K,), what the prior adds to the scores.
        decision: calibration and limits.
        held_out, generated, novelty: of the held-out images, (N, K), (N,) and (N,); NaN for others.
    """

    intercept: Floats
    decision: Decision
    held_out: Floats
    generated: Floats
    novelty: Floats


def set_limits(said: HeldOut, labels: Labels, sources: Sequence[str]) -> Limits:
    """Limits from what networks said of images with ``labels`` (N,), places in ``sources``.

    The calibration is that of images of origins that the networks had not seen either, where there are any to tell apart: of
    other images they are surer than they will be of those that they are asked about. Few are accused of a collection that nobody
    has seen: so every origin of photographs, and of graphics, has the same say in that limit, however many images are of it.
    """
    generators = np.array(are_generators(sources))
    known = np.isfinite(said.scores[:, 0])
    rows, odds, truth = said.scores[known].astype(np.float64), said.detection[known].astype(np.float64), labels[known]
    made = generators[truth]
    new, origins = said.of_new_origin[known], said.origins[known]
    asked = new if _both(made[new]) else np.ones(len(truth), np.bool_)
    scale, offset = fit_odds(odds[asked], made[asked], halved(balanced(truth[asked]), made[asked])) if _both(made) else (1.0, 0.0)
    asked = new & made if (new & made).any() else made
    told = rows[asked][:, generators], _within(truth[asked], generators), balanced(truth[asked])
    temperature = fit_temperature(*told) if asked.any() else 1.0
    intercept = temperature * np.log(even_shares(sources))  # Bayes' rule: the temperature was found with the sources alike
    generated = (1 / (1 + np.exp(-(scale * odds + offset)))).astype(np.float32)  # as it is stored
    chances = shared_out(generated, (rows + intercept) / temperature, generators)
    seen = said.familiarity[known].astype(np.float64)
    of_known = seen[np.array(sources)[truth] != UNREGISTERED]
    spread = max(float(of_known.std()), 1e-6)
    limit = float(np.quantile(of_known, 1 - NOVELTY_QUANTILE)) / spread
    others = [truth == label for label in np.unique(truth[~made])]
    accuse = max((_quantile_above(generated[one], balanced(origins[one])) for one in others), default=0.5)
    clear = min(_cleared(generated, made, halved(balanced(truth), made)), float(np.nextafter(np.float32(accuse), np.float32(0))))
    found = made & (generated >= accuse)
    least = _least_probability(np.where(generators, chances, 0)[found], truth[found])
    decision = Decision(temperature, scale, offset, clear, accuse, least, limit, spread, FLAT)
    held_out = np.full(said.scores.shape, np.nan, np.float32)
    held_out[known] = chances
    novelty, of_generated = (np.full(len(labels), np.nan, np.float32) for _ in range(2))
    novelty[known] = np.exp(np.minimum(limit - seen / spread, FARTHEST))
    of_generated[known] = generated
    return Limits(intercept.astype(np.float32), decision, held_out, of_generated, novelty)


def even_shares(sources: Sequence[str]) -> Doubles:
    """The prior of each source (K,) at :data:`~causalprint.schemas.prior.EVEN`: generators alike; paintings as photographs."""
    generators = are_generators(sources)
    shares = [
        EVEN.generated / sum(generators) if made else EVEN.graphic if source == GRAPHIC else EVEN.photograph
        for source, made in zip(sources, generators, strict=True)
    ]
    return np.array(shares, np.float64)


def _both(made: Mask) -> bool:
    return bool(made.any() and not made.all())


def _within(labels: Labels, members: Mask) -> Labels:
    """Labels as places among the ``members`` (K,) alone."""
    places = np.cumsum(members) - 1
    return np.asarray(places[labels], np.int64)


def _quantile_above(generated: Floats, weights: Doubles) -> float:
    """The least limit that at most :data:`ACCUSED_MOST` of these probabilities, by weight, reach."""
    order = np.argsort(-generated, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(np.nextafter(generated[order][int((reached <= ACCUSED_MOST).sum())], np.float32(2)))


def _cleared(generated: Floats, made: Mask, weights: Doubles) -> float:
    """The largest limit at or below which images are seldom generated: :data:`CLEARED_RIGHT`."""
    order = np.argsort(generated, kind="stable")
    right = np.cumsum((weights * ~made)[order]) / np.cumsum(weights[order])
    enough = np.flatnonzero(right >= CLEARED_RIGHT)
    return float(generated[order][enough[-1]]) if len(enough) else 0.0


def _least_probability(chances: Doubles, truth: Labels) -> float:
    """The least probability at which generators are named rightly often enough, or at which few enough are named."""
    if not len(truth):
        return 0.5
    best = chances.max(axis=1)
    order = np.argsort(-best, kind="stable")
    right = np.cumsum(chances.argmax(axis=1)[order] == truth[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(right >= ANSWERED_RIGHT)
    named = max(int(enough[-1]) + 1 if len(enough) else 0, int(np.ceil(NAMED_LEAST * len(order))))
    return float(best[order[min(named, len(order)) - 1]])
