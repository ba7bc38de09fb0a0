"""Whose fingerprints lie nearest: of the same source from elsewhere, or of images that show alike things."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.schemas.arrays import Labels, Mask, Scores, Text

NEAREST = 10
_BLOCK = 512


class Neighbours(NamedTuple):
    """Of N images, by the cosine of fingerprints, among images of other collections.

    Attributes:
        of: (N,), which have a fingerprint and images of their source in another collection.
        source: (N,), share of the nearest ten that have the same source.
        source_by_chance: (N,), of all of them.
        content: (N,), share of the nearest ten in the same tenth by content.
        content_by_chance: (N,), of all of them.
    """

    of: Mask
    source: Scores
    source_by_chance: Scores
    content: Scores
    content_by_chance: Scores


def neighbours(fingerprints: npt.NDArray[np.floating], source: Text, origin: Text, tenth: Labels) -> Neighbours:
    """Of fingerprints (N, 128) of images of a ``source`` and an ``origin``, in a ``tenth`` by what they show, all (N,).

    A collection is the images of one source and origin; nearest are sought in others, so that no history of one helps.
    """
    length = np.linalg.norm(fingerprints.astype(np.float64), axis=1)
    there = length > 0
    unit = fingerprints / np.where(there, length, 1)[:, None]
    _, collection = np.unique(np.char.add(np.char.add(source, "/"), origin), return_inverse=True)
    count = len(source)
    shares = np.zeros((4, count))
    of = np.zeros(count, np.bool_)
    for start in range(0, count, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, count))
        elsewhere = (collection[rows, None] != collection) & there
        alike = np.where(elsewhere, unit[rows] @ unit.T, -np.inf)
        nearest = np.argpartition(-alike, min(NEAREST, count) - 1, axis=1)[:, :NEAREST]
        chosen = np.take_along_axis(elsewhere, nearest, axis=1)
        for place, column in ((0, source), (2, tenth)):
            same = column[rows, None] == column
            shares[place, rows] = (np.take_along_axis(same, nearest, axis=1) & chosen).sum(axis=1) / NEAREST
            shares[place + 1, rows] = (same & elsewhere).sum(axis=1) / np.maximum(elsewhere.sum(axis=1), 1)
        of[rows] = there[rows] & ((source[rows, None] == source) & elsewhere).any(axis=1)
    return Neighbours(of, *shares)
