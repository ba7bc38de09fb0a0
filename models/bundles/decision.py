"""From held-out scores and the final networks' fingerprints to a bundle's temperature and limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.models.bundles.manifest import Decision
from causalprint.models.statistics.calibration import balanced, fit_temperature, softmax
from causalprint.models.statistics.ridge import Floats, Labels

Doubles = npt.NDArray[np.float64]

FARTHEST = 80.0
"""Logits below the limit that novelty tells apart: e to this power is still a float32."""


@dataclass(frozen=True, slots=True)
class DecisionConfig:
    """How limits are set.

    Attributes:
        shrinkage: share of the mean variance in the covariance of fingerprints about their sources.
        answered_right: share of answers on held-out images that must be right; it sets the least probability.
        answered_least: share of held-out images that must be answered all the same.
        novelty_quantile: share of held-out images of known sources that the novelty limit lets through.
        flat: see :class:`~causalprint.models.bundles.manifest.Decision`.
    """

    shrinkage: float = 0.1
    answered_right: float = 0.9
    answered_least: float = 0.35
    novelty_quantile: float = 0.95
    flat: float = 0.5 / 255


class Limits(NamedTuple):
    """What was found.

    Attributes:
        intercept: (K,), what the prior adds to the scores.
        centre, whitening: where each source's fingerprints are, (K, 128), and what makes their covariance about it the identity.
        decision: temperature and limits.
        held_out, novelty: of the held-out images, (N, K) and (N,); NaN for others.
    """

    intercept: Floats
    centre: Floats
    whitening: Floats
    decision: Decision
    held_out: Floats
    novelty: Floats


def set_limits(scores: Floats, fingerprints: Floats, labels: Labels, prior: Floats, config: DecisionConfig) -> Limits:
    """Limits from held-out scores (N, K), NaN where an image was held out by none, and fingerprints (N, 128) of all images."""
    known = np.isfinite(scores[:, 0])
    rows, truth = scores[known].astype(np.float64), labels[known]
    temperature = fit_temperature(rows, truth, balanced(truth))
    # Bayes' rule: the temperature was found with every source alike.
    intercept = temperature * np.log(prior / prior.mean())
    logits = (rows + intercept) / temperature
    chances = softmax(logits)
    centre, whitening = _metric(fingerprints.astype(np.float64), labels, len(prior), config.shrinkage)
    largest = logits.max(axis=1)
    limit = float(np.quantile(largest, 1 - config.novelty_quantile))
    held_out = np.full(scores.shape, np.nan, np.float32)
    held_out[known] = chances
    novelty = np.full(len(labels), np.nan, np.float32)
    novelty[known] = np.exp(np.minimum(limit - largest, FARTHEST))
    return Limits(
        intercept.astype(np.float32),
        centre.astype(np.float32),
        whitening.astype(np.float32),
        Decision(temperature, _least_probability(chances, truth, config), limit, config.flat),
        held_out,
        novelty,
    )


def _metric(rows: Doubles, labels: Labels, classes: int, shrinkage: float) -> tuple[Doubles, Doubles]:
    """Centres (K, 128) of the sources and the inverse root (128, 128) of the covariance about them, every source alike."""
    present = [label for label in range(classes) if (labels == label).any()]
    centre = np.tile(rows.mean(axis=0), (classes, 1))
    for label in present:
        centre[label] = rows[labels == label].mean(axis=0)
    offsets = rows - centre[labels]
    covariance = (offsets * balanced(labels)[:, None]).T @ offsets / len(rows)
    covariance += shrinkage * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    return centre, vectors / np.sqrt(values) @ vectors.T


def _least_probability(chances: Doubles, truth: Labels, config: DecisionConfig) -> float:
    """The least probability at which answers are right often enough, or at which few enough are given."""
    best = chances.max(axis=1)
    order = np.argsort(-best, kind="stable")
    right = np.cumsum(chances.argmax(axis=1)[order] == truth[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(right >= config.answered_right)
    answered = max(int(enough[-1]) + 1 if len(enough) else 0, int(np.ceil(config.answered_least * len(order))))
    return float(best[order[min(answered, len(order)) - 1]])
