"""Ridge regression for audits: its dual is the primal solution, and no held-out image has a say in its own score."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from causalprint.models.statistics.ridge import balance, held_out_scores, indicators, solve, split_folds, standard_of, standardise
from tests.models.training.worlds import CLASSES, SIZES, a_world


def test_the_dual_solution_is_the_primal_one() -> None:
    draw = np.random.default_rng(3)
    z = torch.from_numpy(draw.normal(size=(12, 5)))
    targets = indicators(draw.integers(0, 3, 12), 3).double()
    weights = draw.uniform(0.5, 2, 12).astype(np.float32).astype(np.float64)
    design = torch.cat([z, torch.ones(12, 1)], dim=1)
    found = design.T @ solve(z @ z.T, targets, weights, 0.3)
    weighed = design.T * torch.from_numpy(weights)
    primal = torch.linalg.solve(weighed @ design + 0.3 * torch.eye(6), weighed @ targets)
    torch.testing.assert_close(found, primal, rtol=1e-6, atol=1e-8)


def test_every_lens_weighs_alike_and_no_outlier_decides() -> None:
    features = np.random.default_rng(0).normal(3, 50, (400, sum(SIZES))).astype(np.float32)
    features[0, 0] = 1e6
    z = standardise(features, standard_of(features, SIZES), 5.0)
    parts = z.split(list(SIZES), dim=1)
    assert float(parts[0].square().sum()) == pytest.approx(float(parts[1].square().sum()), rel=0.1)
    assert float(z[0, 0]) == pytest.approx(5 * SIZES[0] ** -0.5)


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


def test_held_out_scores_do_not_depend_on_the_labels_they_are_scored_against() -> None:
    features, _, labels, origins, contents, *_ = a_world(2.0)
    z = standardise(features[:, 0], standard_of(features[:, 0], SIZES), 5.0)
    folds = split_folds(labels, origins, contents, 2, 0)
    changed = labels.copy()
    changed[folds[0]] = 0
    first = held_out_scores(z @ z.T, labels, origins, CLASSES, folds, 0.1)[folds[0]]
    second = held_out_scores(z @ z.T, changed, origins, CLASSES, folds, 0.1)[folds[0]]
    np.testing.assert_array_equal(first, second)
