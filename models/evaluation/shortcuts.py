"""Audits of shortcuts: what is no fingerprint, learned from like one. Where one is above chance, data give their sources away."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.ensemble import ExtraTreesClassifier

from causalprint.models.baselines.base import Crops, Kit, Predict, Training

Floats = npt.NDArray[np.float32]

THUMBNAIL = 16
TREES = 100
_FEWEST = 2
_SMOOTHING = 0.02


def file_features(encoded_bytes: npt.NDArray[np.int64], encoding: npt.NDArray[np.str_], size: npt.NDArray[np.int64]) -> Floats:
    """What a directory listing says of N files, float32 (N, 4): log bytes, height, width, and the encoding as a number."""
    _, kind = np.unique(encoding, return_inverse=True)
    return np.column_stack([np.log(np.maximum(encoded_bytes, 1)), size, kind]).astype(np.float32)


def thumbnails(crops: Crops) -> npt.NDArray[np.uint8]:
    """Mean colours (3) and averages over 16 x 16 cells (768) of crops uint8 (N, C, C, 3): uint8 (N, 771)."""
    return np.array([_thumbnail(crop) for crop in crops], np.uint8).reshape(len(crops), -1)


def fit_forest(training: Training, kit: Kit) -> Predict:
    """Extremely randomised trees (Geurts et al., 2006), which need no scaling and find what a line does not; scores are logs.

    Every class weighs alike. Validation rows are not used.
    """
    learned = ~training.validation
    forest = ExtraTreesClassifier(
        TREES, min_samples_leaf=_FEWEST, class_weight="balanced", random_state=training.seed, n_jobs=kit.threads
    )
    forest.fit(training.features[learned], training.labels[learned])

    def predict(features: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        shares = np.zeros((len(features), training.classes))
        shares[:, forest.classes_] = forest.predict_proba(features)
        return np.log(shares + _SMOOTHING / training.classes)

    return predict


def shuffle_labels(training: Training) -> Training:
    """The same rows with the labels of those that are learned from dealt out anew, by the seed."""
    learned = np.flatnonzero(~training.validation)
    labels = training.labels.copy()
    labels[learned] = np.random.default_rng(training.seed).permutation(labels[learned])
    return training._replace(labels=labels)


def _thumbnail(crop: Crops) -> npt.NDArray[np.uint8]:
    cells = np.asarray(Image.fromarray(crop).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
    return np.concatenate([np.rint(crop.mean(axis=(0, 1))).astype(np.uint8), cells.flatten()])
