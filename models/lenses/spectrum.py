"""Power spectra and the scale they are read on; shared by the lenses."""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 1e-10
"""Power per pixel that counts as nothing: far below the rounding to 8 bits (1/255² / 12 = 1.3e-6), far above float32's own."""


def grey(z: Tensor) -> Tensor:
    """BT.601 luma of ``z`` (N, 3, H, W) as (N, 1, H, W): the Y of JPEG."""
    return 0.299 * z[:, :1] + 0.587 * z[:, 1:2] + 0.114 * z[:, 2:]


def power(z: Tensor) -> Tensor:
    """Periodogram |FFT z|² / (H·W) of ``z`` (N, C, H, W) over the half plane, as (N, C, H, W // 2 + 1), not windowed.

    White noise of variance s² has the expectation s² at every frequency; a constant c has H·W·c² at frequency 0. Row i
    holds i / H cycles per pixel (from H/2 on: i / H - 1), column j holds j / W.
    """
    return square_norm(torch.fft.rfft2(z)) / (z.shape[-2] * z.shape[-1])


def straight_through(value: Tensor, stand_in: Tensor) -> Tensor:
    """``value``, up to float rounding, with the gradient of ``stand_in`` (Bengio et al., arXiv 1308.3432), both of one shape."""
    return stand_in + (value - stand_in).detach()


def square_norm(spectrum: Tensor) -> Tensor:
    """|F|² of a complex tensor, without the square root that ``abs`` would take."""
    parts = torch.view_as_real(spectrum)
    return parts[..., 0].square() + parts[..., 1].square()


def log_power(values: Tensor) -> Tensor:
    """log10 of a power, in decades, from -10."""
    return (values + FLOOR).log10()
