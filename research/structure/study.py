"""``causalprint lab structure``: do the fingerprints of an evaluation group as the generators are built?

ManiFPT (CVPR 2024) clusters artefacts by k-means and compares the clusters with hyperparameters of the generators by normalised
mutual information (NMI). Images of one source cluster together for many reasons, and any choice that differs between sources
then shares information with the clusters. So what NMI is worth is told by permutations: the same clusters against the same
choices dealt out to other sources.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.special import entr
from sklearn.cluster import KMeans
from sklearn.metrics.cluster import contingency_matrix

from causalprint.pipelines.labelled.reader import Report
from causalprint.pipelines.results.sections import publish_section
from causalprint.research.structure.config import StructureConfig
from causalprint.research.structure.designs import DESIGNS, Design
from causalprint.schemas.arrays import Labels, Text
from causalprint.schemas.records import to_json
from causalprint.schemas.rendering import render

KEY = "structure"
PER_SOURCE = 60
"""Images of each source at most, drawn by the seed, so that no collection outweighs the others."""
PERMUTATIONS = 2000
LEAST_SOURCES = 3


class EvidenceError(ValueError):
    """A folder that holds no evaluation whose structure could be studied; the message says what to give."""


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


class BundleStructure(NamedTuple):
    """How far the fingerprints of one bundle follow each design choice, the strongest first."""

    bundle_id: str
    rows: tuple[StructureRow, ...]


class Structure(NamedTuple):
    """``structure.json``: the command that repeats it, and the bundles of the evaluation in its order."""

    command: str
    bundles: tuple[BundleStructure, ...]


def structure(config: StructureConfig, report: Report = lambda _: None) -> Structure:
    """Studies every bundle of an evaluation, and writes ``structure.json`` and the section of ``RESULTS.md``.

    Raises:
        EvidenceError: there is no evaluation, or too few of its sources have a declared design.
        ResultsError: the output cannot be written.
    """
    table = _predictions(config.evidence)
    studied = []
    for bundle in table.column("bundle").unique().to_pylist():
        report(f"clustering the fingerprints of {bundle}")
        rows = table.filter(pc.equal(table.column("bundle"), bundle))
        values = rows.column("fingerprint").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        sources = np.array(rows.column("source").to_pylist(), np.str_)
        found = structure_study(values.reshape(len(rows), -1), sources, DESIGNS, config.seed)
        studied.append(BundleStructure(bundle, tuple(found)))
    if not any(one.rows for one in studied):
        raise EvidenceError(
            f"{config.evidence}: fewer than {LEAST_SOURCES} of its sources have a declared design that differs; the study knows "
            f"{', '.join(DESIGNS)}"
        )
    made = Structure(shlex.join(config.argv()), tuple(studied))
    text = render("research/structure/section.md.j2", made=made)
    publish_section(config.output, KEY, text, {f"{KEY}.json": (to_json(made, indent=1) + "\n").encode()})
    return made


def _predictions(evidence: Path) -> pa.Table:
    path = evidence / "predictions.parquet"
    try:
        return pq.read_table(path, columns=["fingerprint", "source", "bundle"])
    except FileNotFoundError as error:
        raise EvidenceError(f"{path} is not there; give the folder that `causalprint evaluate --output` wrote") from error
    except (pa.ArrowInvalid, KeyError) as error:
        raise EvidenceError(f"{path} is no table of an evaluation: {json.dumps(str(error))}; evaluate again") from error


def structure_study(
    fingerprints: npt.NDArray[Any], sources: Text, designs: Mapping[str, Design], seed: int
) -> list[StructureRow]:
    """Clusters fingerprints by k-means, once for each design choice with as many clusters as it has values, and compares.

    Args:
        fingerprints: (N, D), or artefacts; standardised here.
        sources: (N,) their sources; those without a design are left out, and of each choice those that do not declare it.
        designs: by source, usually :data:`~causalprint.research.structure.designs.DESIGNS`.
        seed: of the images drawn, of k-means and of the permutations.

    Returns:
        a row for each choice that at least three sources declare with at least two values, the strongest first.
    """
    draw = np.random.default_rng(seed)
    known = sorted(set(sources.tolist()) & designs.keys())
    drawn = [draw.permutation(np.flatnonzero(sources == source))[:PER_SOURCE] for source in known]
    kept = np.sort(np.concatenate([np.zeros(0, np.int64), *drawn]))
    points, names = fingerprints[kept].astype(np.float64), sources[kept]
    points = (points - points.mean(axis=0)) / (points.std(axis=0) + 1e-9) if len(points) else points
    rows = []
    for choice in Design._fields:
        values = {source: value for source in known if (value := getattr(designs[source], choice))}
        if len(values) < LEAST_SOURCES or len(set(values.values())) < 2:
            continue
        chosen = np.isin(names, list(values))
        _, declared = np.unique(list(values.values()), return_inverse=True)
        count = int(declared.max()) + 1
        clusters = KMeans(count, n_init=10, random_state=seed).fit_predict(points[chosen])
        by_source = contingency_matrix(names[chosen], clusters)  # rows in sorted order, as those of ``values``
        found = nmi(_merged(by_source, declared))
        dealt = np.array([nmi(_merged(by_source, draw.permutation(declared))) for _ in range(PERMUTATIONS)])
        p = float((1 + np.count_nonzero(dealt >= found - 1e-12)) / (1 + PERMUTATIONS))
        rows.append(StructureRow(choice, count, len(values), int(chosen.sum()), found, float(dealt.mean()), p))
    return sorted(rows, key=lambda row: -row.nmi)


def nmi(counts: Labels) -> float:
    """Normalised mutual information of two labellings: mutual information over the mean of their entropies, 0 to 1.

    ``counts`` says how often each value of the one meets each of the other. 0 where one of them is constant.
    """
    joint = counts / counts.sum()
    entropies = entr(joint.sum(axis=1)).sum() + entr(joint.sum(axis=0)).sum()
    shared = entropies - entr(joint).sum()
    return float(max(0.0, 2 * shared / entropies)) if entropies > 0 and min(counts.shape) > 1 else 0.0


def _merged(by_source: Labels, value_of: Labels) -> Labels:
    """The rows of sources that share a value, added up."""
    return np.stack([by_source[value_of == value].sum(axis=0) for value in range(value_of.max() + 1)])
