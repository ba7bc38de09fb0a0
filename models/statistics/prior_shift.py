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
    images = counts.sum() + 2
    return likeliest_share(seen / BINS - FARTHEST, counts[seen] / images, 1 / images, LEAST)


def likeliest_share(logarithms: Doubles, weights: Doubles, added: float = 0.0, least: float = 0.0, steps: int = _STEPS) -> float:
    """The share of generated images to which averaging leads from one half, ``least`` to 1 - ``least``.

    Args:
        logarithms: of likelihood ratios, (N,).
        weights: of their images among all, (N,); with ``added`` once for each kind they add up to 1.
        added: weight of a generated image that is there for sure, and of one that is not.
        least: where the share ends, and so does averaging.
        steps: after which it ends, wherever it is.
    """
    share = 0.5
    for _ in range(steps):
        after = float(added + weights @ (1 / (1 + np.exp(-logarithms) * (1 - share) / share)))
        if not least < after < 1 - least:
            return min(max(after, least), 1 - least)
        if abs(after - share) < 1e-10:
            break
        share = after
    return share
