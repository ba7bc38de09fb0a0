"""Radial: amplitude and phase of the spectrum reduced over rings (PRISM, arXiv 2509.15270; Durall et al. 2020 keep amplitude)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from causalprint.models.lenses.base import Lens
from causalprint.models.lenses.spectrum import FLOOR, log_power, square_norm

RINGS = 45
PER_CYCLE = 64
FIRST, LAST = 2, 32
SIZE = 9 * RINGS
LUMA = (0.299, 0.587, 0.114)


def features(z: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, 405): nine profiles of 45 rings, k / 64 cycles per pixel for k = 1 … 45, out to the corners at 0.707.

    Of each channel and of luma log10 of the mean power (4); of luma the mean cosine and sine of the phase over the half plane
    (2), which are zero on average unless something is tied to the pixel grid's origin; of each pair of channels the cosine
    of their phase difference, weighted by amplitude (3), which moves with no shift of the image.
    """
    spectrum = torch.fft.rfft2(z)
    luma = LUMA[0] * spectrum[:, 0] + LUMA[1] * spectrum[:, 1] + LUMA[2] * spectrum[:, 2]
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


def slope(z: Tensor) -> Tensor:
    """``radial_slope``: slope of log10 power over log10 frequency of the luma of ``z`` (N, 3, H, W), as (N,), decade/decade.

    Least squares over rings 2 to 32, 0.03 to 0.5 cycles per pixel, each ring once. White noise has 0, a photograph about -2.5.
    """
    luma = LUMA[0] * z[:, 0] + LUMA[1] * z[:, 1] + LUMA[2] * z[:, 2]
    rings = ring_means(z.shape[-2], z.shape[-1], z.device)
    profile = square_norm(torch.fft.rfft2(luma)).flatten(1) @ rings / (z.shape[-2] * z.shape[-1])
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


RADIAL = Lens("radial", SIZE, features, "radial_slope", slope)
