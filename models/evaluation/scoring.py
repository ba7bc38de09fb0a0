"""Figures of merit of a bundle's verdicts: each a metric of some images, all of them on the same resamples of contents."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

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
    """A figure before it is measured.

    Attributes:
        name: of the figure.
        of: the mask (N,) of the images that it is of.
        function: ``columns`` of some of them -> the value.
        columns: what is known of each image, (N,) or (N, K).
        note: what the figure is.
    """

    name: str
    of: Mask
    function: Callable[..., float | np.floating]
    columns: tuple[npt.NDArray[Any], ...]
    note: str

    def __call__(self, rows: Labels) -> float:
        """The value on ``rows``, with repetitions; NaN where the figure is of none of them."""
        kept = rows[self.of[rows]]
        return float(self.function(*(column[kept] for column in self.columns))) if len(kept) else math.nan


def truth_of(manifest: Manifest, images: LabelledImages) -> Truth:
    """What a bundle can be asked about labelled images."""
    seen = {(one.source, one.origin) for one in manifest.data if one.training + one.validation}
    pairs = zip(images.source.tolist(), images.origin.tolist(), strict=True)
    trained = np.array([pair in seen for pair in pairs], np.bool_)
    return Truth(images, images.labels(manifest.sources), manifest.sources.index(REAL), trained)


def estimates(metrics: Sequence[Metric], content: Text, seed: int, rounds: int) -> list[tuple[Metric, Estimate]]:
    """Every figure with its interval; one whose value is no number on these images is left out."""
    chosen = [metric for metric in metrics if metric.of.any()]
    if not chosen:
        return []
    found = bootstrap_each(lambda rows: [metric(rows) for metric in chosen], content.tolist(), seed, rounds)
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
    new = known & ~truth.trained
    real, chance = label == truth.real, verdicts.probabilities
    answered = np.isin(verdicts.verdict, (Verdict.REAL.value, Verdict.KNOWN.value))
    accused = verdicts.verdict == Verdict.KNOWN.value
    answers, detection = (label, found), (~real, 1 - chance[:, truth.real])
    about = f"mean recall of the best candidate over {len(np.unique(label[known]))} sources; chance {1 / chance.shape[1]:.2f}"
    about_new = f"of origins that the bundle's card does not name: {len(np.unique(label[new]))} sources"
    rarely = f"while at most 1 % of {int(real.sum())} photographs are accused"
    return [
        Metric(ACCURACY, known, macro_recall, answers, about),
        Metric(f"{ACCURACY}, new origins", new, macro_recall, answers, about_new),
        Metric("macro F1", known, macro_f1, answers, "over the same sources"),
        Metric(AUC, known, area_under_curve, detection, "by the probability of real"),
        Metric("generated found, TPR at 1 % FPR", known, tpr_at_fpr, detection, rarely),
        Metric("answered", known, np.mean, (answered,), "share with a verdict real or known"),
        Metric("right where answered", known & answered, np.mean, (found == label,), "share of those verdicts"),
        Metric("photographs accused", real, np.mean, (accused,), "share of real images that are named a generator"),
    ]


def calibration(truth: Truth, verdicts: Verdicts, temperature: float) -> list[Metric]:
    """How far probabilities of known sources' images can be believed, at temperature 1 and as calibrated."""
    known = truth.label != STRANGER
    right = verdicts.found == truth.label
    stages = (
        ("before", at_temperature_one(verdicts.probabilities, temperature), "at temperature 1"),
        ("after", verdicts.probabilities, f"at the bundle's temperature, {temperature:.4g}"),
    )
    metrics = []
    for stage, chances, note in stages:
        sure = (chances.max(axis=1), right)
        metrics += [
            Metric(f"calibration error {stage}", known, calibration_error, sure, f"ECE, 15 bins, {note}"),
            Metric(f"log loss {stage}", known, nll, (chances, truth.label), f"NLL, nats, {note}"),
        ]
    return metrics


def open_set(truth: Truth, verdicts: Verdicts) -> list[Metric]:
    """Known sources against strangers; no metrics where there are none of either."""
    known = truth.label != STRANGER
    if known.all() or not known.any():
        return []
    everything = np.ones(len(known), np.bool_)
    right = verdicts.found == truth.label
    against = f"known sources against {', '.join(np.unique(truth.images.source[~known]).tolist())}"
    kept = "share of strangers kept while 95 % of the known are; less is better"
    metrics = []
    for name, familiar in (("novelty", -verdicts.novelty), ("largest probability", verdicts.probabilities.max(axis=1))):
        metrics += [
            Metric(f"open set AUROC, {name}", everything, area_under_curve, (known, familiar), against),
            Metric(f"open set FPR at 95 % TPR, {name}", everything, fpr_at_tpr, (known, familiar), kept),
            Metric(
                f"open set OSCR, {name}", everything, _oscr, (known, right, familiar), "right and more familiar than a stranger"
            ),
        ]
    unknown = verdicts.verdict == Verdict.UNKNOWN.value
    named = verdicts.verdict == Verdict.KNOWN.value
    against_real = ~known | (truth.label == truth.real)
    detection = (~known, 1 - verdicts.probabilities[:, truth.real])
    by_real = "photographs against images of unknown sources, by the probability of real"
    return [
        *metrics,
        Metric("strangers called unknown", ~known, np.mean, (unknown,), "share of images of unknown sources"),
        Metric("strangers named", ~known, np.mean, (named,), "share of them that are named a known generator"),
        Metric("real against strangers, AUC", against_real, area_under_curve, detection, by_real),
    ]


def _oscr(known: Mask, right: Mask, familiar: Scores) -> float:
    return oscr(right[known], familiar[known], familiar[~known])


def aligned(truth: Truth, verdicts: Verdicts) -> list[Metric]:
    """One content through every decoder: metrics on pairs, of known sources."""
    _, content = np.unique(truth.images.content, return_inverse=True)
    tests = (
        ("swap test, right verdicts hold", swap_holds, "same decoder, new content: a right verdict is right again"),
        ("swap test, any verdict holds", swap_consistency, "same decoder, new content: pairs with one verdict"),
        ("decoder swap moves the verdict", decoder_moves, "same content, other decoder: pairs with two verdicts"),
        ("contents right in every version", contents_solved, "share of images whose content is right throughout"),
    )
    columns = (truth.label, content, verdicts.found)
    return [Metric(name, truth.label != STRANGER, test, columns, note) for name, test, note in tests]
