"""How many images of a dataset are generated, from their likelihood ratios alone.

Saerens, Latinne & Decaestecker, Neural Computation 14 (2002), eq. 2.4: probabilities at the present shares are averaged to the
next shares, until these stay. It is the share under which the ratios are likeliest, and it is right where the ratios are: where
images of this dataset resemble those that the bundle was calibrated on. One image of either kind is added to those that are
there, so that few images cannot tell that there is none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from causalprint.schemas.arrays import Doubles, Labels

BINS = 32
"""Bins for every unit of a ratio's logarithm."""
FARTHEST = 40
"""Logarithms beyond this count as this."""
LEAST = 1e-4
"""The least share that is told, of generated images and of others: a prior leaves room for either."""
_STEPS = 100_000


def ratio_counts(logarithms: npt.NDArray[np.floating]) -> Labels:
    """How many logarithms of likelihood ratios are in each bin, int64 (2 FARTHEST BINS + 1,). Counts add up in any order."""
    places = np.rint(np.clip(logarithms.astype(np.float64), -FARTHEST, FARTHEST) * BINS).astype(np.int64)
    return np.bincount(places + FARTHEST * BINS, minlength=2 * FARTHEST * BINS + 1).astype(np.int64)


def share_generated(counts: Labels) -> float:
    """The share of generated images, :data:`LEAST` to 1 - :data:`LEAST`, of at least one image, as of :func:`ratio_counts`."""
    seen = np.flatnonzero(counts)
    ratios: Doubles = seen / BINS - FARTHEST
    weights: Doubles = counts[seen] / (counts.sum() + 2)
    added = 1 / (counts.sum() + 2)
    share = 0.5
    for _ in range(_STEPS):
        after = float(added + weights @ (1 / (1 + np.exp(-ratios) * (1 - share) / share)))
        if not LEAST < after < 1 - LEAST:
            return min(max(after, LEAST), 1 - LEAST)
        if abs(after - share) < 1e-10:
            break
        share = after
    return share
