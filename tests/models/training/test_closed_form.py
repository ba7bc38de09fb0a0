"""Where ours begins is ridge regression: against a plain solution of the same problem, and what invariance does to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from causalprint.models.network.fusion import FingerprintNetwork
from causalprint.models.training.closed_form import (
    COMPONENT_GAIN,
    DOUBT,
    SCORE_GAIN,
    ClosedForm,
    Penalty,
    closed_form,
    start_from,
)
from causalprint.models.training.sample import Sample
from causalprint.schemas.tables import FINGERPRINT_DIM

CLASSES = 3
SIZES = [2, 3]


def a_sample(values: Tensor, labels: Tensor, weights: Tensor, sizes: list[int]) -> Sample:
    """Images of components (N, V, C); their style and content are of no interest here."""
    count, versions, _ = values.shape
    nothing = torch.zeros(count, dtype=torch.long)
    style, content = torch.zeros(count, versions, 9), torch.zeros(count, 32)
    return Sample(values.split(sizes, dim=2), labels, nothing, nothing, -(labels > 0).long(), style, content, weights)


def some(versions: int, seed: int = 3) -> Sample:
    draw = np.random.default_rng(seed)
    values = torch.from_numpy(draw.normal(size=(8, versions, 5)).astype(np.float32))
    labels = torch.from_numpy(draw.integers(0, CLASSES, 8))
    return a_sample(values, labels, torch.from_numpy(draw.uniform(0.5, 2, 8).astype(np.float32)), SIZES)


def scores_of(form: ClosedForm, values: Tensor) -> Tensor:
    return (values @ form.directions[:CLASSES].T + form.offset[:CLASSES]) / SCORE_GAIN


def scaled(sample: Sample) -> Tensor:
    """Components (N, V, C) of all lenses, their squares summing to 1 on average, as the ridge is measured."""
    joined = torch.cat(sample.lenses, dim=2)
    return joined / joined.square().sum(dim=2).mean().sqrt()


@pytest.mark.parametrize("strength", [0.0, 1.7])
def test_it_is_the_plain_primal_solution(strength: float) -> None:
    sample = some(versions=2)
    flat = scaled(sample).flatten(0, 1).double()
    design = torch.cat([flat, torch.ones(len(flat), 1)], dim=1)
    targets = functional.one_hot(sample.labels, CLASSES).repeat_interleave(2, dim=0).double() - 1 / CLASSES
    apart = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    block = torch.block_diag(*[float(weight) * (torch.eye(2) + strength * apart) for weight in sample.weights]).double()
    plain = torch.linalg.solve(design.T @ block @ design + 0.3 * torch.eye(6), design.T @ block @ targets)
    found = scores_of(closed_form(sample, CLASSES, Penalty(0.3, strength)), torch.cat(sample.lenses, dim=2).flatten(0, 1))
    torch.testing.assert_close(found, (design @ plain).float(), rtol=1e-4, atol=1e-5)


def test_strong_invariance_ignores_what_interventions_move() -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    fragile = np.stack([labels * 2.0, draw.normal(size=60)], axis=1)  # says the class, until an intervention takes it away
    stable = np.repeat((labels + draw.normal(0, 0.7, 60))[:, None], 2, axis=1)
    values = torch.from_numpy(np.stack([fragile, stable], axis=2).astype(np.float32))
    sample = a_sample(values - values.mean(dim=(0, 1)), torch.from_numpy(labels), torch.ones(60), [1, 1])
    reliance = []
    for strength in (0.0, 100.0):
        directions = closed_form(sample, 2, Penalty(0.1, strength)).directions[0]
        reliance.append(float((directions[0] / directions[1]).abs()))
    assert reliance[1] < 0.2 * reliance[0]


def test_a_strong_penalty_between_origins_ignores_what_is_a_collections_history() -> None:
    draw = np.random.default_rng(0)
    labels, origins = np.repeat([0, 1], 1500), np.tile([0, 1, 2], 1000)
    history = labels * 2.0 + 3 * (origins - 1) * np.where(labels, 1, -1)  # says the class as well, and more of the origin
    stable = labels + draw.normal(0, 0.7, 3000)
    values = torch.from_numpy(np.stack([history, stable], axis=1)[:, None].astype(np.float32))
    sample = a_sample(values - values.mean(dim=(0, 1)), torch.from_numpy(labels), torch.ones(3000), [1, 1])
    sample = replace(sample, origins=torch.from_numpy(origins + 3 * labels))
    reliance = []
    for strength in (0.0, 1000.0):
        form = closed_form(sample, 2, Penalty(0.1, between=strength))
        reliance.append([float((row[0] / row[1]).abs()) for row in form.directions[:2]])
    assert (np.array(reliance[1]) < 0.2 * np.array(reliance[0])).all()


def test_the_penalty_between_origins_is_the_one_that_is_written_down() -> None:
    sample = replace(
        some(versions=2), labels=torch.tensor([0, 0, 0, 0, 1, 1, 2, 2]), origins=torch.tensor([0, 0, 1, 2, 3, 4, 5, 5])
    )
    flat = scaled(sample).flatten(0, 1).double()
    design = torch.cat([flat, torch.ones(len(flat), 1)], dim=1)
    targets = functional.one_hot(sample.labels, CLASSES).repeat_interleave(2, dim=0).double() - 1 / CLASSES
    block = torch.diag(sample.weights.repeat_interleave(2).double())
    means = scaled(sample).mean(dim=1).double()
    penalty = torch.zeros(6, 6, dtype=torch.float64)
    for label, groups in ((0, [[0, 1], [2], [3]]), (1, [[4], [5]])):
        centres = torch.stack([means[rows].mean(dim=0) for rows in groups])
        offsets = centres - centres.mean(dim=0)
        weight = 2 * float(sample.weights[sample.labels == label].sum())  # two versions
        penalty[:5, :5] += 0.8 * weight * offsets.T @ offsets / len(groups)
    plain = torch.linalg.solve(design.T @ block @ design + 0.3 * torch.eye(6) + penalty, design.T @ block @ targets)
    found = scores_of(closed_form(sample, CLASSES, Penalty(0.3, between=0.8)), torch.cat(sample.lenses, dim=2).flatten(0, 1))
    torch.testing.assert_close(found, (design @ plain).float(), rtol=1e-4, atol=1e-5)


def test_what_is_no_score_and_no_discriminant_are_uncorrelated_components_of_one_spread() -> None:
    sample = some(versions=1)
    form = closed_form(sample, CLASSES, Penalty(0.3))
    assert form.directions.shape == (FINGERPRINT_DIM, sum(SIZES))
    first = 2 * CLASSES
    others = torch.cat(sample.lenses, dim=2)[:, 0] @ form.directions[first:].T + form.offset[first:]
    covariance = others.T @ others / len(others)
    expected = torch.zeros_like(covariance)
    expected[range(sum(SIZES)), range(sum(SIZES))] = COMPONENT_GAIN**2
    torch.testing.assert_close(covariance, expected, rtol=1e-3, atol=1e-4)


def test_discriminants_tell_by_images_as_they_are_what_scores_give_up_for_invariance() -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    fine = labels[:, None] * 1.0 + draw.normal(0, 0.05, (120, 2))
    fine[:, 1] = draw.normal(0, 1, 120)  # an intervention takes it away
    values = np.stack([fine, draw.normal(0, 1, (120, 2))], axis=2).astype(np.float32)
    tensor = torch.from_numpy(values - values.mean(axis=(0, 1)))
    form = closed_form(a_sample(tensor, torch.from_numpy(labels), torch.ones(120), [1, 1]), 3, Penalty(0.1, 100.0))
    found = tensor[:, 0] @ form.directions[4:6].T + form.offset[4:6]
    centres = torch.stack([found[labels == label].mean(dim=0) for label in range(3)])
    assert (torch.cdist(found, centres).argmin(dim=1).numpy() == labels).mean() > 0.9


def test_beside_each_rival_the_detector_is_a_regression_in_which_generated_images_weigh_half() -> None:
    """An origin weighs the root of its images; the fewer origins a rival has, the larger is the score beside it."""
    labels, origins = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2]), torch.tensor([0, 0, 1, 2, 2, 3, 3, 4])
    sample = replace(some(versions=1), labels=labels, origins=origins, rival=torch.tensor([0, 0, 0, 1, 1, -1, -1, -1]))
    form = closed_form(sample, CLASSES, Penalty(9.0, between=20.0, detector=0.3))
    components = torch.cat(sample.lenses, dim=2)[:, 0]
    design = torch.cat([scaled(sample)[:, 0].double(), torch.ones(8, 1)], dim=1)
    root = torch.tensor([2, 2, 1, 2, 2, 2, 2, 1]).double().rsqrt()
    for rival, own in ((0, 2), (1, 1)):
        asked = (labels == rival) | sample.generated
        half = [root * part / (root * part).sum() for part in (labels == rival, sample.generated)]
        rows, weights = design[asked], (half[0] + half[1])[asked] * asked.sum() / 2
        right = rows.T @ (weights * (sample.generated[asked].double() - 0.5))
        plain = torch.linalg.solve(rows.T @ torch.diag(weights) @ rows + 0.3 * torch.eye(6), right)
        found = components @ form.directions[CLASSES + rival] + form.offset[CLASSES + rival]
        torch.testing.assert_close(found / SCORE_GAIN, (design @ plain + DOUBT / own**0.5).float(), rtol=1e-4, atol=1e-5)


def test_a_network_that_begins_from_it_gives_it() -> None:
    sample = some(versions=1)
    form = closed_form(sample, CLASSES, Penalty(0.3))
    network = FingerprintNetwork(SIZES, "f0", autoencoder=False)
    start_from(network, form, SIZES)
    lenses = [lens[:, 0] for lens in sample.lenses]
    expected = torch.cat(lenses, dim=1) @ form.directions.T + form.offset
    torch.testing.assert_close(network(lenses).fingerprint, expected, rtol=1e-4, atol=1e-5)
