"""DFT: the power spectrum of each channel. Upsampling leaves copies of it, and lines at fractions of the sampling rate."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from causalprint.models.lenses.base import Lens
from causalprint.models.lenses.spectrum import FLOOR, log_power, power

ROWS = 16
COLUMNS = 8
PERIOD = 8
SIZE = 3 * ROWS * COLUMNS + PERIOD * (PERIOD // 2 + 1)


def features(z: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 424), log10 of power.

    Mean power of each channel on a 16x8 grid over the half plane, rows from -0.5 to 0.5 and columns from 0 to 0.5 cycles per
    pixel (384); then the power of the lines that have period 8 in both directions, (i/8, j/8) with i = 0 … 7 and j = 0 … 4,
    mean of the channels (40). Rows and columns beyond a multiple of 8 are left out, so that those lines fall on single bins.
    """
    height, width = z.shape[-2] // PERIOD * PERIOD, z.shape[-1] // PERIOD * PERIOD
    spectrum = power(z[..., :height, :width])
    grid = adaptive_avg_pool2d(spectrum.roll(height // 2, dims=-2), (ROWS, COLUMNS))
    lines = spectrum[..., :: height // PERIOD, :: width // PERIOD].mean(dim=1)
    return torch.cat([log_power(grid).flatten(1), log_power(lines).flatten(1)], dim=1)


def peak(z: Tensor) -> Tensor:
    """``dft_peak``: strongest line of the spectrum of ``z`` (N, 3, H, W), mean of the channels, over its median; (N,), in dB.

    The mean of the image is no line. White noise alone has about 6 dB at 256x256, since the largest of many bins is meant.
    """
    spectrum = power(z).mean(dim=1).flatten(1)[:, 1:]
    return 10 * ((spectrum.amax(dim=1) + FLOOR) / (spectrum.median(dim=1).values + FLOOR)).log10()


DFT = Lens("dft", SIZE, features, "dft_peak", peak)
