"""Raw lens features to what a network learns from: standardised, cut at outliers, and reduced to principal components by lens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

CLIP = 5.0
"""A standardised feature is cut at this many scales, so that no single outlier decides."""


class Standard(NamedTuple):
    """Mean and scale (D,) of each raw feature; ``gain`` (D,) makes lenses of any size weigh alike."""

    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    gain: npt.NDArray[np.float32]


class Reduction(NamedTuple):
    """What was learned of features (M, D), lenses of ``sizes`` side by side.

    Attributes:
        sizes: of the lenses.
        standard: mean, scale and gain of each feature.
        centre: of each lens's standardised features.
        basis: of each lens its principal directions, (D_s, C_s) with orthonormal columns.
    """

    sizes: tuple[int, ...]
    standard: Standard
    centre: tuple[Tensor, ...]
    basis: tuple[Tensor, ...]

    def __call__(self, features: npt.NDArray[np.floating]) -> list[Tensor]:
        """Components (M, C_s) of each lens."""
        parts = self.standardised(features)
        return [(part - centre) @ basis for part, centre, basis in zip(parts, self.centre, self.basis, strict=True)]

    def take(self, places: Sequence[int]) -> Reduction:
        """The same of the lenses at ``places`` alone."""
        starts = np.cumsum([0, *self.sizes])
        columns = np.concatenate([np.arange(starts[place], starts[place + 1]) for place in places])
        return Reduction(
            tuple(self.sizes[place] for place in places),
            Standard(*(part[columns] for part in self.standard)),
            tuple(self.centre[place] for place in places),
            tuple(self.basis[place] for place in places),
        )

    def standardised(self, features: npt.NDArray[np.floating]) -> list[Tensor]:
        """Standardised features (M, D_s) of each lens."""
        return _standardised(features, self.standard, self.sizes)


def learn_reduction(
    features: npt.NDArray[np.float16], sizes: Sequence[int], components: Sequence[int], weights: Sequence[float], seed: int
) -> Reduction:
    """The reduction of features (M, D).

    Args:
        features: lenses of ``sizes`` side by side.
        sizes: of the lenses.
        components: of each lens, how many are kept at most; where it has no more than that, all are.
        weights: of each lens, how large its features are in all.
        seed: of the search for components.
    """
    wide = features.astype(np.float64)
    scale = wide.std(axis=0)
    # A feature that hardly moves in training must not explode on what moves it.
    floor = 1e-3 + 1e-2 * np.median(scale)
    gain = np.concatenate([np.full(size, weight * size**-0.5) for size, weight in zip(sizes, weights, strict=True)])
    standard = Standard(wide.mean(axis=0).astype(np.float32), (scale + floor).astype(np.float32), gain.astype(np.float32))
    del wide  # four times as large as the features
    centres, bases = [], []
    for values, most in zip(_standardised(features, standard, tuple(sizes)), components, strict=True):
        centre = values.mean(dim=0)
        wanted = min(most, len(values) - 1, values.shape[1])
        centres.append(centre)
        every = wanted == values.shape[1]
        bases.append(torch.eye(wanted) if every else principal(values - centre, wanted, seed))
    return Reduction(tuple(sizes), standard, tuple(centres), tuple(bases))


def _standardised(features: npt.NDArray[np.floating], standard: Standard, sizes: tuple[int, ...]) -> list[Tensor]:
    parts, start = [], 0
    for size in sizes:
        place = slice(start, start + size)
        values = torch.from_numpy(features[:, place].astype(np.float32))
        values = (values - torch.from_numpy(standard.mean[place])) / torch.from_numpy(standard.scale[place])
        parts.append(values.clamp_(-CLIP, CLIP).mul_(torch.from_numpy(standard.gain[place])))
        start += size
    return parts


def principal(centred: Tensor, wanted: int, seed: int) -> Tensor:
    """Leading principal directions of centred rows (M, D), orthonormal columns (D, wanted); ``wanted`` at most M - 1 and D."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # Halko, Martinsson & Tropp, SIAM Review 2011: exact to rounding is not needed here
        _, _, directions = torch.pca_lowrank(centred, q=min(wanted + 16, *centred.shape), center=False, niter=2)
    basis = directions[:, :wanted]
    # The sign of a principal direction is the library's whim.
    return basis * torch.where(basis.sum(dim=0) < 0, -1.0, 1.0)
