"""Figures of merit, with bootstrap intervals clustered by content, since images of one original are no independent evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
ROUNDS = 1000


class Estimate(NamedTuple):
    """A value with its bootstrap 95 % interval."""

    value: float
    low: float
    high: float


def macro_recall(truth: Labels, predicted: Labels) -> float:
    """Mean over the classes in ``truth`` (N,) of the share of their members that ``predicted`` (N,) has right."""
    classes = np.unique(truth)
    return float(np.mean([np.mean(predicted[truth == label] == label) for label in classes]))


def area_under_curve(positive: npt.NDArray[np.bool_], scores: Scores) -> float:
    """Probability that a positive scores higher than a negative, ties by half (Mann & Whitney); NaN where one kind is missing."""
    count = int(positive.sum())
    if count in (0, len(positive)):
        return float("nan")
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    above = ranks[inverse][positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(positive) - count))) if len(values) else float("nan")


def calibration_error(probability: Scores, correct: npt.NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error (Guo et al., ICML 2017, eq. 3): mean gap of confidence and accuracy over equal-width bins."""
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gaps = [abs(probability[place == index].sum() - correct[place == index].sum()) for index in range(bins)]
    return float(sum(gaps) / len(probability))


def bootstrap(metric: Callable[[Labels], float], clusters: Sequence[str], seed: int = 0, rounds: int = ROUNDS) -> Estimate:
    """``metric`` of all rows, and its 2.5 and 97.5 percentiles over resampled clusters.

    Args:
        metric: from row numbers (with repetitions) to a value.
        clusters: of each row, what it is a copy or a sibling of.
        seed: of the resampling.
        rounds: how often.
    """
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    order = np.argsort(cluster, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(cluster))[:-1])
    draw = np.random.default_rng(seed)
    values = [
        metric(np.concatenate([groups[pick] for pick in draw.integers(0, len(groups), len(groups))])) for _ in range(rounds)
    ]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Estimate(metric(np.arange(len(cluster))), float(low), float(high))
