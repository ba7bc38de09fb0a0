"""Figures of merit, with bootstrap intervals clustered by content, since images of one original are no independent evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from causalprint.schemas.arrays import Labels, Mask, Scores
from causalprint.schemas.estimates import Estimate

ROUNDS = 1000
ERRORS = 3.0
"""So many standard errors above chance make a shortcut."""
LEAST_PROBABILITY = 1e-12
"""A probability below it counts as this much, so that one confident mistake does not make the likelihood of a test infinite."""


def is_above_chance(recall: Estimate, classes: int, trainings: Sequence[float] = ()) -> bool:
    """Whether a macro recall over ``classes`` is above chance by three standard errors: of an audit, whether it is a shortcut.

    ``trainings`` are the recalls of several trainings that ``recall`` is of together. A bootstrap over contents holds the rules
    as they are; yet where images of a source are much alike, a rule learned from shuffled labels answers most of them the same,
    and another shuffle gives another recall. So the standard error over trainings counts beside that over contents.
    """
    of_trainings = float(np.var(trainings, ddof=1)) / len(trainings) if len(trainings) > 1 else 0.0
    return recall.value > 1 / classes + ERRORS * math.hypot(recall.standard_error, math.sqrt(of_trainings))


def macro_recall(truth: Labels, predicted: Labels) -> float:
    """Mean over the classes in ``truth`` (N,) of the share of their members that ``predicted`` (N,) has right."""
    counts = np.bincount(truth)
    hits = np.bincount(truth, truth == predicted)
    return float(np.mean(hits[counts > 0] / counts[counts > 0]))


def macro_f1(truth: Labels, predicted: Labels) -> float:
    """Mean over the classes in ``truth`` (N,) of F1, the harmonic mean of precision and recall of ``predicted`` (N,).

    As scikit-learn's macro average over these classes: F1 = 2 TP / (2 TP + FP + FN) (van Rijsbergen, 1979; Opitz & Burst,
    arXiv 1911.03347, tell this mean from others of the name).
    """
    counts = np.bincount(truth, minlength=int(predicted.max(initial=0)) + 1)
    answers = np.bincount(predicted, minlength=len(counts))
    hits = np.bincount(truth, truth == predicted, len(counts))
    present = counts > 0
    return float(np.mean(2 * hits[present] / (counts + answers)[present]))


def area_under_curve(positive: Mask, scores: Scores) -> float:
    """Probability that a positive scores higher than a negative, ties by half (Mann & Whitney); NaN where one kind is missing."""
    count = int(positive.sum())
    if count in (0, len(positive)):
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    above = ranks[inverse][positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(positive) - count)))


def tpr_at_fpr(positive: Mask, scores: Scores, fpr: float = 0.01) -> float:
    """The largest share of positives found while at most ``fpr`` of the negatives are taken for positives.

    The operating point of detectors that must not accuse (Carlini et al., IEEE S&P 2022, arXiv 2112.03570). What scores alike
    is taken together. NaN where one kind is missing.

    Args:
        positive: (N,).
        scores: (N,), larger for positives.
        fpr: 0 to 1.
    """
    true, false = _rates(positive, scores)
    allowed = false <= fpr
    return float(true[allowed].max()) if np.isfinite(true).all() else float("nan")


def fpr_at_tpr(positive: Mask, scores: Scores, tpr: float = 0.95) -> float:
    """The smallest share of negatives taken for positives while at least ``tpr`` of the positives are found.

    FPR at 95 % TPR of Liang et al., ICLR 2018 (ODIN, arXiv 1706.02690), where images of known sources are the positives. What
    scores alike is taken together. NaN where one kind is missing.

    Args:
        positive: (N,).
        scores: (N,), larger for positives.
        tpr: 0 to 1.
    """
    true, false = _rates(positive, scores)
    # Shares are quotients of counts: 0.95 must be reached by 19 of 20.
    enough = true >= tpr - 1e-12
    return float(false[enough].min()) if np.isfinite(true).all() else float("nan")


def oscr(right: Mask, known: Scores, unknown: Scores) -> float:
    """Area under the open-set classification rate curve (Dhamija et al., NeurIPS 2018, arXiv 1811.04110; 1 is best).

    The share of known images that are right and score above a threshold, over the share of unknown images that do, integrated
    over all thresholds by trapezoids: the probability that a known image is right and scores above an unknown one, ties by half.

    Args:
        right: (N,), whether each known image is attributed rightly.
        known: (N,), scores of the known images, larger for more familiar ones.
        unknown: (M,), of the unknown ones.

    Returns:
        0 to 1; NaN where N or M is 0.
    """
    if not len(known) or not len(unknown):
        return float("nan")
    ordered = np.sort(unknown)
    below = (np.searchsorted(ordered, known, "left") + np.searchsorted(ordered, known, "right")) / 2
    return float(np.mean(right * below / len(unknown)))


def nll(probabilities: Scores, truth: Labels, weights: Scores | None = None) -> float:
    """Negative log-likelihood in nats an image, a proper score (as Guo et al., ICML 2017, section 2); below 1e-12 nothing counts.

    Args:
        probabilities: (N, K), rows that add up to 1.
        truth: (N,), below K.
        weights: (N,), of the mean.
    """
    given = probabilities[np.arange(len(truth)), truth]
    lost = -np.log(np.maximum(given, LEAST_PROBABILITY))
    return float(np.average(lost, weights=weights)) if len(truth) else float("nan")


def calibration_error(probability: Scores, correct: Mask, weights: Scores | None = None, bins: int = 15) -> float:
    """Expected calibration error (Guo et al., ICML 2017, eq. 3): mean gap of confidence and accuracy over equal-width bins.

    Args:
        probability: (N,).
        correct: (N,).
        weights: (N,), of the mean.
        bins: how many.
    """
    place, weight = confidence_bins(probability, bins), np.ones(len(probability)) if weights is None else weights
    gaps = np.bincount(place, weight * probability, bins) - np.bincount(place, weight * correct, bins)
    return float(np.abs(gaps).sum() / weight.sum())


def confidence_bins(probability: Scores, bins: int = 15) -> Labels:
    """The equal-width bin (N,) of each probability (N,): bin b holds b / bins up to, but for the last, (b + 1) / bins."""
    return np.minimum((probability * bins).astype(np.int64), bins - 1)


def bootstrap(metric: Callable[[Labels], float], clusters: Sequence[str], seed: int = 0, rounds: int = ROUNDS) -> Estimate:
    """``metric`` of all rows, and its 2.5 and 97.5 percentiles over resampled clusters.

    Args:
        metric: from row numbers (with repetitions) to a value.
        clusters: of each row, what it is a copy or a sibling of.
        seed: of the resampling.
        rounds: how often.
    """
    return bootstrap_each(lambda rows: [metric(rows)], clusters, seed, rounds)[0]


def bootstrap_each(
    metrics: Callable[[Labels], Sequence[float] | Scores], clusters: Sequence[str], seed: int = 0, rounds: int = ROUNDS
) -> list[Estimate]:
    """:func:`bootstrap` of several metrics at once, on the same resamples, so that their differences may be metrics too.

    Args:
        metrics: from row numbers (with repetitions) to their values, NaN where there is none.
        clusters: of each row, what it is a copy or a sibling of.
        seed: of the resampling.
        rounds: how often.
    """
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    count = int(cluster.max(initial=-1)) + 1
    rows = np.arange(len(cluster))
    draw = np.random.default_rng(seed)
    resamples = (np.bincount(draw.integers(0, count, count), minlength=count)[cluster] for _ in range(rounds))
    values = np.array([metrics(np.repeat(rows, times)) for times in resamples], np.float64)
    missing = np.isnan(values).all(axis=0)
    low, high = np.nanpercentile(np.where(missing, 0.0, values), [2.5, 97.5], axis=0)
    low[missing] = high[missing] = np.nan
    return [Estimate(*map(float, numbers)) for numbers in zip(metrics(rows), low, high, strict=True)]


def _rates(positive: Mask, scores: Scores) -> tuple[Scores, Scores]:
    """Shares of positives and of negatives at or above each threshold, from none to all; NaN where one kind is missing."""
    count = int(positive.sum())
    if count in (0, len(positive)):
        return np.full(1, np.nan), np.zeros(1)
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    true = np.cumsum(positive[order])[last]
    return np.append(0.0, true / count), np.append(0.0, (last + 1 - true) / (len(positive) - count))
