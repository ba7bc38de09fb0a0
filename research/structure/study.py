"""Do fingerprints group as generators are built? Clusters of fingerprints against declared design choices, by mutual information.

ManiFPT (CVPR 2024) clusters artefacts by k-means and compares the clusters with hyperparameters of the generators by normalised
mutual information (NMI). Images of one source cluster together for many reasons, and any choice that differs between sources
then shares information with the clusters. So what NMI is worth is told by permutations: the same clusters against the same
choices dealt out to other sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.research.structure.designs import Design

PER_SOURCE = 60
"""Images of each source at most, drawn by the seed, so that no collection outweighs the others."""
PERMUTATIONS = 2000
LEAST_SOURCES = 3

Counts = npt.NDArray[np.int64]


class StructureRow(NamedTuple):
    """One design choice.

    Attributes:
        choice: a field of :class:`~causalprint.research.structure.designs.Design`.
        values: number of different ones, and of clusters.
        sources: how many declare it.
        images: how many of theirs were clustered.
        nmi: normalised mutual information of clusters and values, 0 to 1 (arithmetic mean of the entropies).
        chance: mean NMI when the values are dealt out to the sources at random.
        p: share of such deals, the declared one among them, with at least this NMI.
    """

    choice: str
    values: int
    sources: int
    images: int
    nmi: float
    chance: float
    p: float


def structure_study(
    fingerprints: npt.NDArray[Any], sources: npt.NDArray[np.str_], designs: Mapping[str, Design], seed: int
) -> list[StructureRow]:
    """Clusters fingerprints by k-means, once for each design choice with as many clusters as it has values, and compares.

    Args:
        fingerprints: (N, D), or artefacts; standardised here.
        sources: (N,) their sources; those without a design are left out, and of each choice those that do not declare it.
        designs: by source, usually :data:`~causalprint.research.structure.designs.DESIGNS`.
        seed: of the images drawn, of k-means and of the permutations.

    Returns:
        a row for each choice that at least three sources declare with at least two values, the strongest first.

    Raises:
        RuntimeError: scikit-learn is not installed.
    """
    draw = np.random.default_rng(seed)
    kept = _balanced(sources, designs, draw)
    points, names = fingerprints[kept].astype(np.float64), sources[kept]
    points = (points - points.mean(axis=0)) / (points.std(axis=0) + 1e-9) if len(points) else points
    rows = []
    for choice in Design._fields:
        values = {source: value for source in sorted(set(names.tolist())) if (value := getattr(designs[source], choice))}
        if len(values) < LEAST_SOURCES or len(set(values.values())) < 2:
            continue
        chosen = np.isin(names, list(values))
        clusters = _clusters(points[chosen], len(set(values.values())), seed)
        rows.append(_compare(choice, clusters, names[chosen], values, draw))
    return sorted(rows, key=lambda row: -row.nmi)


def nmi(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Normalised mutual information of two labellings (N,): mutual information over the mean of their entropies, 0 to 1.

    0 where one of them is constant.
    """
    return _nmi(_crossed(first, second))


def _balanced(sources: npt.NDArray[np.str_], designs: Mapping[str, Design], draw: np.random.Generator) -> Counts:
    known = sorted(set(sources.tolist()) & designs.keys())
    kept = [draw.permutation(np.flatnonzero(sources == source))[:PER_SOURCE] for source in known]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *kept]))


def _clusters(points: npt.NDArray[np.float64], count: int, seed: int) -> Counts:
    try:
        cluster = import_module("sklearn.cluster")
    except ImportError as error:
        raise RuntimeError("the structure study needs scikit-learn: pip install 'causalprint[compare]'") from error
    found: Counts = cluster.KMeans(count, n_init=10, random_state=seed).fit_predict(points).astype(np.int64)
    return found


def _compare(
    choice: str, clusters: Counts, names: npt.NDArray[np.str_], values: Mapping[str, str], draw: np.random.Generator
) -> StructureRow:
    by_source = _crossed(names, clusters)  # rows in sorted order, as those of ``values``
    _, declared = np.unique(list(values.values()), return_inverse=True)
    found = _nmi(_merged(by_source, declared))
    dealt = np.array([_nmi(_merged(by_source, draw.permutation(declared))) for _ in range(PERMUTATIONS)])
    p = (1 + np.count_nonzero(dealt >= found - 1e-12)) / (1 + PERMUTATIONS)
    return StructureRow(choice, int(declared.max()) + 1, len(values), len(names), found, float(dealt.mean()), float(p))


def _crossed(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Counts:
    """How often each value of ``first`` meets each of ``second``."""
    _, rows = np.unique(first, return_inverse=True)
    _, columns = np.unique(second, return_inverse=True)
    counts = np.zeros((rows.max() + 1, columns.max() + 1), np.int64)
    np.add.at(counts, (rows, columns), 1)
    return counts


def _merged(by_source: Counts, value_of: Counts) -> Counts:
    counts = np.zeros((value_of.max() + 1, by_source.shape[1]), np.int64)
    np.add.at(counts, value_of, by_source)
    return counts


def _nmi(counts: Counts) -> float:
    joint = counts / counts.sum()
    entropies = _entropy(joint.sum(axis=1)) + _entropy(joint.sum(axis=0))
    shared = entropies - _entropy(joint.ravel())
    return float(max(0.0, 2 * shared / entropies)) if entropies > 0 and min(counts.shape) > 1 else 0.0


def _entropy(shares: npt.NDArray[np.float64]) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())
