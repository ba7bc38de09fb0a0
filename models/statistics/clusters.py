"""Images that were drawn from few shards are no independent witnesses: what their share varies by, from shard to shard."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from causalprint.schemas.arrays import Doubles, Labels


class Cells(NamedTuple):
    """The images of G groups by the drawn shard that they are in: P pairs of a group and a shard, none without images.

    Attributes:
        group: place of the group, (P,).
        images: of the group in the shard, (P,).
        chance: by which the shard was drawn, (P,); 1: it was certain.
    """

    group: Labels
    images: Doubles
    chance: Doubles


class Clustered(NamedTuple):
    """How the mean of a group's images varies with the shards that were drawn; each (G,).

    Attributes:
        variance: of the mean; without what varies within shards that were certain to be drawn.
        certain: share of the images that are in these.
        largest: sum of the squared shares that the other shards have of the images: one over their number, were they alike.
    """

    variance: Doubles
    certain: Doubles
    largest: Doubles

    @property
    def freedom(self) -> Doubles:
        """Degrees of freedom of ``variance``."""
        freedom: Doubles = np.maximum(1 / np.maximum(self.largest, 1e-12) - 1, 1)
        return freedom

    @property
    def half_width(self) -> Doubles:
        """Of a 95 % interval were nothing unknown but the shards."""
        return half_width(self.variance, self.freedom)

    def at(self, share: Doubles, found: Doubles, alone: Doubles) -> Doubles:
        """Variance of a share where it is ``share`` and not as ``found``: what was not seen may lie in whole shards.

        Without this a sample whose shards hold nothing of a source would exclude that others consist of it: with it, K
        shards exclude about 3.8 / K, as the rule of three does.

        Args:
            share: of what is asked about.
            found: as it was estimated.
            alone: the variance were all images drawn one by one.
        """
        unseen = np.maximum(share * (1 - share) - found * (1 - found), 0)
        variance: Doubles = np.maximum(alone, self.variance + self.certain * alone + self.largest * unseen)
        return variance


def half_width(variance: Doubles, freedom: Doubles | float = np.inf) -> Doubles:
    """Of a 95 % interval by Student's distribution, (G,)."""
    width: Doubles = stdtrit(freedom, 0.975) * np.sqrt(variance)
    return width


def clustered(cells: Cells, totals: Doubles, groups: int) -> Clustered:
    """How means of ``groups`` vary that are ratios of sums over shards (Cochran, Sampling Techniques, 1977, section 6.3).

    Every image was drawn by the same chance, so that a mean needs no weights. A shard counts as it was not certain to be drawn
    (Hájek, Ann. Math. Statist. 35, 1964), and as if it had been drawn alone: strata can only make the variance less.

    Args:
        cells: P.
        totals: sums over the images of each, (P,), of any value.
        groups: G.
    """

    def summed(values: Doubles) -> Doubles:
        return np.bincount(cells.group, values, groups).astype(np.float64)

    images = np.maximum(summed(cells.images), 1)
    part = cells.images / images[cells.group]
    off = (totals - cells.images * (summed(totals) / images)[cells.group]) / images[cells.group]
    random = 1 - cells.chance
    largest = summed(random * part**2)
    few = 1 / np.clip(1 - largest, 0.5, 1)
    return Clustered(summed(random * off**2) * few, summed(cells.chance * part), largest)
