"""Fourier spectra, and the three lenses that read them; the scale that every lens is read on.

DFT: the power spectrum of each channel. Upsampling leaves copies of it, and lines at fractions of the sampling rate. QFT: the
lowest frequencies of the grey spectrum, 1,024-d (arXiv 2509.15406, which leaves the scale open: log power here). Radial:
amplitude and phase reduced over rings (PRISM, arXiv 2509.15270; Durall et al. 2020 keep amplitude).
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from causalprint.models.lenses.base import Lens
from causalprint.schemas.tables import SPECTRUM_RINGS

DFT_ROWS, DFT_COLUMNS = 16, 8
PERIOD = 8
LOWEST = 32
RINGS = 45
PER_CYCLE = 64
FIRST, LAST = 2, 32
LUMA = (0.299, 0.587, 0.114)
FLOOR = 1e-10
"""Power per pixel that counts as nothing: far below the rounding to 8 bits (1/255² / 12 = 1.3e-6), far above float32's own."""


def grey(z: Tensor) -> Tensor:
    """BT.601 luma of ``z`` (N, 3, H, W) as (N, 1, H, W): the Y of JPEG."""
    return LUMA[0] * z[:, :1] + LUMA[1] * z[:, 1:2] + LUMA[2] * z[:, 2:]


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


def dft(z: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 424), log10 of power.

    Mean power of each channel on a 16x8 grid over the half plane, rows from -0.5 to 0.5 and columns from 0 to 0.5 cycles per
    pixel (384); then the power of the lines that have period 8 in both directions, (i/8, j/8) with i = 0 … 7 and j = 0 … 4,
    mean of the channels (40). Rows and columns beyond a multiple of 8 are left out, so that those lines fall on single bins.
    """
    height, width = z.shape[-2] // PERIOD * PERIOD, z.shape[-1] // PERIOD * PERIOD
    spectrum = power(z[..., :height, :width])
    grid = adaptive_avg_pool2d(spectrum.roll(height // 2, dims=-2), (DFT_ROWS, DFT_COLUMNS))
    lines = spectrum[..., :: height // PERIOD, :: width // PERIOD].mean(dim=1)
    return torch.cat([log_power(grid).flatten(1), log_power(lines).flatten(1)], dim=1)


def dft_peak(z: Tensor) -> Tensor:
    """``dft_peak``: strongest line of the spectrum of ``z`` (N, 3, H, W), mean of the channels, over its median; (N,), in dB.

    The mean of the image is no line. White noise alone has about 6 dB at 256x256, since the largest of many bins is meant.
    """
    spectrum = power(z).mean(dim=1).flatten(1)[:, 1:]
    return 10 * ((spectrum.amax(dim=1) + FLOOR) / (spectrum.median(dim=1).values + FLOOR)).log10()


def lowest_block(z: Tensor) -> Tensor:
    """Power of the 32x32 lowest frequencies of the luma of ``z`` (N, 3, H, W), as (N, 32, 32), each axis from -16 to 15.

    Power is the same at k and -k, so the block has about 528 different values; it is kept whole, as the paper has it.
    """
    half = LOWEST // 2
    spectrum = power(grey(z))[:, 0]
    right = spectrum[:, :, : half + 1].roll(half, dims=1)[:, : LOWEST + 1]  # rows -16 … 16, columns 0 … 16
    left = right.flip((1, 2))[:, :, :half]  # columns -16 … -1: the mirror image
    return torch.cat([left, right], dim=2)[:, :LOWEST, :LOWEST]


def qft(z: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 1024): :func:`lowest_block` as log10 of power."""
    return log_power(lowest_block(z)).flatten(1)


def qft_share(z: Tensor) -> Tensor:
    """``qft_share``: energy of the luma of ``z`` (N, 3, H, W) in :func:`lowest_block` over all of it, as (N,); 0 for black."""
    total = grey(z).square().sum(dim=(1, 2, 3))
    return lowest_block(z).sum(dim=(1, 2)) / (total + FLOOR)


