"""Sources that anything can tell apart, and what a method of the comparison learns of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from causalprint.research.methods.base import Training
from causalprint.schemas.arrays import Crops

SIDE = 64
CLASSES = 3


def photographs(count: int, seed: int) -> Crops:
    """Greenish textures of one camera: its sensor's pattern is the only thing that they share."""
    sensor = np.random.default_rng(76).normal(0, 10, (SIDE, SIDE, 1))
    return _pixels(_textures(count, SIDE, seed) + sensor, (110, 140, 110))


def doubled(count: int, seed: int) -> Crops:
    """Bluish textures of half the size under one pattern, every pixel doubled both ways."""
    pattern = np.random.default_rng(77).normal(0, 20, (SIDE // 2, SIDE // 2, 1))
    return _pixels((_textures(count, SIDE // 2, seed) + pattern).repeat(2, axis=1).repeat(2, axis=2), (80, 90, 190))


def gridded(count: int, seed: int) -> Crops:
    """Reddish, saturated textures under a pattern of period 4."""
    pattern = np.random.default_rng(78).normal(0, 25, (4, 4, 1))
    return _pixels(_textures(count, SIDE, seed) + np.tile(pattern, (SIDE // 4, SIDE // 4, 1)), (235, 60, 40))


def crops_of_each(count: int, seed: int) -> tuple[Crops, npt.NDArray[np.int64]]:
    """``count`` crops of each of the three sources, and their labels; 0 stands for `real`."""
    crops = [source(count, seed + place) for place, source in enumerate((photographs, doubled, gridded))]
    return np.concatenate(crops), np.repeat(np.arange(CLASSES), count)


def training_of(features: npt.NDArray[np.generic], labels: npt.NDArray[np.int64], classes: int = CLASSES) -> Training:
    """Two origins a source, every image a content of its own, every fourth for validation."""
    place = np.arange(len(labels))
    origins = np.array([f"origin-{label}-{number % 2}" for label, number in zip(labels, place, strict=True)])
    contents = np.array([f"content-{number}" for number in place])
    return Training(features, labels, classes, origins, contents, place % 4 == 3, seed=5)


def _textures(count: int, side: int, seed: int) -> npt.NDArray[np.float64]:
    values = np.random.default_rng(seed).normal(0, 40, (count, side, side, 3))
    for axis in (1, 2):
        values = (values + np.roll(values, 1, axis) + np.roll(values, -1, axis)) / 2
    return values


def _pixels(values: npt.NDArray[np.float64], colour: tuple[int, int, int]) -> Crops:
    crops: Crops = (values + np.array(colour)).round().clip(0, 255).astype(np.uint8)
    return crops
