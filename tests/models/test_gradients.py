"""The path from pixels to scores can be differentiated, and computes what is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import Bundle
from causalprint.models.features import FeatureExtractor, GradientError, feature
from causalprint.models.fingerprint import Fingerprinter
from causalprint.models.lenses import LENSES
from causalprint.models.lenses.stats import cooccurrences, outliers, quantised, shares, soft_shares
from causalprint.models.residuals.base import Reconstruction, subtract
from causalprint.schemas.model_spec import ResidualSpec
from tests.bundles import photograph


@pytest.fixture(scope="module")
def fingerprinter(bundle: Bundle) -> Fingerprinter:
    return Fingerprinter(bundle, "cpu")


def images(*seeds: int) -> Tensor:
    """(N, 3, 256, 256), 0 to 1."""
    return torch.tensor(np.stack([photograph(seed) for seed in seeds])).permute(0, 3, 1, 2) / 255


def test_what_is_embedded_is_what_a_call_stores(fingerprinter: Fingerprinter) -> None:
    stored = fingerprinter(photograph(1)[None]).fingerprint
    for x in (images(1), images(1).requires_grad_()):
        embedded = fingerprinter.embed(x)
        assert embedded.requires_grad == x.requires_grad
        np.testing.assert_allclose(embedded.detach().numpy(), stored.astype(np.float32), rtol=1e-3, atol=1e-3)


def test_scores_are_those_of_the_verdict(bundle: Bundle, fingerprinter: Fingerprinter) -> None:
    attributor = Attributor(bundle)
    embedded = fingerprinter.embed(images(3, 4))
    for row, fingerprint in enumerate(embedded.numpy()):
        shares_of_sources = attributor.scores(embedded)[row].softmax(dim=0)
        np.testing.assert_allclose(shares_of_sources.numpy(), attributor.chances(fingerprint).sources, atol=1e-4)


def uphill(function: Callable[[Tensor], Tensor], x: Tensor, step: float) -> tuple[float, float]:
    """Derivative of a scalar function along its gradient (root mean square 1): stated, and by central difference."""
    traced = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(traced), traced)
    direction = gradient / gradient.square().mean().sqrt()
    difference = function(x + step * direction) - function(x - step * direction)
    return float((gradient * direction).sum()), float(difference) / (2 * step)


@pytest.mark.parametrize("name", ["rgb", "dft", "dct", "qft", "radial"])
def test_gradients_of_smooth_lenses_are_finite_differences(name: str) -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.rand((1, 3, 192, 192), generator=draw)
    weights = torch.randn(LENSES[name].size, generator=draw)
    # Logarithms of faint powers bend sharply, so the step is small; along the gradient the difference still exceeds rounding.
    stated, measured = uphill(lambda z: (LENSES[name].apply(z) @ weights).sum(), x, 3e-6)
    assert stated == pytest.approx(measured, rel=0.05)


def test_gradients_through_the_residual_are_finite_differences(fingerprinter: Fingerprinter) -> None:
    def energy(z: Tensor) -> Tensor:
        return fingerprinter._extract.residual(z).residual.square().sum()

    stated, measured = uphill(energy, images(5), 1e-5)
    assert stated == pytest.approx(measured, rel=0.05)


def test_soft_shares_are_the_mean_of_dithered_counts() -> None:
    draw = torch.Generator().manual_seed(0)
    triple = [2 * torch.randn((1, 40, 40), generator=draw).clamp(-1, 1) for _ in range(3)]
    counts = torch.zeros((1, 125))
    for _ in range(200):
        dithered = [quantised(each.clamp(-2, 2) + torch.rand(each.shape, generator=draw) - 0.5) for each in triple]
        counts += shares(dithered[0], dithered[1], dithered[2]) / 200
    torch.testing.assert_close(soft_shares(triple[0], triple[1], triple[2]), counts, rtol=0, atol=1e-3)


@pytest.mark.parametrize("count", [cooccurrences, lambda z: outliers((z / z.std()).flatten(1))], ids=["triples", "outliers"])
def test_counts_follow_their_soft_gradient(count: Callable[[Tensor], Tensor]) -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn((1, 3, 64, 64), generator=draw).requires_grad_()
    before = count(x)
    torch.testing.assert_close(before.detach(), count(x.detach()))
    weights = torch.randn(before.shape, generator=draw)
    (gradient,) = torch.autograd.grad((before * weights).sum(), x)
    assert gradient.isfinite().all()
    moved = x.detach() + 0.1 * gradient / gradient.square().mean().sqrt()
    assert (count(moved) * weights).sum() > (before * weights).sum() + 1e-3


def test_a_flat_crop_has_a_constant_fingerprint(fingerprinter: Fingerprinter) -> None:
    x = torch.full((1, 3, 256, 256), 0.5).requires_grad_()
    (gradient,) = torch.autograd.grad(fingerprinter.embed(x).sum(), x)
    assert not gradient.any()


class Foreign:
    """A residual computed outside torch, as another runtime's is."""

    spec = ResidualSpec("autoencoder", "elsewhere")
    digests: Mapping[str, str] = {}

    def __call__(self, x: Tensor) -> Reconstruction:
        return subtract(x, torch.from_numpy(x.detach().numpy() / 2))


def test_what_gives_no_gradient_is_named(bundle: Bundle) -> None:
    extractor = FeatureExtractor(bundle.residual, [feature("dct", "residual")], torch.device("cpu"), "the test")
    extractor.residual = Foreign()
    x = images(6)
    assert extractor.read(x, extractor.residual(x))[0].shape == (1, LENSES["dct"].size)
    x.requires_grad_()
    with pytest.raises(GradientError, match=r"autoencoder:elsewhere.*cannot be differentiated"):
        extractor.read(x, extractor.residual(x))
