"""Audits of shortcuts: what is no fingerprint, learned from like one. Where one is above chance, data give their sources away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier

from causalprint.models.evaluation.scoring_tables import Resampling
from causalprint.models.statistics.metrics import bootstrap, macro_recall
from causalprint.models.training.examples import thumbnail_of
from causalprint.schemas.arrays import Crops, Floats, Labels, Mask, Text
from causalprint.schemas.estimates import Estimate

Predict = Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]
"""Features (M, D) -> scores (M, K); the largest is the answer."""

TREES = 100
_FEWEST = 2
_SMOOTHING = 0.02


def file_features(encoded_bytes: Labels, encoding: Text | None = None, size: Labels | None = None) -> Floats:
    """What a directory listing says of N files, float32 (N, 1 to 4): log bytes, height and width, the encoding as a number.

    Args:
        encoded_bytes: (N,).
        encoding: JPEG, PNG, …, (N,); ``None`` where it is not known.
        size: height and width in pixels, (N, 2); ``None`` where they are not known.
    """
    known = [np.log(np.maximum(encoded_bytes, 1))]
    known += [] if size is None else [size]
    known += [] if encoding is None else [np.unique(encoding, return_inverse=True)[1]]
    return np.column_stack(known).astype(np.float32)


def thumbnails(crops: Crops) -> npt.NDArray[np.uint8]:
    """Mean colours (3) and averages over 16 x 16 cells (768) of crops uint8 (N, C, C, 3): uint8 (N, 771)."""
    rows = [np.append(np.rint(crop.mean(axis=(0, 1))).astype(np.uint8), thumbnail_of(crop)) for crop in crops]
    return np.array(rows, np.uint8).reshape(len(crops), -1)


def fit_forest(features: npt.NDArray[Any], labels: Labels, classes: int, seed: int, threads: int) -> Predict:
    """Extremely randomised trees (Geurts et al., 2006), which need no scaling and find what a line does not; scores are logs.

    Every class weighs alike.

    Args:
        features: (N, D).
        labels: (N,), below ``classes``.
        classes: K.
        seed: of the forest.
        threads: to learn in.
    """
    forest = ExtraTreesClassifier(TREES, min_samples_leaf=_FEWEST, class_weight="balanced", random_state=seed, n_jobs=threads)
    forest.fit(features, labels).set_params(n_jobs=1)  # threads would sum in any order

    def predict(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        shares = np.zeros((len(rows), classes))
        shares[:, forest.classes_] = forest.predict_proba(rows)
        return np.log(shares + _SMOOTHING / classes)

    return predict


def shuffled_labels(labels: Labels, seed: int) -> Labels:
    """Labels (N,) dealt out anew, by the seed."""
    return np.random.default_rng(seed).permutation(labels)


def audit_recalls(
    files: Floats,
    glance: npt.NDArray[np.uint8],
    labels: Labels,
    contents: Text,
    folds: Sequence[Mask],
    resampling: Resampling,
    threads: int,
) -> tuple[Estimate, Estimate, Estimate]:
    """Macro recalls of :func:`fit_forest` on images of folds that it has not seen, with intervals over contents.

    Of ``files``, of ``glance``, and of the latter where the labels that are learned from are :func:`shuffled_labels`.

    Args:
        files: (N, D), as of :func:`file_features`.
        glance: (N, D), what is seen at a glance.
        labels: (N,), from 0.
        contents: (N,).
        folds: disjoint masks (N,); images in none are learned from and not judged.
        resampling: of the interval; its seed is that of the forests.
        threads: to learn in.
    """

    def recall(features: npt.NDArray[Any], *, shuffled: bool = False) -> Estimate:
        answers = np.full(len(labels), -1)
        for held_out in filter(np.any, folds):
            learned = labels[~held_out]
            learned = shuffled_labels(learned, resampling.seed) if shuffled else learned
            predict = fit_forest(features[~held_out], learned, int(labels.max()) + 1, resampling.seed, threads)
            answers[held_out] = predict(features[held_out]).argmax(axis=1)
        judged = answers >= 0
        truth, found = labels[judged], answers[judged]
        return bootstrap(lambda rows: macro_recall(truth[rows], found[rows]), contents[judged].tolist(), *resampling)

    return recall(files), recall(glance), recall(glance, shuffled=True)
