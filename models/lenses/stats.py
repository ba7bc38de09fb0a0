"""Residual statistics: moments, autocorrelation and co-occurrences."""

from __future__ import annotations

import torch
from torch import Tensor

from causalprint.models.lenses.base import Lens
from causalprint.models.lenses.cooccurrence import COOCCURRENCES, cooccurrences
from causalprint.models.lenses.spectrum import FLOOR, grey, log_power, power, straight_through

LAGS = 8
MOMENTS = 24
CORRELATIONS = LAGS + LAGS * (2 * LAGS + 1)
SIZE = MOMENTS + CORRELATIONS + COOCCURRENCES


def features(z: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 543): :func:`moments` (24), :func:`autocorrelation` (144) and co-occurrences (375)."""
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


def kurtosis(z: Tensor) -> Tensor:
    """``stats_kurtosis``: excess kurtosis of all values of ``z`` (N, 3, H, W) together, as (N,): 0 for a Gaussian.

    0 as well where their standard deviation is below 1e-5, since rounding alone would be measured.
    """
    values = z.flatten(1)
    square = (values - values.mean(dim=1, keepdim=True)).square()
    variance = square.mean(dim=1)
    excess = (square / (variance[:, None] + FLOOR)).square().mean(dim=1) - 3
    return torch.where(variance > FLOOR, excess, torch.zeros_like(excess))


STATS = Lens("stats", SIZE, features, "stats_kurtosis", kurtosis)
