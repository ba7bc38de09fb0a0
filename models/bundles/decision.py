"""From held-out scores and familiarity to a bundle's temperature and limits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from causalprint.models.bundles.manifest import Decision
from causalprint.models.statistics.calibration import balanced, fit_temperature
from causalprint.models.statistics.softmax import softmax
from causalprint.schemas.arrays import Doubles, Floats, Labels, Mask

FARTHEST = 80.0
"""How far below its limit a familiarity can be for novelty to tell: e to this power is still a float32."""


ANSWERED_RIGHT = 0.9
"""Share of answers on held-out images that must be right; it sets the least probability."""
ANSWERED_LEAST = 0.35
"""Share of held-out images that must be answered all the same."""
NOVELTY_QUANTILE = 0.95
"""Share of held-out images of known sources that the novelty limit lets through."""
FLAT = 0.5 / 255
"""See :class:`~causalprint.models.bundles.manifest.Decision`."""


class Limits(NamedTuple):
    """What was found.

    Attributes:
        intercept: (K,), what the prior adds to the scores.
        decision: temperature and limits.
        held_out, novelty: of the held-out images, (N, K) and (N,); NaN for others.
    """

    intercept: Floats
    decision: Decision
    held_out: Floats
    novelty: Floats


def set_limits(scores: Floats, familiarity: Floats, labels: Labels, of_new_origin: Mask, prior: Floats) -> Limits:
    """Limits from what networks said of images that they had not seen.

    The temperature is that of images of origins that the networks had not seen either, where there are any: of other images they
    are surer than they will be of those that they are asked about.

    Args:
        scores: (N, K), NaN where an image was held out by none.
        familiarity: (N,), the largest discriminant of each image, likewise.
        labels: (N,).
        of_new_origin: (N,), whether the networks had seen no image of the same source and origin.
        prior: (K,), how frequent each source is taken to be, in any unit.
    """
    known = np.isfinite(scores[:, 0])
    rows, truth = scores[known].astype(np.float64), labels[known]
    new = of_new_origin[known] if of_new_origin[known].any() else np.ones(len(truth), np.bool_)
    temperature = fit_temperature(rows[new], truth[new], balanced(truth[new]))
    # Bayes' rule: the temperature was found with those sources alike.
    intercept = temperature * np.log(prior / prior.mean())
    chances = softmax((rows + intercept) / temperature, axis=1)
    seen = familiarity[known].astype(np.float64)
    spread = max(float(seen.std()), 1e-6)
    limit = float(np.quantile(seen, 1 - NOVELTY_QUANTILE)) / spread
    held_out = np.full(scores.shape, np.nan, np.float32)
    held_out[known] = chances
    novelty = np.full(len(labels), np.nan, np.float32)
    novelty[known] = np.exp(np.minimum(limit - seen / spread, FARTHEST))
    decision = Decision(temperature, _least_probability(chances, truth), limit, spread, FLAT)
    return Limits(intercept.astype(np.float32), decision, held_out, novelty)


def _least_probability(chances: Doubles, truth: Labels) -> float:
    """The least probability at which answers are right often enough, or at which few enough are given."""
    best = chances.max(axis=1)
    order = np.argsort(-best, kind="stable")
    right = np.cumsum(chances.argmax(axis=1)[order] == truth[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(right >= ANSWERED_RIGHT)
    answered = max(int(enough[-1]) + 1 if len(enough) else 0, int(np.ceil(ANSWERED_LEAST * len(order))))
    return float(best[order[min(answered, len(order)) - 1]])
