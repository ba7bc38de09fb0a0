"""Figures of merit of a bundle's verdicts: each a metric of some images, all of them on the same resamples of contents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from causalprint.models.bundles.manifest import REAL, Manifest
from causalprint.models.evaluation.consistency import contents_solved, decoder_moves, swap_consistency, swap_holds
from causalprint.models.labelled import STRANGER, LabelledImages
from causalprint.models.statistics.metrics import (
    area_under_curve,
    bootstrap_each,
    calibration_error,
    fpr_at_tpr,
    macro_f1,
    macro_recall,
    nll,
    oscr,
    tpr_at_fpr,
)
from causalprint.models.verdicts import Verdicts, at_temperature_one
from causalprint.schemas.arrays import Labels, Mask, Scores, Text
from causalprint.schemas.estimates import Estimate
from causalprint.schemas.evaluations import Measure
from causalprint.schemas.reasons import Verdict

ACCURACY = "macro accuracy"
AUC = "real against generated, AUC"


class Truth(NamedTuple):
    """What is known of N images, and how a bundle calls it.

    Attributes:
        images: as they are labelled.
        label: int64 (N,), place in the bundle's sources; :data:`~causalprint.models.labelled.STRANGER` where it is none of them.
        real: the label of ``real``.
        trained: (N,), whether the bundle's card names training images of that source and origin.
    """

    images: LabelledImages
    label: Labels
    real: int
    trained: Mask


class Metric(NamedTuple):
    """A figure before it is measured: its name, the mask (N,) of the images that it is of, rows -> value, and what it is."""

    name: str
    of: Mask
    measure: Callable[[Labels], float]
    note: str


def truth_of(manifest: Manifest, images: LabelledImages) -> Truth:
    """What a bundle can be asked about labelled images."""
    seen = {(one.source, one.origin) for one in manifest.data if one.training + one.validation}
    pairs = zip(images.source.tolist(), images.origin.tolist(), strict=True)
    trained = np.array([pair in seen for pair in pairs], np.bool_)
    return Truth(images, images.labels(manifest.sources), manifest.sources.index(REAL), trained)


def estimates(metrics: Sequence[Metric], content: Text, seed: int, rounds: int) -> list[tuple[Metric, Estimate]]:
    """Every figure with its interval; one whose value is no number on these images is left out."""
    chosen = [metric for metric in metrics if metric.of.any()]

    def values(rows: Labels) -> list[float]:
        return [metric.measure(rows[metric.of[rows]]) if metric.of[rows].any() else float("nan") for metric in chosen]

    found = bootstrap_each(values, content.tolist(), seed, rounds) if chosen else []
    return [(metric, estimate) for metric, estimate in zip(chosen, found, strict=True) if np.isfinite(estimate.value)]


def measure(metrics: Sequence[Metric], content: Text, seed: int, rounds: int) -> tuple[Measure, ...]:
    """As an evaluation writes :func:`estimates`."""
    return tuple(
        Measure(metric.name, estimate.rounded(), int(metric.of.sum()), metric.note)
        for metric, estimate in estimates(metrics, content, seed, rounds)
    )


def closed_set(truth: Truth, verdicts: Verdicts) -> list[Metric]:
    """Images of the sources that the bundle knows: attribution, detection, and how often it answers."""
    known, found, label = truth.label != STRANGER, verdicts.found, truth.label
    real, chance = label == truth.real, verdicts.probabilities
    answered = np.isin(verdicts.verdict, (Verdict.REAL.value, Verdict.KNOWN.value))
    accused = verdicts.verdict == Verdict.KNOWN.value
    generated = 1 - chance[:, truth.real]
    sources = len(np.unique(label[known]))
    return [
        Metric(
            ACCURACY,
            known,
            lambda rows: macro_recall(label[rows], found[rows]),
            f"mean recall of the best candidate over {sources} sources; chance {1 / chance.shape[1]:.2f}",
        ),
        Metric(
            f"{ACCURACY}, new origins",
            known & ~truth.trained,
            lambda rows: macro_recall(label[rows], found[rows]),
            f"of origins that the bundle's card does not name: {len(np.unique(label[known & ~truth.trained]))} sources",
        ),
        Metric("macro F1", known, lambda rows: macro_f1(label[rows], found[rows]), "over the same sources"),
        Metric(AUC, known, lambda rows: area_under_curve(~real[rows], generated[rows]), "by the probability of real"),
        Metric(
            "generated found, TPR at 1 % FPR",
            known,
            lambda rows: tpr_at_fpr(~real[rows], generated[rows]),
            f"while at most 1 % of {int(real.sum())} photographs are accused",
        ),
        Metric("answered", known, lambda rows: float(answered[rows].mean()), "share with a verdict real or known"),
        Metric(
            "right where answered",
            known & answered,
            lambda rows: float((found[rows] == label[rows]).mean()),
            "share of those verdicts",
        ),
        Metric(
            "photographs accused",
            real,
            lambda rows: float(accused[rows].mean()),
            "share of real images that are named a generator",
        ),
    ]


def calibration(truth: Truth, verdicts: Verdicts, temperature: float) -> list[Metric]:
    """How far probabilities of known sources' images can be believed, at temperature 1 and as calibrated."""
    label, known = truth.label, truth.label != STRANGER
    right = verdicts.found == label

    def at(stage: str, chances: Scores, note: str) -> list[Metric]:
        best = chances.max(axis=1)
        return [
            Metric(
                f"calibration error {stage}",
                known,
                lambda rows: calibration_error(best[rows], right[rows]),
                f"ECE, 15 bins, {note}",
            ),
            Metric(f"log loss {stage}", known, lambda rows: nll(chances[rows], label[rows]), f"NLL, nats, {note}"),
        ]

    return [
        *at("before", at_temperature_one(verdicts.probabilities, temperature), "at temperature 1"),
        *at("after", verdicts.probabilities, f"at the bundle's temperature, {temperature:.4g}"),
    ]


