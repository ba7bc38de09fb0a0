"""Residual statistics: moments, autocorrelation, and co-occurrences of the quantised high-pass residual.

The last as rich models take them (Fridrich & Kodovsky, TIFS 2012; Nataraj et al. 2019).
"""

from __future__ import annotations

import torch
from torch import Tensor

from causalprint.models.lenses.base import Lens
from causalprint.models.lenses.fourier import FLOOR, grey, log_power, power, straight_through

LAGS = 8
MOMENTS = 24
CORRELATIONS = LAGS + LAGS * (2 * LAGS + 1)
LEVELS = 5
TRIPLES = LEVELS**3
COOCCURRENCES = 3 * TRIPLES
SIZE = MOMENTS + CORRELATIONS + COOCCURRENCES


def features(z: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 543): :func:`moments` (24), :func:`autocorrelation` (144) and :func:`cooccurrences` (375)."""
    return torch.cat([moments(z), autocorrelation(z), cooccurrences(z)], dim=1)


def moments(z: Tensor) -> Tensor:
    """Of each channel and of luma of ``z`` (N, 3, H, W), as (N, 24).

    Mean; log10 of the variance; arsinh of skewness and of excess kurtosis; mean of |u| (0.80 for a Gaussian) and share of
    |u| > 3 (0.0027), with u the standardised values.
    """
    values = torch.cat([z, grey(z)], dim=1).flatten(2)
    mean = values.mean(dim=2)
    u = values - mean[..., None]
    variance = u.square().mean(dim=2)
    u = u / (variance + FLOOR).sqrt()[..., None]
    square = u.square()
    parts = [
        mean,
        log_power(variance),
        (square * u).mean(dim=2).asinh(),
        (square.square().mean(dim=2) - 3).asinh(),
        u.abs().mean(dim=2),
        outliers(u),
    ]
    return torch.cat(parts, dim=1)


def outliers(u: Tensor) -> Tensor:
    """Share of |u| > 3 over the last axis. Its gradient is that of a logistic step a quarter wide: the share itself has none."""
    share = (u.square() > 9).float().mean(dim=-1)
    return straight_through(share, ((u.abs() - 3) * 4).sigmoid().mean(dim=-1)) if u.requires_grad else share


def autocorrelation(z: Tensor) -> Tensor:
    """Circular autocorrelation of the luma of ``z`` (N, 3, H, W), as (N, 144), -1 to 1.

    At lags (0, 1 … 8), then (1 … 8, -8 … 8), row by row: a half plane, which holds all there is.
    """
    luma = grey(z)
    luma = luma - luma.mean(dim=(2, 3), keepdim=True)
    spectrum = power(luma)[:, 0]
    covariance = torch.fft.irfft2(spectrum, s=luma.shape[-2:])
    normal = covariance / (covariance[:, :1, :1] + FLOOR)
    first = normal[:, 0, 1 : LAGS + 1]
    others = normal.roll(LAGS, dims=2)[:, 1 : LAGS + 1, : 2 * LAGS + 1]
    return torch.cat([first, others.flatten(1)], dim=1)


def cooccurrences(z: Tensor) -> Tensor:
    """Square roots of the shares of all triples of quantised second differences of ``z`` (N, 3, H, W), as (N, 375), 0 to 1.

    Second differences of luma along rows, three neighbours in a row (125); along columns (125); and of the three channels at
    one place, the sum of both directions (125). Quantised to -2 … 2 in steps of their own mean absolute value, so that the
    figures tell the shape of the texture and not its strength. Square roots, so that Euclidean distance is Hellinger's.

    Where ``z`` requires gradients, the shares, which have none, take those of :func:`soft_shares`.
    """
    luma = grey(z)[:, 0]
    along = in_steps(luma.diff(n=2, dim=2))
    down = in_steps(luma.diff(n=2, dim=1))
    both = in_steps(z.diff(n=2, dim=3)[:, :, 1:-1] + z.diff(n=2, dim=2)[:, :, :, 1:-1])
    triples = (
        (along[:, :, :-2], along[:, :, 1:-1], along[:, :, 2:]),
        (down[:, :-2], down[:, 1:-1], down[:, 2:]),
        (both[:, 0], both[:, 1], both[:, 2]),
    )
    return torch.cat([_root_shares(triple) for triple in triples], dim=1)


def in_steps(values: Tensor) -> Tensor:
    """``values`` (N, …) in steps of their mean absolute value."""
    step = values.abs().flatten(1).mean(dim=1) + FLOOR
    return values / step.view(-1, *[1] * (values.dim() - 1))


def quantised(values: Tensor) -> Tensor:
    """``values`` rounded and clipped to -2 … 2, as whole numbers 0 … 4."""
    return values.round().clamp(-2, 2).long() + 2


def shares(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """Shares of the 125 triples of whole numbers 0 … 4, (N, H, W) each, as (N, 125)."""
    code = ((first * LEVELS + second) * LEVELS + third).flatten(1)
    image = torch.arange(code.shape[0], device=code.device)[:, None] * TRIPLES
    counts = torch.bincount((code + image).flatten(), minlength=code.shape[0] * TRIPLES)
    return counts.view(-1, TRIPLES) / code.shape[1]


def soft_shares(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """Shares of the 125 triples, (N, H, W) each and not rounded, as (N, 125), each value divided between its two neighbours.

    A triangular kernel: what :func:`shares` would give on average if uniform noise one step wide were added before rounding.
    """
    levels = torch.arange(LEVELS, device=first.device) - 2
    weights = [(1 - (values.clamp(-2, 2).flatten(1)[..., None] - levels).abs()).relu() for values in (first, second, third)]
    pairs = (weights[0][..., :, None] * weights[1][..., None, :]).flatten(2)
    return (pairs.transpose(1, 2) @ weights[2]).flatten(1) / pairs.shape[1]


def _root_shares(triple: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    first, second, third = triple
    hard = shares(quantised(first), quantised(second), quantised(third))
    if not first.requires_grad:
        return hard.sqrt()
    # The root's slope is that at the true share, of which one more pixel keeps it finite.
    slope = 0.5 / (hard + 1 / first[0].numel()).sqrt()
    return straight_through(hard.sqrt(), slope * soft_shares(first, second, third))


def kurtosis(z: Tensor) -> Tensor:
    """``stats_kurtosis``: excess kurtosis of all values of ``z`` (N, 3, H, W) together, as (N,): 0 for a Gaussian.

    0 as well where their standard deviation is below 1e-5, since rounding alone would be measured.
    """
    values = z.flatten(1)
    square = (values - values.mean(dim=1, keepdim=True)).square()
    variance = square.mean(dim=1)
    excess = (square / (variance[:, None] + FLOOR)).square().mean(dim=1) - 3
    return torch.where(variance > FLOOR, excess, torch.zeros_like(excess))


STATS = Lens("stats", SIZE, features, {"stats_kurtosis": kurtosis})
