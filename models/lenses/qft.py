"""QFT: the lowest frequencies of the grey spectrum, 1,024-d (arXiv 2509.15406, which leaves the scale open: log power here)."""

from __future__ import annotations

import torch
from torch import Tensor

from causalprint.models.lenses.base import Lens
from causalprint.models.lenses.spectrum import FLOOR, grey, log_power, power

LOWEST = 32


def block(z: Tensor) -> Tensor:
    """Power of the 32x32 lowest frequencies of the luma of ``z`` (N, 3, H, W), as (N, 32, 32), each axis from -16 to 15.

    Power is the same at k and -k, so the block has about 528 different values; it is kept whole, as the paper has it.
    """
    half = LOWEST // 2
    spectrum = power(grey(z))[:, 0]
    right = spectrum[:, :, : half + 1].roll(half, dims=1)[:, : LOWEST + 1]  # rows -16 … 16, columns 0 … 16
    left = right.flip((1, 2))[:, :, :half]  # columns -16 … -1: the mirror image
    return torch.cat([left, right], dim=2)[:, :LOWEST, :LOWEST]


def features(z: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 1024): :func:`block` as log10 of power."""
    return log_power(block(z)).flatten(1)


def share(z: Tensor) -> Tensor:
    """``qft_share``: energy of the luma of ``z`` (N, 3, H, W) in :func:`block` over all of it, as (N,); 0 for black."""
    total = grey(z).square().sum(dim=(1, 2, 3))
    return block(z).sum(dim=(1, 2)) / (total + FLOOR)


QFT = Lens("qft", LOWEST * LOWEST, features, "qft_share", share)
