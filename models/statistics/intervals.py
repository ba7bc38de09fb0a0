"""95 % intervals of shares that keep their promise at 0 and at 1: tests inverted, ordered as Feldman and Cousins do."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from causalprint.models.statistics.clusters import Clustered
from causalprint.schemas.arrays import Doubles

LEVEL = 0.95
_HALVINGS = 24
_LEAN = 1.8
"""Standard errors at which the lean is taken: between the limit of one side, 1.64, and that of two, 1.96."""


class Spread(NamedTuple):
    """How an unclipped estimate of a share varies where the share is a given one; arrays (G,), a number a group.

    Attributes:
        error: its standard error.
        freedom: degrees of freedom of that.
        lean: in standard errors, how much farther the long tail reaches: above 0 upwards.
    """

    error: Doubles
    freedom: Doubles
    lean: Doubles


def unified(found: Doubles, spread: Callable[[Doubles], Spread], level: float = LEVEL) -> tuple[Doubles, Doubles]:
    """Lower and upper ends (G,): all shares that the estimates ``found`` (G,), which may lie outside of 0 to 1, do not refute.

    What is accepted of a share is ordered by the ratio of likelihoods to the likeliest share between 0 and 1 (Feldman and
    Cousins, Phys. Rev. D 57, 1998, section IV.B), with Student's distribution in place of the normal one. So no interval is
    empty, and one that begins at 0 covers as often as any other.

    Args:
        found: estimates.
        spread: of shares (G,), one a group.
        level: how often the share is to be covered.
    """
    inside = np.clip(found, 0, 1)

    def accepted(share: Doubles) -> np.ndarray:
        error, freedom, lean = spread(share)
        error = np.maximum(error, 1e-12)
        off = (found - share) / error
        off = np.where(off > 0, np.maximum(off - np.maximum(lean, 0), 0), np.minimum(off - np.minimum(lean, 0), 0))
        below, above = _accepted(share / error, (1 - share) / error, freedom, level)
        kept: np.ndarray = (-below <= off) & (off <= above)
        return kept

    ends = []
    for edge in (0.0, 1.0):
        out = np.full_like(inside, edge)
        whole, kept = accepted(out), inside
        for _ in range(_HALVINGS):
            middle = (kept + out) / 2
            good = accepted(middle)
            kept, out = np.where(good, middle, kept), np.where(good, out, middle)
        ends.append(np.where(whole, edge, kept))
    return ends[0], ends[1]


def lean_of(own: Doubles, with_error: Doubles, error: Doubles) -> Doubles:
    """How far a skewed estimate's tail reaches beyond Student's (Hall, Ann. Statist. 16, 1988, section 2), (G,), 1.5 at most.

    Args:
        own: third central moment of the estimate.
        with_error: covariance of the estimate and of its estimated variance.
        error: its standard error.
    """
    scaled = (own * (_LEAN**2 - 1) / 6 - with_error * _LEAN**2 / 2) / np.maximum(error, 1e-12) ** 3
    bounded: Doubles = np.clip(scaled, -1.5, 1.5)
    return bounded


def _accepted(below: Doubles, above: Doubles, freedom: Doubles, level: float) -> tuple[Doubles, Doubles]:
    """How many standard errors below and above a share are accepted that is so many away from 0 and from 1."""
    least, most = np.zeros_like(below), np.square(stdtrit(freedom, 0.5 + level / 2))
    low, high = _reach(below, most), _reach(above, most)
    near = np.flatnonzero(np.sqrt(most) > np.minimum(below, above))  # elsewhere no bound is in reach, and these are Student's
    if not len(near):
        return low, high
    below, above, freedom, least, most = below[near], above[near], freedom[near], least[near], most[near]
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        enough = stdtr(freedom, _reach(above, middle)) - stdtr(freedom, -_reach(below, middle)) >= level
        least, most = np.where(enough, least, middle), np.where(enough, middle, most)
    low[near], high[near] = _reach(below, most), _reach(above, most)
    return low, high


def _reach(distance: Doubles, ratio: Doubles) -> Doubles:
    """Where the logarithm of the squared likelihood ratio reaches ``ratio``, towards a bound at ``distance``."""
    root = np.sqrt(ratio)
    reached: Doubles = np.where(root <= distance, root, (ratio + distance**2) / (2 * np.maximum(distance, 1e-100)))
    return reached


def unified_count(share: Doubles, images: Doubles, shards: Clustered | None = None) -> tuple[Doubles, Doubles]:
    """The interval of a share of images (G,) that was counted: sampling alone, of a sample of shards where there is one."""

    def spread(at: Doubles) -> Spread:
        alone, freedom = at * (1 - at) / images, np.maximum(images - 1, 1)
        if shards is not None:
            alone, freedom = shards.at(at, share, alone), np.minimum(freedom, shards.freedom)
        return Spread(np.sqrt(alone), freedom, np.zeros_like(at))

    return unified(share, spread)
