"""Images that show the same thing, found by a perceptual hash, so that none is learned from while its twin is tested on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from causalprint.schemas.arrays import Crops, Hashes, Text

BITS = 64
SIDE = 8
NEAR = 4
"""Bits of the hash in which near-duplicates may differ."""

PLAIN = 6
"""A hash with fewer bits set, or unset, is of an even gradient: it tells nothing of what is shown."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_BLOCK = 512


def difference_hashes(crops: Crops) -> Hashes:
    """The difference hash (dHash; Krawetz, "Kind of Like That", 2013) of crops uint8 (N, C, C, 3), uint64 (N,).

    Grey, averaged over 8 x 9 cells; a bit says whether a cell is brighter than its right neighbour.
    """
    return np.array([_hash(crop) for crop in crops], np.uint64)


def join_near_duplicates(contents: Text, hashes: Hashes, near: int = NEAR) -> Text:
    """``contents`` (N,) where those of near-duplicates bear one name: the first of theirs in sorted order.

    Near-duplicates differ in at most ``near`` bits of ``hashes`` (N,). They chain: what is near to one of a group belongs to it.
    Hashes that tell nothing (:data:`PLAIN`) join nothing.
    """
    names, content = np.unique(contents, return_inverse=True)
    pairs = [np.zeros((0, 2), np.int64)]
    ones = np.bitwise_count(hashes)
    told = np.flatnonzero((ones >= PLAIN) & (ones <= BITS - PLAIN))
    for start in range(0, len(told), _BLOCK):
        rows = told[start : start + _BLOCK]
        others = told[start:]
        differing = np.bitwise_count(hashes[rows][:, None] ^ hashes[others][None, :])
        row, other = np.nonzero(differing <= near)
        pairs.append(np.unique(np.stack([content[rows[row]], content[others[other]]], axis=1), axis=0))
    first, second = np.concatenate(pairs).T
    edges = coo_array((np.ones(len(first), np.bool_), (first, second)), shape=(len(names), len(names)))
    _, group = connected_components(edges, directed=False)
    _, least = np.unique(group, return_index=True)  # names are sorted, so the first of a group is its least
    joined: Text = names[least[group][content]]
    return joined


def _hash(crop: Crops) -> int:
    grey = crop.astype(np.float32) @ _LUMA
    cells = _cell_means(_cell_means(grey, SIDE).T, SIDE + 1).T
    bits = (cells[:, :-1] > cells[:, 1:]).flatten()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _cell_means(values: npt.NDArray[np.float32], cells: int) -> npt.NDArray[np.float32]:
    """Means (cells, W) over ``cells`` runs of rows of (H, W), as even as whole pixels allow."""
    edges = np.linspace(0, len(values), cells + 1).round().astype(np.int64)
    means: npt.NDArray[np.float32] = np.add.reduceat(values, edges[:-1], axis=0)
    means /= np.diff(edges)[:, None]
    return means
