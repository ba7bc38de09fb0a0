"""Each term of the objective is least where it says that it is, and pulls where it says that it pulls."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from causalprint.models.training.objectives import contrast, divergence, independence, invariance, reversed_gradient
from causalprint.schemas.tables import FINGERPRINT_DIM

LABELS = torch.tensor([0, 0, 0, 1, 1, 1])
APART = torch.arange(6)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def clusters(labels: Tensor) -> Tensor:
    return torch.eye(FINGERPRINT_DIM)[labels]


def test_contrast_is_least_where_sources_cluster() -> None:
    clustered = contrast(clusters(LABELS), LABELS, APART, APART, 1.0)
    scattered = contrast(noise(6, FINGERPRINT_DIM), LABELS, APART, APART, 1.0)
    confused = contrast(clusters(LABELS[[0, 3, 1, 4, 2, 5]]), LABELS, APART, APART, 1.0)
    assert clustered < scattered < confused


def test_contrast_is_the_published_loss_where_no_pair_is_hard() -> None:
    rows = torch.nn.functional.normalize(noise(6, FINGERPRINT_DIM), dim=1)
    similar = (rows @ rows.T / 0.1).fill_diagonal_(-torch.inf)
    log_shares = similar.log_softmax(dim=1)
    positives = (LABELS[:, None] == LABELS) & ~torch.eye(6, dtype=torch.bool)
    expected = -(log_shares.masked_fill(~positives, 0).sum(dim=1) / positives.sum(dim=1)).mean()
    torch.testing.assert_close(contrast(rows, LABELS, APART, APART, 1.0), expected)


def test_a_hard_negative_is_pushed_further() -> None:
    rows, contents = noise(6, FINGERPRINT_DIM), torch.tensor([0, 1, 2, 0, 3, 4])  # images 0 and 3 show the same

    def push(hard: float, other: int) -> float:
        values = rows.clone().requires_grad_()
        contrast(values, LABELS, torch.zeros(6), contents, hard).backward()
        assert values.grad is not None
        unit = torch.nn.functional.normalize(rows, dim=1)
        return float(values.grad[0] @ unit[other])  # how fast descent moves image 0 away from the other

    assert push(10.0, 3) > push(1.0, 3)
    assert contrast(rows, LABELS, torch.zeros(6), contents, 10.0) > contrast(rows, LABELS, torch.zeros(6), contents, 1.0)


def test_a_positive_of_another_origin_counts_for_more() -> None:
    labels, origins = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 2])
    near_own = torch.stack([torch.eye(FINGERPRINT_DIM)[axis] for axis in (0, 0, 1, 2)])
    even, hard = (contrast(near_own, labels, origins, torch.arange(4), weight) for weight in (1.0, 4.0))
    assert hard > even


def test_a_source_of_one_image_has_nothing_to_be_near_to() -> None:
    assert float(contrast(noise(3, FINGERPRINT_DIM), torch.arange(3), torch.arange(3), torch.arange(3), 2.0)) == 0


def test_invariance_is_nought_only_where_versions_agree() -> None:
    image = noise(8, 1, FINGERPRINT_DIM)
    assert float(invariance(image.expand(-1, 3, -1))) == pytest.approx(0, abs=1e-9)
    moved = invariance(image + 0.1 * noise(8, 3, FINGERPRINT_DIM, seed=1))
    assert 0 < moved < invariance(image + noise(8, 3, FINGERPRINT_DIM, seed=1)) < 1
    assert float(invariance(10 * image + noise(8, 3, FINGERPRINT_DIM, seed=1))) == pytest.approx(float(moved), rel=1e-3)


def test_independence_is_nought_for_codes_of_their_own_and_one_for_a_copy() -> None:
    labels = torch.zeros(4000, dtype=torch.long)
    rows, codes = noise(4000, 3), noise(4000, 2, seed=1)
    assert float(independence(rows, codes, labels)) < 0.01
    assert float(independence(rows, 7 * rows, labels)) == pytest.approx(1, abs=1e-3)
    assert 0.1 < float(independence(torch.cat([rows, codes], dim=1), codes, labels)) < 0.9


def test_content_that_a_source_prefers_is_no_fault_of_the_fingerprint() -> None:
    labels = torch.arange(4000) % 2
    preferred = labels[:, None] * 10.0
    rows, codes = noise(4000, 3) + preferred, noise(4000, 2, seed=1) + preferred
    assert float(independence(rows, codes, labels)) < 0.01
    assert float(independence(rows, codes, torch.zeros_like(labels))) > 0.5


def test_divergence_is_nought_for_the_standard_normal_alone() -> None:
    nought = torch.zeros(5, 64)
    assert float(divergence(nought, nought)) == 0
    for mean, spread in ((nought + 0.5, nought), (nought, nought + 0.5), (nought, nought - 0.5)):
        expected = torch.distributions.kl_divergence(
            torch.distributions.Normal(mean, (spread / 2).exp()), torch.distributions.Normal(nought, 1.0)
        ).mean()
        torch.testing.assert_close(divergence(mean, spread), expected)
        assert expected > 0


def test_a_reversed_gradient_is_reversed_and_the_values_are_not() -> None:
    values = noise(4, 3).requires_grad_()
    seen = reversed_gradient(values)
    assert torch.equal(seen, values)
    (seen * torch.arange(3.0)).sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, -torch.arange(3.0).expand(4, 3))
