"""The head finds what separates sources, says honestly how well on what it has not seen, and ignores what interventions move."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from causalprint.models.evaluation import audit_shortcuts, evaluate_head
from causalprint.models.fingerprint import CLIP
from causalprint.models.head import Head, HeadConfig, fit_head
from causalprint.models.manifest import Feature, attribution_shapes, fingerprint_shapes
from causalprint.models.ridge import Penalty, balance, held_out_scores, indicators, solve, split_folds, standard_of, standardise
from causalprint.schemas.tables import FINGERPRINT_DIM

SIZES = (20, 30)
PER_ORIGIN = 20
ALIKE = np.ones(3, np.float32)


def a_world(
    gap: float, seed: int = 0
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int64], npt.NDArray[np.str_], npt.NDArray[np.str_]]:
    """Three classes of two origins, told apart by a shift of one axis each; every origin has a shift of its own, too."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), 2 * PER_ORIGIN)
    origins = np.array([f"origin-{place // PER_ORIGIN}" for place in range(len(labels))])
    base = draw.normal(0, 1, (len(labels), sum(SIZES)))
    base[np.arange(len(labels)), labels] += gap
    base[:, 10:20] += np.repeat(draw.normal(0, 1, (6, 10)), PER_ORIGIN, axis=0)
    views = np.stack([base, base + draw.normal(0, 0.1, base.shape)], axis=1)
    return views.astype(np.float16), labels, origins, np.array([f"content-{place}" for place in range(len(labels))])


def fit(gap: float, validation: npt.NDArray[np.bool_] | None = None) -> tuple[Head, npt.NDArray[np.int64]]:
    features, labels, origins, contents = a_world(gap)
    return fit_head(features, SIZES, labels, origins, contents, ALIKE, HeadConfig(folds=2), validation), labels


