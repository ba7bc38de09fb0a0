"""RGB: the residual itself, folded. What repeats with a decoder's pixel grid survives the mean over tiles; content does not."""

from __future__ import annotations

import torch
from torch import Tensor

from causalprint.models.lenses.base import Lens
from causalprint.models.lenses.fourier import FLOOR, log_power, square_norm

TILE = 8
SIZE = 3 * TILE * TILE + 3 * TILE * (TILE // 2 + 1) + 9


def mean_tile(z: Tensor) -> Tensor:
    """Mean over all 8x8 tiles of ``z`` (N, 3, H, W), as (N, 3, 8, 8). What is beyond the last whole tile is left out."""
    rows, columns = z.shape[-2] // TILE, z.shape[-1] // TILE
    whole = z[..., : rows * TILE, : columns * TILE]
    tiles: Tensor = whole.unflatten(-1, (columns, TILE)).unflatten(-3, (rows, TILE))
    return tiles.mean(dim=(2, 4))


def features(z: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 321).

    The mean tile in units of the channel's own standard deviation (192); its log power spectrum, which does not move with
    the crop's place on the grid (120); then of each channel the mean and the log variance, and of each pair of channels the
    correlation (9).
    """
    tile = mean_tile(z)
    mean = z.mean(dim=(2, 3))
    centred = (z - mean[..., None, None]).flatten(2)
    covariance = centred @ centred.transpose(1, 2) / centred.shape[-1]
    variance = covariance.diagonal(dim1=1, dim2=2)
    deviation = (variance + FLOOR).sqrt()
    correlation = covariance / (deviation[:, :, None] * deviation[:, None, :])
    pairs = correlation[:, (0, 0, 1), (1, 2, 2)]
    ripple = (tile - mean[..., None, None]) / deviation[..., None, None]
    lines = log_power(square_norm(torch.fft.rfft2(ripple)) / TILE**2)
    return torch.cat([ripple.flatten(1), lines.flatten(1), mean, log_power(variance), pairs], dim=1)


def bias(z: Tensor) -> Tensor:
    """``rgb_bias``: root mean square of the mean tile of ``z`` (N, 3, H, W), as (N,), in units of ``z``."""
    return mean_tile(z).square().mean(dim=(1, 2, 3)).sqrt()


RGB = Lens("rgb", SIZE, features, {"rgb_bias": bias})
