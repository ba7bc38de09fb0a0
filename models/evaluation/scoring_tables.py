"""Rows of an evaluation: recall by source and origin, confusion, reliability, what perturbations cost, bundles side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from causalprint.models.evaluation.perturbations import Perturbation
from causalprint.models.evaluation.scoring import ACCURACY, AUC, SURE, Truth, exclusions
from causalprint.models.labelled import STRANGER
from causalprint.models.statistics.metrics import (
    area_under_curve,
    bootstrap_each,
    confidence_bins,
    macro_recall,
)
from causalprint.models.verdicts import Verdicts
from causalprint.schemas.arrays import Labels, Mask, Scores
from causalprint.schemas.evaluations import Bin, ConfusionRow, Difference, Robustness, Share
from causalprint.schemas.reasons import Verdict

BINS = 15


class Resampling(NamedTuple):
    """Of the bootstrap: its seed and how often contents are drawn."""

    seed: int
    rounds: int


def recalls(truth: Truth, verdicts: Verdicts, resampling: Resampling) -> tuple[Share, ...]:
    """Recall of every known source, and of each of its origins."""
    return _by_origin(truth, truth.label != STRANGER, verdicts.found == truth.label, resampling)


def accusations(truth: Truth, verdicts: Verdicts, resampling: Resampling) -> tuple[Share, ...]:
    """What share of what no generator made is given a generator or is surely generated, of each kind and origin."""
    falsely = (verdicts.verdict == Verdict.KNOWN.value) | (verdicts.generated >= SURE)
    return _by_origin(truth, ~truth.generated, falsely, resampling)


def _by_origin(truth: Truth, of: Mask, counted: Mask, resampling: Resampling) -> tuple[Share, ...]:
    """Of the images in ``of`` (N,) the share in ``counted`` (N,): of every source, and of each of its origins."""
    if not of.any():
        return ()
    images = truth.images
    pairs = sorted(set(zip(images.source[of].tolist(), images.origin[of].tolist(), strict=True)))
    groups = sorted({(source, "") for source, _ in pairs} | set(pairs))
    masks = np.array([(images.source == source) & (images.origin == origin if origin else of) for source, origin in groups])
    right = counted.astype(np.float64)

    def shares(rows: Labels) -> Scores:
        members = masks[:, rows]
        counts = members.sum(axis=1)
        found = np.full(len(groups), np.nan)
        np.divide(members @ right[rows], counts, out=found, where=counts > 0)
        return found

    estimates = bootstrap_each(shares, truth.images.content.tolist(), *resampling)
    return tuple(
        Share(source, origin, bool(truth.trained[mask].all()) if origin else False, int(mask.sum()), estimate.rounded())
        for (source, origin), mask, estimate in zip(groups, masks, estimates, strict=True)
    )


def confusion(truth: Truth, verdicts: Verdicts, sources: Sequence[str]) -> tuple[ConfusionRow, ...]:
    """A row for every source of the images: those that the bundle knows in its order, then strangers by name."""
    present = set(truth.images.source.tolist())
    rows = [source for source in sources if source in present] + sorted(present - set(sources))
    found = verdicts.found
    return tuple(
        ConfusionRow(
            source,
            source in sources,
            tuple(np.bincount(found[truth.images.source == source], minlength=len(sources)).tolist()),
        )
        for source in rows
    )


def reliability(best: Scores, right: Mask) -> tuple[Bin, ...]:
    """The bins of calibration errors: of images (N,), by their best candidates' probability, which are ``right``; none empty."""
    place = confidence_bins(best, BINS)
    return tuple(
        Bin(int(here.sum()), round(float(best[here].mean()), 6), round(float(right[here].mean()), 6))
        for here in (place == index for index in range(BINS))
        if here.any()
    )


def robustness(
    name: str, perturbation: Perturbation, truth: Truth, before: Verdicts, after: Sequence[Verdicts], resampling: Resampling
) -> Robustness:
    """What ``perturbation`` costs.

    Args:
        name: of the perturbation.
        perturbation: for what is said of it.
        truth: of the images; only those of known sources count.
        before: verdicts on the images as they are.
        after: verdicts on the changed ones, a draw each; figures are means over them.
        resampling: of the bootstrap.
    """
    known = truth.label != STRANGER
    label = truth.label
    answers = np.array([each.found for each in after])
    changed = answers != before.found
    flipped = np.array([(each.verdict != before.verdict) | (each.named != before.named) for each in after])
    detected = truth.generated | (label == truth.real)
    chances = [each.generated for each in after]
    accused = np.mean([(each.verdict == Verdict.KNOWN.value) | (each.generated >= SURE) for each in after], axis=0)
    compared = exclusions(truth, before)[0]
    excluded = [exclusions(truth, each)[1] for each in after]

    def values(rows: Labels) -> list[float]:
        kept = rows[known[rows]]
        if not len(kept):
            return [float("nan")] * 7
        with_p = kept[compared[kept]]
        shown, others = kept[detected[kept]], kept[~truth.generated[kept]]
        accuracy = float(np.mean([macro_recall(label[kept], answer[kept]) for answer in answers]))
        return [
            accuracy,
            macro_recall(label[kept], before.found[kept]) - accuracy,
            float(flipped[:, kept].mean()),
            float(changed[:, kept].mean()),
            float(np.mean([area_under_curve(truth.generated[shown], chance[shown]) for chance in chances])),
            float(accused[others].mean()) if len(others) else float("nan"),
            float(np.mean([macro_recall(label[with_p], each[with_p]) for each in excluded])) if len(with_p) else float("nan"),
        ]

    estimates = bootstrap_each(values, truth.images.content.tolist(), *resampling)
    accuracy, lost, flips, answered = (estimate.rounded() for estimate in estimates[:4])
    auc, falsely, without = (estimate.written() for estimate in estimates[4:])
    return Robustness(name, perturbation.about, len(after), accuracy, lost, flips, answered, auc, falsely, without)


def differences(
    first: tuple[Truth, Verdicts], other: tuple[Truth, Verdicts], bundle_id: str, resampling: Resampling
) -> tuple[Difference, ...]:
    """Figures of ``other`` less those of ``first``, on images whose source both bundles know: paired, so that chance cancels."""
    truth = first[0]
    both = (truth.label != STRANGER) & (other[0].label != STRANGER)
    detected = truth.generated | (truth.label == truth.real)

    def scores(asked: tuple[Truth, Verdicts], rows: Labels) -> list[float]:
        known, said = asked
        shown = rows[detected[rows]]
        return [
            macro_recall(known.label[rows], said.found[rows]),
            area_under_curve(truth.generated[shown], said.generated[shown]),
        ]

    def values(rows: Labels) -> list[float]:
        kept = rows[both[rows]]
        if not len(kept):
            return [float("nan")] * 2
        return [mine - its for mine, its in zip(scores(other, kept), scores(first, kept), strict=True)]

    estimates = bootstrap_each(values, truth.images.content.tolist(), *resampling)
    return tuple(
        Difference(bundle_id, name, estimate.rounded(), int(both.sum()))
        for name, estimate in zip((ACCURACY, AUC), estimates, strict=True)
        if np.isfinite(estimate.value)
    )
