"""Mean power spectra of residuals, a source each: where a generator's upsampling leaves its lines."""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np
import numpy.typing as npt
import torch

from causalprint.models.lenses.fourier import FLOOR, grey
from causalprint.models.residuals import load_residual

PER_SOURCE = 24
SIDE = 64


def residual_spectra(
    residual: str, device: torch.device, crops: npt.NDArray[np.uint8], source: npt.NDArray[np.str_], pool: Executor
) -> dict[str, npt.NDArray[np.float64]]:
    """The mean periodogram of the residuals' luma, by source, in decibels.

    Args:
        residual: its spec.
        device: where it is computed, one image at a time.
        crops: uint8 (N, C, C, 3).
        source: (N,); of each one :data:`PER_SOURCE` images, evenly taken, are computed.
        pool: the threads that compute.

    Returns:
        (S, S) with S = 64, or C where that is less, frequency 0 in the middle; a cell is the largest power in it, so that
        lines stay visible.

    Raises:
        ResidualError: the residual cannot be loaded.
    """
    model = load_residual(residual, device)

    def periodogram(number: int) -> npt.NDArray[np.float64]:
        with torch.inference_mode():
            x = torch.tensor(crops[number][None], device=device).permute(0, 3, 1, 2).float().div(255)
            luma = grey(model(x).residual)[0, 0]
            spectrum = torch.fft.fftshift(torch.fft.fft2(luma).abs().square()) / luma.numel()
        return np.asarray(spectrum.cpu().numpy(), np.float64)

    found = {}
    for name in np.unique(source).tolist():
        rows = np.flatnonzero(source == name)
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), PER_SOURCE)).astype(int))]
        mean = np.mean(list(pool.map(periodogram, chosen.tolist())), axis=0)
        cell = max(1, len(mean) // SIDE)
        side = len(mean) // cell
        start = (len(mean) - side * cell) // 2  # a remainder at the edges is left out
        kept = mean[start : start + side * cell, start : start + side * cell]
        found[name] = 10 * np.log10(kept.reshape(side, cell, side, cell).max(axis=(1, 3)) + FLOOR)
    return found