def radial(z: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 405): nine profiles of 45 rings, k / 64 cycles per pixel for k = 1 … 45, out to the corners at 0.707.

    Of each channel and of luma log10 of the mean power (4); of luma the mean cosine and sine of the phase over the half plane
    (2), which are zero on average unless something is tied to the pixel grid's origin; of each pair of channels the cosine
    of their phase difference, weighted by amplitude (3), which moves with no shift of the image.
    """
    spectrum = torch.fft.rfft2(z)
    luma = grey(spectrum)[:, 0]
    rings = ring_means(z.shape[-2], z.shape[-1], z.device)
    pixels = z.shape[-2] * z.shape[-1]
    amplitude = torch.cat([square_norm(spectrum), square_norm(luma)[:, None]], dim=1).flatten(2) / pixels
    mean_power = amplitude @ rings
    phase = torch.view_as_real(luma) / (square_norm(luma) + FLOOR * pixels).sqrt()[..., None]
    mean_phase = phase.flatten(1, 2).transpose(1, 2) @ rings
    first, second = spectrum[:, (0, 0, 1)], spectrum[:, (1, 2, 2)]
    cross = (torch.view_as_real(first) * torch.view_as_real(second)).sum(dim=-1).flatten(2) / pixels
    scale = ((mean_power[:, (0, 0, 1)] + FLOOR) * (mean_power[:, (1, 2, 2)] + FLOOR)).sqrt()
    return torch.cat([log_power(mean_power), mean_phase, cross @ rings / scale], dim=1).flatten(1)


def radial_power(z: Tensor) -> Tensor:
    """Mean power of the luma of ``z`` (N, 3, H, W) in each ring of :func:`ring_means`, as (N, 45)."""
    rings = ring_means(z.shape[-2], z.shape[-1], z.device)
    return square_norm(torch.fft.rfft2(grey(z)[:, 0])).flatten(1) @ rings / (z.shape[-2] * z.shape[-1])


def ring_spectrum(z: Tensor) -> Tensor:
    """``spectrum``: :func:`radial_power` of ``z`` (N, 3, H, W) in its first 32 rings, as (N, 32), in dB from -100."""
    return 10 * log_power(radial_power(z)[:, :SPECTRUM_RINGS])


def radial_slope(z: Tensor) -> Tensor:
    """``radial_slope``: slope of log10 power over log10 frequency of the luma of ``z`` (N, 3, H, W), as (N,), decade/decade.

    Least squares over rings 2 to 32, 0.03 to 0.5 cycles per pixel, each ring once. White noise has 0, a photograph about -2.5.
    """
    profile = radial_power(z)
    frequency = torch.arange(FIRST, LAST + 1, device=z.device, dtype=torch.float32).log10()
    centred = frequency - frequency.mean()
    return log_power(profile[:, FIRST - 1 : LAST]) @ centred / centred.square().sum()


@lru_cache(maxsize=4)
@torch.inference_mode(mode=False)  # so that a cached matrix also serves where gradients are taken
def ring_means(height: int, width: int, device: torch.device) -> Tensor:
    """The matrix (H · (W // 2 + 1), 45) that takes a half plane to its means over rings. Not to be written to.

    A matrix and not a scatter, whose order of addition is not fixed on a GPU. Column k - 1 holds the frequencies nearest to
    k / 64 cycles per pixel, the first also all below, without the origin; none is empty from 64 pixels on.
    """
    rows = torch.fft.fftfreq(height, dtype=torch.float64)
    columns = torch.fft.rfftfreq(width, dtype=torch.float64)
    frequency = (rows[:, None].square() + columns[None, :].square()).sqrt()
    ring = (frequency * PER_CYCLE).round().long().clamp(1, RINGS).flatten() - 1
    member = torch.nn.functional.one_hot(ring, RINGS).to(torch.float64)
    member[0] = 0
    return (member / member.sum(dim=0).clamp(min=1)).to(device, torch.float32)


DFT = Lens("dft", 3 * DFT_ROWS * DFT_COLUMNS + PERIOD * (PERIOD // 2 + 1), dft, {"dft_peak": dft_peak})
QFT = Lens("qft", LOWEST * LOWEST, qft, {"qft_share": qft_share})
RADIAL = Lens("radial", 9 * RINGS, radial, {"radial_slope": radial_slope})
