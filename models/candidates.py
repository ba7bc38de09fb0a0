"""Fingerprints that are like no known source to candidate generators: clusters, whose names outlast a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.cluster import HDBSCAN
from sklearn.decomposition import PCA

from causalprint.models.enrolment import Surroundings
from causalprint.models.statistics.nearest import directions
from causalprint.schemas.arrays import Doubles, Labels

COMPONENTS = 16
"""Principal components that are clustered, fewer of few images: densities in more dimensions say little."""
LEAST_NEIGHBOURS, MANY = 3, 1000
"""Neighbours by which density is told: so many at least, and one more for every so many images, of which dense ones have many."""


class Cluster(NamedTuple):
    """Images that are alike.

    Attributes:
        members: rows, most central first.
        likeness: of each, cosine with the mean of their directions.
        nearest: the known source whose centre is nearest.
        distance: from it, in standard deviations of a source's images along the line to it.
    """

    members: Labels
    likeness: Doubles
    nearest: str
    distance: float

    @property
    def cohesion(self) -> float:
        """Mean likeness."""
        return float(self.likeness.mean())


def clusters(fingerprints: npt.NDArray[np.floating], known: Surroundings, least: int) -> list[Cluster]:
    """Groups of ``least`` images or more that lie close together, largest first; what lies apart is in none.

    HDBSCAN (Campello, Moulavi and Sander, PAKDD 2013), its leaves, over the directions from the middle of all known sources in
    the space that the pooled covariance whitens.

    Args:
        fingerprints: (N, 128), none of them zero.
        known: sources of the bundle.
        least: at least 2.
    """
    if len(fingerprints) < least:
        return []
    middle = known.shares @ known.centre
    places = (fingerprints.astype(np.float64) - middle) @ known.whitening
    rows = directions(places)
    kept = min(COMPONENTS, 1 + len(rows) // 4)
    reduced = PCA(kept, svd_solver="full").fit_transform(rows)
    neighbours = min(len(rows), max(LEAST_NEIGHBOURS, min(least, len(rows) // MANY)))
    cluster = HDBSCAN(
        min_cluster_size=least, min_samples=neighbours, cluster_selection_method="leaf", allow_single_cluster=True, copy=True
    )
    found = cluster.fit_predict(reduced)
    centres = (known.centre - middle) @ known.whitening
    return sorted(
        (_cluster(np.flatnonzero(found == label), rows, places, centres, known.sources) for label in range(found.max() + 1)),
        key=lambda one: (-len(one.members), one.members.tolist()),
    )


def _cluster(members: Labels, rows: Doubles, places: Doubles, centres: Doubles, sources: Sequence[str]) -> Cluster:
    likeness = rows[members] @ directions(rows[members].mean(axis=0)[None])[0]
    order = np.lexsort((members, -likeness))
    distances = np.sqrt(np.square(centres - places[members].mean(axis=0)).sum(axis=1))
    nearest = int(distances.argmin())
    return Cluster(members[order], likeness[order], sources[nearest], float(distances[nearest]))


def named(found: Sequence[Sequence[str]], earlier: Mapping[str, Sequence[str]]) -> list[str]:
    """A name for each cluster, given the digests of its images: an earlier one's where they share more than half of either.

    A cluster that grows keeps its name, and one that falls apart leaves it to its largest part. Any other is called after the
    least of its digests.

    Args:
        found: digests of the images in each cluster.
        earlier: likewise, by the names that an earlier run gave.
    """
    holds = {image: name for name, images in earlier.items() for image in images}
    shared: dict[tuple[int, str], int] = {}
    for place, images in enumerate(found):
        for image in images:
            if image in holds:
                shared[place, holds[image]] = shared.get((place, holds[image]), 0) + 1
    names: dict[int, str] = {}
    for (place, name), count in sorted(shared.items(), key=lambda one: (-one[1], one[0])):
        enough = 2 * count > min(len(found[place]), len(earlier[name]))
        if enough and place not in names and name not in names.values():
            names[place] = name
    taken = set(earlier)
    for place, images in enumerate(found):
        if place not in names:
            digits = 12
            while (name := f"candidate-{min(images)[:digits]}") in taken:
                digits += 1
            names[place] = name
        taken.add(names[place])
    return [names[place] for place in range(len(found))]
