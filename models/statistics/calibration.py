"""From scores of any scale to probabilities: one temperature, found on images that were not learned from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.models.statistics.metrics import LEAST_PROBABILITY
from causalprint.models.statistics.softmax import softmax
from causalprint.schemas.arrays import Labels, Mask, Scores

_SPAN = np.geomspace(1e-3, 1e3, 241)
_FINE = np.geomspace(0.94, 1.06, 25)


def balanced(labels: npt.NDArray[np.generic]) -> Scores:
    """Weights (N,), 1 on average, with which every label in ``labels`` (N,) weighs alike."""
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights: Scores = len(labels) / (len(counts) * counts[place])
    return weights


def at_prior(labels: npt.NDArray[np.int64], shares: Scores) -> Scores:
    """Weights (N,), 1 on average, with which the labels (N,), below K, weigh as their ``shares`` (K,) of those that are there."""
    weights: Scores = shares[labels] / np.bincount(labels, minlength=len(shares))[labels]
    weights *= len(labels) / weights.sum()
    return weights


class Odds(NamedTuple):
    """``scale * score + offset`` is the log odds."""

    scale: float
    offset: float


def fit_odds(scores: Scores, truth: Mask, weights: Scores) -> Odds:
    """The logistic regression of ``truth`` on one score (Platt, 1999, with his smoothed targets); a larger score is never less.

    Args:
        scores: (N,), finite.
        truth: (N,), both true and false among them.
        weights: (N,).
    """
    positive, negative = float(truth.sum()), float((~truth).sum())
    target = np.where(truth, (positive + 1) / (positive + 2), 1 / (negative + 2))
    middle, spread = float(np.average(scores, weights=weights)), max(float(scores.std()), 1e-12)
    design = np.stack([(scores - middle) / spread, np.ones(len(scores))], axis=1)
    found = np.zeros(2)
    for _ in range(100):  # Newton's method on a convex loss; the ridge keeps a separable one from running away
        chance = 1 / (1 + np.exp(-design @ found))
        gradient = design.T @ (weights * (chance - target)) + 1e-6 * found
        curvature = (design * (weights * chance * (1 - chance))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        found = found - step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    scale = max(float(found[0]), 1e-6) / spread
    return Odds(scale, float(found[1]) - scale * middle)


def fit_temperature(scores: Scores, truth: Labels, weights: Scores) -> float:
    """The temperature of least weighted negative log-likelihood (Guo et al., ICML 2017), to one part in two hundred.

    It is sought over six decades around the scores' own spread, so that votes, distances and logits are all served.

    Args:
        scores: (N, K), finite; N at least 1.
        truth: (N,), below K.
        weights: (N,).
    """
    spread = float((scores - scores.mean(axis=1, keepdims=True)).std())
    if spread == 0:
        return 1.0
    coarse = _best(scores, truth, weights, spread * _SPAN)
    return _best(scores, truth, weights, coarse * _FINE)


def _best(scores: Scores, truth: Labels, weights: Scores, grid: Scores) -> float:
    rows = np.arange(len(truth))
    chances = [np.maximum(softmax(scores / temperature, axis=1)[rows, truth], LEAST_PROBABILITY) for temperature in grid]
    losses = [-float((weights * np.log(chance)).sum()) for chance in chances]
    return float(grid[int(np.argmin(losses))])
