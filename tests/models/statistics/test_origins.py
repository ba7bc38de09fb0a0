"""Every class has the same say, and a fold holds whole origins or contents."""

from __future__ import annotations

import numpy as np
import pytest

from causalprint.models.statistics.origins import balance, split_folds


def test_weights_give_every_class_the_same_say() -> None:
    labels = np.array([0] * 8 + [1] * 2)
    weights = balance(labels, np.array(["a"] * 7 + ["b"] + ["c"] * 2))
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())
    assert weights.mean() == pytest.approx(1)
    assert weights[7] > weights[0]


def test_folds_hold_out_whole_origins_and_else_whole_contents() -> None:
    labels = np.array([0] * 30 + [1] * 30)
    origins = np.array(["a"] * 10 + ["b"] * 10 + ["c"] * 10 + ["only"] * 30)
    contents = np.array([f"{place // 3}" for place in range(60)])
    folds = split_folds(labels, origins, contents, 3, seed=0)
    assert np.sum(folds, axis=0).tolist() == [1] * 60
    for fold in folds:
        assert len(set(origins[fold & (labels == 0)])) == 1
        alone = contents[fold & (labels == 1)]
        assert len(alone) == 3 * len(set(alone)) > 0