def fingerprints(head: Head, features: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    z = np.clip((features[:, 0].astype(np.float32) - head.mean) / head.scale, -CLIP, CLIP)
    projected: npt.NDArray[np.float32] = z @ head.projection.T + head.bias
    return projected


def test_sources_that_differ_are_told_apart_on_origins_it_has_not_seen() -> None:
    head, labels = fit(10.0)
    assert (head.held_out.argmax(axis=1) == labels).mean() > 0.95
    np.testing.assert_allclose(head.held_out.sum(axis=1), 1, rtol=1e-5)


def test_where_nothing_differs_it_claims_nothing() -> None:
    head, labels = fit(0.0)
    assert (head.held_out.argmax(axis=1) == labels).mean() < 0.5
    assert head.held_out.max(axis=1).mean() < 0.6


def test_a_source_that_is_taken_to_be_more_frequent_is_named_more_often() -> None:
    features, labels, origins, contents = a_world(1.0)
    alike = fit_head(features, SIZES, labels, origins, contents, ALIKE, HeadConfig(folds=2)).held_out
    often = fit_head(features, SIZES, labels, origins, contents, np.array([4, 1, 1], np.float32), HeadConfig(folds=2)).held_out
    odds = often[:, 0] / often[:, 1] / (alike[:, 0] / alike[:, 1])
    np.testing.assert_allclose(odds, 4, rtol=1e-3)
    np.testing.assert_allclose(often[:, 1] / often[:, 2], alike[:, 1] / alike[:, 2], rtol=1e-3)


def test_the_tensors_give_the_scores_that_were_fitted() -> None:
    head, labels = fit(6.0)
    features = a_world(6.0)[0]
    rows = fingerprints(head, features)
    assert rows.shape == (len(labels), FINGERPRINT_DIM)
    assert (rows[:, :3].argmax(axis=1) == labels).mean() > 0.97
    assert np.isfinite(rows.astype(np.float16)).all()
    tensors = head.fingerprint_tensors((Feature("a", "residual", SIZES[0]), Feature("b", "image", SIZES[1])))
    assert {key: value.shape for key, value in tensors.items()} == fingerprint_shapes(
        (Feature("a", "residual", SIZES[0]), Feature("b", "image", SIZES[1]))
    )
    restored = np.concatenate(
        [tensors[f"{key}.projection"].astype(np.float32) * tensors[f"{key}.gain"] for key in ("a.residual", "b.image")], axis=1
    )
    np.testing.assert_allclose(restored, head.projection, rtol=2e-3, atol=1e-3 * np.abs(head.projection).max())
    assert {key: value.shape for key, value in head.attribution_tensors().items()} == attribution_shapes(("a", "b", "c"))


def test_what_is_like_no_source_is_far_from_all() -> None:
    head, _ = fit(6.0)
    strange = a_world(6.0)[0].astype(np.float32)
    strange[:, :, 20:] += 4
    rows = fingerprints(head, strange.astype(np.float16))
    distance = np.square((rows[:, None] - head.centre) @ head.whitening).sum(axis=2).min(axis=1)
    assert (distance > head.decision.novelty_limit).mean() > 0.9
    assert np.nanmean(head.novelty > 1) == pytest.approx(0.05, abs=0.02)


def test_validation_images_set_limits_and_are_never_learned_from() -> None:
    held_out = np.arange(6 * PER_ORIGIN) % 4 == 0
    features, labels, origins, contents = a_world(6.0)
    head = fit_head(features, SIZES, labels, origins, contents, ALIKE, HeadConfig(), held_out)
    assert np.isnan(head.held_out[~held_out]).all()
    assert np.isfinite(head.held_out[held_out]).all()
    shuffled = labels.copy()
    shuffled[held_out] = (labels[held_out] + 1) % 3
    other = fit_head(features, SIZES, shuffled, origins, contents, ALIKE, HeadConfig(), held_out)
    np.testing.assert_array_equal(other.projection, head.projection)
    assert other.decision != head.decision


def test_two_fits_of_one_seed_are_the_same() -> None:
    first, second = fit(2.0)[0], fit(2.0)[0]
    assert first.decision == second.decision
    np.testing.assert_array_equal(first.projection, second.projection)


def test_the_dual_solution_is_the_primal_one() -> None:
    draw = np.random.default_rng(3)
    z = torch.from_numpy(draw.normal(size=(12, 5)))  # six images in two views
    targets = indicators(np.repeat(draw.integers(0, 3, 6), 2), 3).double()
    weights = draw.uniform(0.5, 2, 6).astype(np.float32).astype(np.float64)
    dual = solve(z @ z.T, targets, weights.astype(np.float32), Penalty(0.3, 1.7, 2))
    found = torch.cat([z, torch.ones(12, 1)], dim=1).T @ dual
    design = torch.cat([z, torch.ones(12, 1)], dim=1)
    laplacian = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    block = torch.block_diag(*[weight * (torch.eye(2) + 1.7 * laplacian) for weight in weights]).double()
    primal = torch.linalg.solve(design.T @ block @ design + 0.3 * torch.eye(6), design.T @ block @ targets)
    torch.testing.assert_close(found, primal, rtol=1e-6, atol=1e-8)


def test_strong_invariance_ignores_what_interventions_move() -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    fragile = np.stack([labels * 2.0, draw.normal(size=60)], axis=1)  # says the class, until an intervention takes it away
    stable = labels + draw.normal(0, 0.7, 60)
    z = np.stack([np.stack([fragile[:, view], stable], axis=1) for view in range(2)], axis=1).reshape(120, 2)
    z -= z.mean(axis=0)
    kernel = torch.from_numpy(z @ z.T)
    targets = indicators(np.repeat(labels, 2), 2).double()
    reliance = []
    for strength in (0.0, 100.0):
        direction = z.T @ solve(kernel, targets, np.ones(60, np.float32), Penalty(0.1, strength, 2)).numpy()
        reliance.append(abs(direction[0, 1] / direction[1, 1]))
    assert reliance[1] < 0.2 * reliance[0]


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
    features, labels, origins, contents = a_world(2.0)
    z = standardise(features[:, 0], standard_of(features[:, 0], SIZES), CLIP)
    folds = split_folds(labels, origins, contents, 2, 0)
    changed = labels.copy()
    changed[folds[0]] = 0
    first = held_out_scores(z @ z.T, labels, origins, 3, folds, Penalty(0.1))[folds[0]]
    second = held_out_scores(z @ z.T, changed, origins, 3, folds, Penalty(0.1))[folds[0]]
    np.testing.assert_array_equal(first, second)


def test_the_figures_have_intervals_that_hold_their_value_and_audits_stay_at_chance() -> None:
    head, labels = fit(10.0)
    _, _, origins, contents = a_world(10.0)
    draw = np.random.default_rng(0)
    figures = evaluate_head(head, labels, origins, contents, 0, seed=0)
    figures += audit_shortcuts(
        draw.integers(1000, 9000, len(labels)),
        draw.integers(0, 256, (len(labels), 12)).astype(np.uint8),
        labels,
        origins,
        contents,
        split_folds(labels, origins, contents, 2, 0),
        seed=0,
    )
    by_name = {figure.name: figure for figure in figures}
    assert all(figure.low <= figure.value <= figure.high for figure in figures)
    assert by_name["macro recall"].value > 0.8
    assert by_name["real against generated, AUC"].value > 0.9
    for name in ("shortcut audit: file size alone", "shortcut audit: 16x16 thumbnail"):
        assert by_name[name].value < 0.5
