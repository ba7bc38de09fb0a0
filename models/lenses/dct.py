"""DCT: cosine transforms of the whole image and of its 8x8 blocks (Frank et al., ICML 2020, use log |DCT-II|)."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from causalprint.models.lenses.base import Lens
from causalprint.models.lenses.fourier import FLOOR, grey, log_power

BLOCK = 8
GRID = 64
SIZE = GRID * GRID + 4 * BLOCK * BLOCK


def features(z: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 4352), log10 of power.

    The orthonormal DCT-II of the whole luma, its power pooled to 64x64 cells (4,096; row and column 0 the lowest, of 0 to 0.5
    cycles per pixel); then of the 8x8 blocks from the top left the mean power of each coefficient of each channel (192), and
    for luma log10 of mean |c|² over mean c² (64), which tells how sparse it is: -0.20 where it is Gaussian, -0.30 where it is
    Laplacian, less where quantisation has set most of it to zero.
    """
    luma = grey(z)
    whole = cosines(z.shape[-2], z.device) @ luma @ cosines(z.shape[-1], z.device).T
    cells = adaptive_avg_pool2d(whole.square(), (GRID, GRID))
    energy = block_coefficients(z).square().mean(dim=(2, 4))
    luma_blocks = block_coefficients(luma)
    sparsity = luma_blocks.abs().mean(dim=(2, 4)).square() + FLOOR
    sparsity = sparsity / (luma_blocks.square().mean(dim=(2, 4)) + FLOOR)
    parts = [log_power(cells), log_power(energy), sparsity.log10()]
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def block_coefficients(z: Tensor) -> Tensor:
    """Orthonormal DCT-II of the 8x8 blocks of ``z`` (N, C, H, W), as (N, C, H // 8, 8, W // 8, 8)."""
    rows, columns = z.shape[-2] // BLOCK, z.shape[-1] // BLOCK
    basis = cosines(BLOCK, z.device)
    blocks = z[..., : rows * BLOCK, : columns * BLOCK].unflatten(-1, (columns, BLOCK)).unflatten(-3, (rows, BLOCK))
    return torch.einsum("ku,ncaubv,lv->ncakbl", basis, blocks, basis)


def blockiness(z: Tensor) -> Tensor:
    """``dct_blockiness`` of ``z`` (N, 3, H, W), as (N,): 1 where 8x8 blocks, counted from the top left, leave no trace.

    Mean square of the differences between neighbours across block edges over that of neighbours inside blocks.
    """
    steps = (z.diff(dim=2).square().mean(dim=(1, 3)), z.diff(dim=3).square().mean(dim=(1, 2)))  # (N, H - 1), (N, W - 1)
    across = torch.stack([step[:, BLOCK - 1 :: BLOCK].mean(dim=1) for step in steps]).mean(dim=0)
    within = torch.stack([step[:, _inside(step)].mean(dim=1) for step in steps]).mean(dim=0)
    return (across + FLOOR) / (within + FLOOR)


def _inside(step: Tensor) -> Tensor:
    return torch.arange(1, step.shape[1] + 1, device=step.device) % BLOCK != 0


@lru_cache(maxsize=8)
@torch.inference_mode(mode=False)  # so that a cached matrix also serves where gradients are taken
def cosines(length: int, device: torch.device) -> Tensor:
    """Orthonormal DCT-II basis, (length, length): row k holds frequency k / (2·length) cycles per pixel. Not to be written to."""
    place = torch.arange(length, dtype=torch.float64)
    basis = (torch.outer(place, 2 * place + 1) * (math.pi / (2 * length))).cos() * math.sqrt(2 / length)
    basis[0] /= math.sqrt(2)
    return basis.to(device, torch.float32)


DCT = Lens("dct", SIZE, features, {"dct_blockiness": blockiness})
