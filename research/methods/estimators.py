"""scikit-learn behind the classical baselines: loading it, choosing on validation rows, scores of every source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from causalprint.models.statistics.metrics import macro_recall
from causalprint.research.methods.base import Predict, Training, UnavailableError

Floats = npt.NDArray[np.float64]


def load_library(name: str) -> Any:
    """The module ``name`` of a package that only the comparison needs.

    Raises:
        UnavailableError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise UnavailableError(f"{package} is not installed: pip install 'causalprint[compare]'") from error


def learn_best(training: Training, candidates: Sequence[Any]) -> Predict:
    """Fits scikit-learn classifiers to the rows that are not for validation and keeps the best of them.

    The best has the highest macro recall on the validation rows, the first of equals; the first of all where there are none.

    Args:
        training: rows of features, flattened here.
        candidates: not fitted; each must weigh classes alike, since sources differ in size.
    """
    learned = ~training.validation
    rows, labels = flat(training.features[learned]), training.labels[learned]

    def fit(candidate: Any) -> Predict:
        fitted = candidate.fit(rows, labels)
        return lambda features: every_source(decisions(fitted, flat(features)), fitted.classes_, training.classes)

    return best_of(training, [partial(fit, candidate) for candidate in candidates])


def logistic_regressions(strengths: Sequence[float], iterations: int) -> list[Any]:
    """A logistic regression on standardised features for each of ``strengths``, the inverse penalties; classes weigh alike."""
    return [
        make_pipeline(StandardScaler(), LogisticRegression(C=each, class_weight="balanced", max_iter=iterations))
        for each in strengths
    ]


def best_of(training: Training, learners: Sequence[Callable[[], Predict]]) -> Predict:
    """The rule of the highest :func:`macro_recall` on validation rows, the first of equals; the first where there are no rows."""
    if len(learners) == 1 or not training.validation.any():
        return learners[0]()
    rules = [learner() for learner in learners]
    features, labels = training.features[training.validation], training.labels[training.validation]
    return rules[int(np.argmax([macro_recall(labels, rule(features).argmax(axis=1)) for rule in rules]))]


def flat(features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Features (N, …) as float32 (N, D)."""
    return features.reshape(len(features), -1).astype(np.float32)


def decisions(fitted: Any, rows: npt.NDArray[np.float32]) -> Floats:
    """``decision_function`` as (M, number of ``classes_``), also where scikit-learn gives one column for two classes."""
    values = np.asarray(fitted.decision_function(rows), np.float64)
    return np.stack([-values / 2, values / 2], axis=1) if values.ndim == 1 else values


def every_source(scores: Floats, known: npt.NDArray[np.int64], classes: int) -> Floats:
    """Scores (M, len(known)) of the labels ``known`` as (M, classes); a source without training rows is never the answer."""
    below = scores.min(axis=1, keepdims=True) - 1
    spread: Floats = np.repeat(below, classes, axis=1)
    spread[:, known] = scores
    return spread
