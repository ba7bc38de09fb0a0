"""Reduction to components loses no distance where all are kept, little where most are, and lets no outlier decide."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from causalprint.models.network.reduction import CLIP, learn_reduction

SIZES = (6, 40)


def features(count: int = 60) -> npt.NDArray[np.float16]:
    """A lens of 6 numbers, and one of 40 that three numbers nearly decide; the units of all differ."""
    draw = np.random.default_rng(0)
    hidden = draw.normal(size=(count, 3)) @ draw.normal(size=(3, 40)) + 0.01 * draw.normal(size=(count, 40))
    values = np.concatenate([draw.normal(size=(count, 6)), hidden], axis=1) * draw.uniform(0.5, 5, 46) + 3
    return values.astype(np.float16)


def distances(rows: torch.Tensor) -> torch.Tensor:
    return torch.cdist(rows.double(), rows.double())


def test_where_all_components_are_kept_distances_stay() -> None:
    reduction = learn_reduction(features(), SIZES, (100, 100), (1.0, 1.0), seed=0)
    assert [basis.shape for basis in reduction.basis] == [(6, 6), (40, 40)]
    for kept, standard in zip(reduction(features()), reduction.standardised(features()), strict=True):
        torch.testing.assert_close(distances(kept), distances(standard), rtol=1e-4, atol=1e-5)


def test_few_components_keep_what_varies_most() -> None:
    reduction = learn_reduction(features(), SIZES, (4, 4), (1.0, 1.0), seed=0)
    assert [values.shape for values in reduction(features())] == [(60, 4), (60, 4)]
    kept, standard = reduction(features())[1], reduction.standardised(features())[1]
    torch.testing.assert_close(distances(kept), distances(standard), rtol=0.05, atol=0.02)
    for basis in reduction.basis:
        torch.testing.assert_close(basis.T @ basis, torch.eye(4), rtol=0, atol=1e-5)


def test_the_components_are_those_of_a_full_decomposition() -> None:
    reduction = learn_reduction(features(), SIZES, (3, 3), (1.0, 1.0), seed=0)
    values = reduction.standardised(features())[1].double()
    _, _, exact = torch.linalg.svd(values - values.mean(dim=0), full_matrices=False)
    shared = torch.linalg.svdvals(exact[:3] @ reduction.basis[1].double())
    torch.testing.assert_close(shared, torch.ones(3).double(), rtol=0, atol=1e-3)


def test_no_more_components_than_images_can_tell_apart() -> None:
    assert [basis.shape[1] for basis in learn_reduction(features(5), SIZES, (100, 100), (1.0, 1.0), seed=0).basis] == [4, 4]


def test_every_lens_weighs_alike() -> None:
    first, second = learn_reduction(features(), SIZES, (100, 100), (1.0, 1.0), seed=0).standardised(features())
    assert float(first.square().sum()) == pytest.approx(float(second.square().sum()), rel=0.1)


def test_an_outlier_is_cut() -> None:
    reduction = learn_reduction(features(), SIZES, (100, 100), (1.0, 1.0), seed=0)
    strange = features()[:1].copy()
    strange[0, 0] = 60000
    assert float(reduction.standardised(strange)[0][0, 0]) == np.float32(CLIP * reduction.standard.gain[0])


def test_a_lens_that_weighs_more_has_larger_components_and_may_keep_more() -> None:
    plain = learn_reduction(features(), SIZES, (4, 4), (1.0, 1.0), seed=0)(features())
    heavy = learn_reduction(features(), SIZES, (4, 9), (1.0, 3.0), seed=0)(features())
    assert [values.shape[1] for values in heavy] == [4, 9]
    assert torch.equal(plain[0], heavy[0])
    torch.testing.assert_close(heavy[1].square().sum(dim=0)[:4], 9 * plain[1].square().sum(dim=0), rtol=0.02, atol=0)


def test_the_same_features_give_the_same_reduction_wherever_the_global_seed_stands() -> None:
    first = learn_reduction(features(), SIZES, (4, 4), (1.0, 1.0), seed=0)
    torch.rand(7)
    assert all(map(torch.equal, first.basis, learn_reduction(features(), SIZES, (4, 4), (1.0, 1.0), seed=0).basis))
