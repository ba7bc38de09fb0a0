"""scikit-learn behind the classical baselines: loading it, choosing on validation rows, scores of every source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from causalprint.models.statistics.metrics import macro_recall
from causalprint.research.methods.base import Kit, Predict, Training, UnavailableError
from causalprint.schemas.arrays import Floats, Labels, Scores

ChoiceT = TypeVar("ChoiceT")


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

    Features are flattened here. Each of ``candidates`` must weigh classes alike, since sources differ in size.
    """
    learned = ~training.validation
    rows, labels = flat(training.features[learned]), training.labels[learned]

    def learn(candidate: Any) -> Predict:
        fitted = candidate.fit(rows, labels)

        def predict(features: npt.NDArray[Any]) -> Scores:
            values = np.asarray(fitted.decision_function(flat(features)), np.float64)
            # Of two classes scikit-learn gives one column.
            scores = np.stack([-values / 2, values / 2], axis=1) if values.ndim == 1 else values
            return every_source(scores, fitted.classes_, training.classes)

        return predict

    return best_of(training, learn, candidates)


def logistic_regressions(strengths: Sequence[float], iterations: int) -> list[Any]:
    """A logistic regression on standardised features for each of ``strengths``, the inverse penalties; classes weigh alike."""
    return [
        make_pipeline(StandardScaler(), LogisticRegression(C=each, class_weight="balanced", max_iter=iterations))
        for each in strengths
    ]


def linear_machine(training: Training, kit: Kit) -> Predict:
    """Decision values (M, K) of a linear SVM, one source against the rest, its cost by validation rows."""
    return learn_best(training, [LinearSVC(C=cost, class_weight="balanced", dual=False) for cost in (0.1, 1, 10, 100)])


def best_of(training: Training, learn: Callable[[ChoiceT], Predict], choices: Sequence[ChoiceT]) -> Predict:
    """What ``learn`` makes of one of ``choices``: the rule of the highest :func:`macro_recall` on the validation rows.

    The first of equals; the first of all where there are no such rows.
    """
    if len(choices) == 1 or not training.validation.any():
        return learn(choices[0])
    rules = [learn(choice) for choice in choices]
    features, labels = training.features[training.validation], training.labels[training.validation]
    return rules[int(np.argmax([macro_recall(labels, rule(features).argmax(axis=1)) for rule in rules]))]


def flat(features: npt.NDArray[Any]) -> Floats:
    """Features (N, …) as float32 (N, D)."""
    return features.reshape(len(features), -1).astype(np.float32)


def every_source(scores: Scores, known: Labels, classes: int) -> Scores:
    """Scores (M, len(known)) of the labels ``known`` as (M, classes); a source without training rows is never the answer."""
    below = scores.min(axis=1, keepdims=True) - 1
    spread: Scores = np.repeat(below, classes, axis=1)
    spread[:, known] = scores
    return spread