def open_set(truth: Truth, verdicts: Verdicts) -> list[Metric]:
    """Known sources against strangers; no metrics where there are none of either."""
    known = truth.label != STRANGER
    if known.all() or not known.any():
        return []
    everything = np.ones(len(known), np.bool_)
    right = verdicts.found == truth.label
    strangers = ", ".join(np.unique(truth.images.source[~known]).tolist())

    def by(name: str, familiar: Scores) -> list[Metric]:
        def classified(rows: Labels) -> float:
            among = known[rows]
            return oscr(right[rows][among], familiar[rows][among], familiar[rows][~among])

        return [
            Metric(
                f"open set AUROC, {name}",
                everything,
                lambda rows: area_under_curve(known[rows], familiar[rows]),
                f"known sources against {strangers}",
            ),
            Metric(
                f"open set FPR at 95 % TPR, {name}",
                everything,
                lambda rows: fpr_at_tpr(known[rows], familiar[rows]),
                "share of strangers kept while 95 % of the known are; less is better",
            ),
            Metric(f"open set OSCR, {name}", everything, classified, "right and more familiar than a stranger"),
        ]

    unknown = verdicts.verdict == Verdict.UNKNOWN.value
    named = verdicts.verdict == Verdict.KNOWN.value
    real = verdicts.probabilities[:, truth.real]
    return [
        *by("novelty", -verdicts.novelty),
        *by("largest probability", verdicts.probabilities.max(axis=1)),
        Metric(
            "strangers called unknown", ~known, lambda rows: float(unknown[rows].mean()), "share of images of unknown sources"
        ),
        Metric(
            "strangers named", ~known, lambda rows: float(named[rows].mean()), "share of them that are named a known generator"
        ),
        Metric(
            "real against strangers, AUC",
            ~known | (truth.label == truth.real),
            lambda rows: area_under_curve(~known[rows], 1 - real[rows]),
            "photographs against images of unknown sources, by the probability of real",
        ),
    ]


def aligned(truth: Truth, verdicts: Verdicts) -> list[Metric]:
    """One content through every decoder: metrics on pairs, of known sources."""
    known, found, label = truth.label != STRANGER, verdicts.found, truth.label
    _, content = np.unique(truth.images.content, return_inverse=True)
    tests = (
        ("swap test, right verdicts hold", swap_holds, "same decoder, new content: a right verdict is right again"),
        ("swap test, any verdict holds", swap_consistency, "same decoder, new content: pairs with one verdict"),
        ("decoder swap moves the verdict", decoder_moves, "same content, other decoder: pairs with two verdicts"),
        ("contents right in every version", contents_solved, "share of images whose content is right throughout"),
    )
    return [
        Metric(name, known, lambda rows, test=test: test(label[rows], content[rows], found[rows]), note)  # type: ignore[misc]
        for name, test, note in tests
    ]
