"""Figures that a bundle carries: of held-out images, with intervals, and beside them what shortcuts alone would reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from causalprint.models.bundles.manifest import REAL, Figure
from causalprint.models.bundles.trust import AUDIT
from causalprint.models.evaluation.scoring_tables import Resampling
from causalprint.models.evaluation.shortcuts import file_features, held_out_recall
from causalprint.models.statistics.metrics import ROUNDS, area_under_curve, bootstrap, calibration_error, macro_recall
from causalprint.models.training.head import Head
from causalprint.schemas.arrays import Labels, Mask, Text
from causalprint.schemas.estimates import Estimate


def evaluate_head(head: Head, sources: Sequence[str], labels: Labels, origins: Text, contents: Text, seed: int) -> list[Figure]:
    """Figures of the held-out images of ``head``; labels of ``sources``, origins and contents as it was fitted to, (N,)."""
    real = sources.index(REAL)
    known = np.isfinite(head.held_out[:, 0])
    chances, truth, clusters = head.held_out[known].astype(np.float64), labels[known], contents[known].tolist()
    found, best = chances.argmax(axis=1), chances.max(axis=1)
    new, about_new = _of_new_origins(known, labels, origins)
    answered = (best >= head.decision.minimum_probability) & (head.novelty[known] <= 1)

    def figure(name: str, metric: Callable[[Labels], float], note: str) -> Figure:
        return _figure(name, bootstrap(metric, clusters, seed), note)

    def right(rows: Labels) -> float:
        given = rows[answered[rows]]
        return float(np.mean(found[given] == truth[given])) if len(given) else float("nan")

    def recall_of_new(rows: Labels) -> float:
        chosen = rows[new[rows]]
        return macro_recall(truth[chosen], found[chosen]) if len(chosen) else float("nan")

    figures = [
        figure(
            "macro recall",
            lambda rows: macro_recall(truth[rows], found[rows]),
            f"all sources; chance {1 / chances.shape[1]:.2f}",
        ),
        figure(
            "real against generated, AUC",
            lambda rows: area_under_curve(truth[rows] == real, chances[rows, real]),
            "all sources",
        ),
        figure("answered", lambda rows: float(answered[rows].mean()), "share of images with a verdict real or known"),
        figure("right where answered", right, "share of those verdicts"),
        figure(
            "calibration error",
            lambda rows: calibration_error(best[rows], found[rows] == truth[rows]),
            "ECE, 15 bins, held-out images; those of new origins set the temperature",
        ),
    ]
    if new.any():
        figures.insert(1, figure("macro recall, unseen origins", recall_of_new, about_new))
    figures += [_recall(source, label, found, truth, clusters, seed) for label, source in enumerate(sources)]
    return [item for item in figures if np.isfinite(item.value)]


def audit_shortcuts(
    encoded_bytes: Labels,
    thumbnail: npt.NDArray[np.uint8],
    labels: Labels,
    contents: Text,
    folds: Sequence[Mask],
    seed: int,
    threads: int,
) -> list[Figure]:
    """What forests make of what is no fingerprint: file size, a thumbnail (N, 768), and the latter with labels shuffled."""
    size = file_features(encoded_bytes)
    audits = (
        ("file size alone", size, False),
        ("16x16 thumbnail", thumbnail, False),
        ("thumbnail, labels shuffled", thumbnail, True),
    )
    note = f"macro recall; chance {1 / (int(labels.max()) + 1):.2f}"
    return [
        _figure(
            f"{AUDIT}{name}",
            held_out_recall(values, labels, contents, folds, Resampling(seed, ROUNDS), threads, shuffled=shuffled),
            note,
        )
        for name, values, shuffled in audits
    ]


def _recall(source: str, label: int, found: Labels, truth: Labels, clusters: list[str], seed: int) -> Figure:
    of_source = truth == label

    def recall(rows: Labels) -> float:
        chosen = rows[of_source[rows]]
        return float(np.mean(found[chosen] == label)) if len(chosen) else float("nan")

    return _figure(f"recall, {source}", bootstrap(recall, clusters, seed), f"best candidate, of {int(of_source.sum())} images")


def _figure(name: str, estimate: Estimate, note: str) -> Figure:
    return Figure(name, *estimate.rounded(4), note)


def _of_new_origins(held_out: Mask, labels: Labels, origins: Text) -> tuple[Mask, str]:
    """Which of the M images in the mask ``held_out`` (N,) are of an origin that was not learned from, (M,), and in words."""
    if held_out.all():  # in turn, whole origins where a source has several
        several = [label for label in np.unique(labels) if len(np.unique(origins[labels == label])) > 1]
        return np.isin(labels, several), "sources with several origins, each origin held out"
    places = list(zip(labels.tolist(), origins.tolist(), strict=True))
    seen = {place for place, held in zip(places, held_out, strict=True) if not held}
    new = [place not in seen for place, held in zip(places, held_out, strict=True) if held]
    return np.array(new, np.bool_), "held-out images of origins that were not learned from"
