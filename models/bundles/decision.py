"""From held-out scores and familiarity to a bundle's temperature and limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from causalprint.models.bundles.manifest import Decision
from causalprint.models.statistics.calibration import balanced, fit_temperature, softmax
from causalprint.schemas.arrays import Doubles, Floats, Labels, Mask

FARTHEST = 80.0
"""How far below its limit a familiarity can be for novelty to tell: e to this power is still a float32."""


@dataclass(frozen=True, slots=True)
class DecisionConfig:
    """How limits are set.

    Attributes:
        shrinkage: share of the mean variance in the covariance of fingerprints about their sources, see
            :func:`~causalprint.models.statistics.discriminant.learn_metric`.
        answered_right: share of answers on held-out images that must be right; it sets the least probability.
        answered_least: share of held-out images that must be answered all the same.
        novelty_quantile: share of held-out images of known sources that the novelty limit lets through.
        flat: see :class:`~causalprint.models.bundles.manifest.Decision`.
    """

    shrinkage: float = 0.01
    answered_right: float = 0.9
    answered_least: float = 0.35
    novelty_quantile: float = 0.95
    flat: float = 0.5 / 255


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


def set_limits(
    scores: Floats, familiarity: Floats, labels: Labels, of_new_origin: Mask, prior: Floats, config: DecisionConfig
) -> Limits:
    """Limits from what networks said of images that they had not seen.

    The temperature is that of images of origins that the networks had not seen either, where there are any: of other images they
    are surer than they will be of those that they are asked about.

    Args:
        scores: (N, K), NaN where an image was held out by none.
        familiarity: (N,), the largest discriminant of each image, likewise.
        labels: (N,).
        of_new_origin: (N,), whether the networks had seen no image of the same source and origin.
        prior: (K,), how frequent each source is taken to be, in any unit.
        config: how limits are set.
    """
    known = np.isfinite(scores[:, 0])
    rows, truth = scores[known].astype(np.float64), labels[known]
    new = of_new_origin[known] if of_new_origin[known].any() else np.ones(len(truth), np.bool_)
    temperature = fit_temperature(rows[new], truth[new], balanced(truth[new]))
    # Bayes' rule: the temperature was found with those sources alike.
    intercept = temperature * np.log(prior / prior.mean())
    chances = softmax((rows + intercept) / temperature)
    seen = familiarity[known].astype(np.float64)
    spread = max(float(seen.std()), 1e-6)
    limit = float(np.quantile(seen, 1 - config.novelty_quantile)) / spread
    held_out = np.full(scores.shape, np.nan, np.float32)
    held_out[known] = chances
    novelty = np.full(len(labels), np.nan, np.float32)
    novelty[known] = np.exp(np.minimum(limit - seen / spread, FARTHEST))
    decision = Decision(temperature, _least_probability(chances, truth, config), limit, spread, config.flat)
    return Limits(intercept.astype(np.float32), decision, held_out, novelty)


def _least_probability(chances: Doubles, truth: Labels, config: DecisionConfig) -> float:
    """The least probability at which answers are right often enough, or at which few enough are given."""
    best = chances.max(axis=1)
    order = np.argsort(-best, kind="stable")
    right = np.cumsum(chances.argmax(axis=1)[order] == truth[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(right >= config.answered_right)
    answered = max(int(enough[-1]) + 1 if len(enough) else 0, int(np.ceil(config.answered_least * len(order))))
    return float(best[order[min(answered, len(order)) - 1]])
