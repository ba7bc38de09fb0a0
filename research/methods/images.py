"""Pixels and radial profiles as the spectral baselines read them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from causalprint.models.lenses.fourier import LUMA
from causalprint.research.methods.base import Kit
from causalprint.schemas.arrays import Crops, Doubles, Floats, Labels, Pixels


def pixels(crops: Crops, kit: Kit) -> Crops:
    """The features of methods that read pixels: the crops themselves."""
    return crops


def each_crop(read: Callable[[Pixels], npt.ArrayLike], dtype: npt.DTypeLike) -> Callable[[Crops, Kit], npt.NDArray[Any]]:
    """The features of a method that reads each crop (C, C, 3) by itself: what it reads, one after the other, as ``dtype``."""
    return lambda crops, _: np.array([read(crop) for crop in crops]).astype(dtype)


def luma(crop: Pixels) -> Doubles:
    """BT.601 luma (C, C), 0 to 255, of a crop uint8 (C, C, 3)."""
    values: Doubles = crop @ np.array(LUMA)
    return values


def each_tensor(crops: Crops, apply: Callable[[Tensor], Tensor], device: torch.device) -> Floats:
    """``apply`` of each crop by itself, so that a row's bits do not depend on its chunk.

    Args:
        crops: uint8 (N, C, C, 3).
        apply: (1, 3, C, C) float32 in 0 to 1 -> (1, …).
        device: where.

    Returns:
        (N, …) float32.
    """
    with torch.inference_mode():
        images = (torch.tensor(crop, device=device).permute(2, 0, 1)[None].float().div(255).contiguous() for crop in crops)
        return np.concatenate([apply(image).float().cpu().numpy() for image in images])


def azimuthal_mean(spectrum: Doubles) -> Doubles:
    """Mean of ``spectrum`` (C, C), frequency 0 first as ``fft2`` gives it, over rings of width 1 around it.

    Returns:
        (R,), ring r holding the frequencies nearest to r / C cycles per pixel; R - 1 = round(C / sqrt(2)), the corner.
    """
    ring, count = rings(len(spectrum))
    profile: Doubles = np.bincount(ring, weights=spectrum.ravel(), minlength=len(count)) / count
    return profile


@lru_cache(maxsize=4)
def rings(side: int) -> tuple[Labels, Labels]:
    """The ring (side²,) of each frequency of a square, row by row, and the number of frequencies (R,) of each ring."""
    frequency = np.fft.fftfreq(side) * side
    ring = np.hypot(frequency[:, None], frequency[None, :]).round().astype(np.int64).ravel()
    return ring, np.bincount(ring)
