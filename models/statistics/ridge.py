"""Kernel ridge regression onto class indicators: closed form, deterministic, and good where images are few and features many.

min over W of sum_i w_i |y_i - W z_i|^2 + ridge |W|^2 over images i, solved in its dual, (K + ridge / w) a = Y, W = Z' a, K = Z Z'
(Saunders et al., ICML 1998). All lenses weigh alike: each one's standardised values are divided by the root of their number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Text = npt.NDArray[np.str_]


class Standard(NamedTuple):
    """Mean and scale (D,) of each raw feature; ``gain`` (D,) makes lenses of any size weigh alike."""

    mean: Floats
    scale: Floats
    gain: Floats


def standard_of(features: npt.NDArray[np.float16] | Floats, sizes: tuple[int, ...]) -> Standard:
    """The standardisation of features (N, D), which are lenses of ``sizes`` side by side."""
    values = features.astype(np.float64)
    scale = values.std(axis=0)
    # A feature that hardly moves in training must not explode on what moves it.
    floor = 1e-3 + 1e-2 * np.median(scale)
    gain = np.concatenate([np.full(size, size**-0.5) for size in sizes])
    return Standard(values.mean(axis=0).astype(np.float32), (scale + floor).astype(np.float32), gain.astype(np.float32))


def standardise(features: npt.NDArray[np.float16] | Floats, standard: Standard, clip: float) -> torch.Tensor:
    """Standardised features (N, D), cut at ``clip`` scales, then weighed."""
    values = (torch.from_numpy(features.astype(np.float32)) - torch.from_numpy(standard.mean)) / torch.from_numpy(standard.scale)
    return values.clamp_(-clip, clip).mul_(torch.from_numpy(standard.gain))


def balance(labels: Labels, origins: Text) -> Floats:
    """Weights (N,), 1 on average: every class weighs alike, and in it every origin by the square root of its images."""
    weights = np.zeros(len(labels))
    for label in np.unique(labels):
        of_class = labels == label
        for origin in np.unique(origins[of_class]):
            here = of_class & (origins == origin)
            weights[here] = here.sum() ** -0.5
        weights[of_class] /= weights[of_class].sum()
    normal: Floats = (weights * len(labels) / weights.sum()).astype(np.float32)
    return normal


def indicators(labels: Labels, classes: int) -> torch.Tensor:
    """Targets (N, K): 1 for the class and 0 for others, less 1/K."""
    return torch.nn.functional.one_hot(torch.from_numpy(labels), classes).float() - 1 / classes


def solve(kernel: torch.Tensor, targets: torch.Tensor, weights: npt.NDArray[np.floating], ridge: float) -> torch.Tensor:
    """Dual coefficients (N, K) for a kernel (N, N) and images' weights (N,); an intercept's constant feature is added."""
    penalised = kernel + 1
    penalised.diagonal().add_(ridge / torch.from_numpy(weights))
    solution: torch.Tensor = torch.linalg.solve(penalised, targets)
    return solution


def held_out_scores(
    kernel: torch.Tensor, labels: Labels, origins: Text, classes: int, folds: list[npt.NDArray[np.bool_]], ridge: float
) -> Floats:
    """Scores (N, K) of each image by a model that has not seen its fold's images.

    Args:
        kernel: (N, N).
        labels: (N,), below ``classes``.
        origins: (N,).
        classes: K.
        folds: disjoint masks (N,) of images to hold out; the scores of an image in none of them are NaN.
        ridge: of :func:`solve`.
    """
    scores = np.full((len(labels), classes), np.nan, np.float32)
    for held_out in folds:
        rows, columns = torch.from_numpy(np.flatnonzero(~held_out)), torch.from_numpy(np.flatnonzero(held_out))
        targets = indicators(labels[~held_out], classes)
        dual = solve(kernel[rows][:, rows], targets, balance(labels[~held_out], origins[~held_out]), ridge)
        scores[held_out] = ((kernel[columns][:, rows] + 1) @ dual).numpy()
    return scores


def split_folds(labels: Labels, origins: Text, contents: Text, count: int, seed: int) -> list[npt.NDArray[np.bool_]]:
    """Disjoint masks (N,) that together hold every image.

    Of a class with several origins a whole origin is held out at a time; of a class with one origin, whole contents.
    """
    draw = np.random.default_rng(seed)
    place = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = labels == label
        several = len(np.unique(origins[of_class])) > 1
        groups = origins if several else contents
        names = np.unique(groups[of_class])
        order = np.arange(len(names)) if several else draw.permutation(len(names))
        for name, fold in zip(names, order, strict=True):
            place[of_class & (groups == name)] = fold % count
    return [place == fold for fold in range(count)]
