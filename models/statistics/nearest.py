"""Which rows of a table of fingerprints are most like a query, exactly: cosine similarity, and no approximate index."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.schemas.arrays import Doubles, Labels

SLACK = 1e-5
"""By more than this no similarity in float32 is wrong: what is within it is computed again."""


class Nearest(NamedTuple):
    """M rows that may be among the nearest.

    Attributes:
        query: place of the query, (M,).
        row: place of the row, (M,).
        similarity: cosine, -1 to 1, (M,); the same of the same row and query wherever the row stands.
    """

    query: Labels
    row: Labels
    similarity: Doubles


def directions(fingerprints: npt.NDArray[np.floating]) -> Doubles:
    """Fingerprints (N, D) at length 1; what is zero stays zero."""
    rows = fingerprints.astype(np.float64)
    found: Doubles = rows / np.maximum(np.sqrt(np.square(rows).sum(axis=1, keepdims=True)), np.finfo(np.float64).tiny)
    return found


def nearest(fingerprints: npt.NDArray[np.float16], queries: Doubles, top: int, at_least: float) -> Nearest:
    """The ``top`` rows that are most like each query, and whatever is as like it as the last of them.

    One matrix product finds who may be among them. Their similarities are then computed one by one, since the rounding of a
    product depends on how many rows it has.

    Args:
        fingerprints: (N, D). Rows of zeros, flat images, are like nothing and left out.
        queries: directions (Q, D).
        top: at least 1.
        at_least: similarity of whatever is found.
    """
    rows = fingerprints.astype(np.float32)
    length = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    like = (queries.astype(np.float32) @ rows.T) / np.maximum(length, np.finfo(np.float32).tiny)
    like[:, length == 0] = -np.inf
    place = max(0, len(rows) - top)
    least = np.partition(like, place, axis=1)[:, place] if len(rows) else np.zeros(len(queries), np.float32)
    query, row = np.nonzero(like >= np.maximum(least, at_least)[:, None] - SLACK)
    similarity = (directions(fingerprints[row]) * queries[query]).sum(axis=1)
    kept = similarity >= at_least
    return Nearest(query[kept], row[kept], similarity[kept])
