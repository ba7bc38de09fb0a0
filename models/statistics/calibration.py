"""From scores of any scale to probabilities: one temperature, found on images that were not learned from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from causalprint.models.statistics.metrics import LEAST_PROBABILITY
from causalprint.models.statistics.softmax import softmax
from causalprint.schemas.arrays import Labels, Scores

_SPAN = np.geomspace(1e-3, 1e3, 241)
_FINE = np.geomspace(0.94, 1.06, 25)


def balanced(labels: npt.NDArray[np.generic]) -> Scores:
    """Weights (N,), 1 on average, with which every label in ``labels`` (N,) weighs alike."""
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights: Scores = len(labels) / (len(counts) * counts[place])
    return weights


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
