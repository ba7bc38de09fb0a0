"""What an evaluation asks of each bundle: verdicts on images as they are and on perturbed ones, and all figures of those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np

from causalprint.models.bundles.bundle import Bundle
from causalprint.models.evaluation.content import Content
from causalprint.models.evaluation.perturbations import PERTURBATIONS, Perturbation, seed_of
from causalprint.models.evaluation.scoring import (
    Truth,
    aligned,
    beside_each_kind,
    calibration,
    closed_set,
    measure,
    nearest,
    of_hard_photographs,
    open_set,
    truth_of,
)
from causalprint.models.evaluation.scoring_tables import Resampling, accusations, confusion, recalls, reliability, robustness
from causalprint.models.evaluation.shortcuts import audit_recalls, file_features, thumbnails
from causalprint.models.labelled import STRANGER, LabelledCrops
from causalprint.models.statistics.metrics import is_above_chance
from causalprint.models.verdicts import Judge, Verdicts
from causalprint.schemas.arrays import Mask, Pixels, Text
from causalprint.schemas.evaluations import BundleEvaluation, Robustness, Shortcut

Report = Callable[[str], None]
FOLDS = 5
AUDITS = (
    "size and encoding of the file, height and width",
    "mean colour and a 16x16 thumbnail",
    "the thumbnail, labels shuffled",
)
UNCHANGED = Perturbation("the images as they are", lambda pixels, _: pixels)


class Judged(NamedTuple):
    """A bundle, what it can be asked, and what it said of the images as they are."""

    judge: Judge
    truth: Truth
    verdicts: Verdicts


def judge_bundle(
    bundle: Bundle, labelled: LabelledCrops, content: Content, device: str, pool: Executor, report: Report
) -> Judged:
    """Loads a bundle and asks it about every image."""
    judge = Judge(bundle, device)
    truth = truth_of(bundle.manifest, labelled.images, content)
    return Judged(judge, truth, _verdicts(judge, labelled, "unchanged", UNCHANGED, 0, pool, report))


def perturb(
    judged: Judged,
    labelled: LabelledCrops,
    names: Sequence[str],
    seeds: int,
    resampling: Resampling,
    pool: Executor,
    report: Report,
) -> tuple[Robustness, ...]:
    """What perturbations of those ``names`` cost, beginning with none. Those that are drawn are drawn ``seeds`` times."""
    judge, truth, verdicts = judged
    rows = [robustness("none", UNCHANGED, truth, verdicts, [verdicts], resampling)]
    for name in names:
        perturbation = PERTURBATIONS[name]
        draws = range(seeds if perturbation.drawn else 1)
        after = [_verdicts(judge, labelled, name, perturbation, seed, pool, report) for seed in draws]
        rows.append(robustness(name, perturbation, truth, verdicts, after, resampling))
    return tuple(rows)


def measure_bundle(judged: Judged, track: str, costs: tuple[Robustness, ...], resampling: Resampling) -> BundleEvaluation:
    """All figures of one bundle."""
    judge, truth, verdicts = judged
    manifest = judge.bundle.manifest
    temperature = manifest.decision.temperature
    metrics = [*closed_set(truth, verdicts), *calibration(truth, verdicts, temperature), *nearest(truth, verdicts)]
    metrics += open_set(truth, verdicts)
    if track == "aligned":
        metrics += aligned(truth, verdicts)
    metrics += beside_each_kind(truth, verdicts) if track == "hard" else of_hard_photographs(truth, verdicts)
    known = truth.label != STRANGER
    right, best = (verdicts.found == truth.label)[known], (np.arange(len(known)), verdicts.found)
    return BundleEvaluation(
        bundle_id=judge.bundle.bundle_id,
        digest=judge.bundle.digest,
        residual=manifest.residual,
        sources=manifest.sources,
        temperature=temperature,
        measures=measure(metrics, truth.images.content, *resampling),
        recalls=recalls(truth, verdicts, resampling),
        accusations=accusations(truth, verdicts, resampling),
        confusion=confusion(truth, verdicts, manifest.sources),
        before=reliability(verdicts.uncalibrated[best][known], right),
        after=reliability(verdicts.probabilities[best][known], right),
        robustness=costs,
    )


def audit_images(labelled: LabelledCrops, judged: Sequence[Judged], resampling: Resampling, threads: int) -> tuple[Shortcut, ...]:
    """Audits of the images whose source some bundle knows."""
    known = np.any([one.truth.label != STRANGER for one in judged], axis=0)
    return audit_track(labelled, known, resampling, threads)


def audit_track(labelled: LabelledCrops, chosen: Mask, resampling: Resampling, threads: int) -> tuple[Shortcut, ...]:
    """The three audits of the images in the mask ``chosen`` (N,), any of which above chance voids the track.

    There are none where those images are of one source or of one content.
    """
    images = labelled.images
    names, labels = np.unique(images.source[chosen], return_inverse=True)
    contents = images.content[chosen]
    folds = content_folds(contents, resampling.seed)
    if len(names) < 2 or len(folds) < 2:
        return ()
    listing = file_features(images.encoded_bytes, images.encoding, images.size)[chosen]
    # All of them, one by one: a mask would fetch every crop of a mapped file into memory.
    glance = thumbnails(labelled.crops)[chosen]
    recalls = audit_recalls(listing, glance, labels, contents, folds, resampling, threads)
    return tuple(
        Shortcut(name, recall.rounded(), round(1 / len(names), 6), is_above_chance(recall, len(names)))
        for name, recall in zip(AUDITS, recalls, strict=True)
    )


def content_folds(content: Text, seed: int) -> list[Mask]:
    """Disjoint masks (N,) that together hold every image; images of one content are in one of them."""
    names, place = np.unique(content, return_inverse=True)
    count = min(FOLDS, len(names))
    fold = np.random.default_rng(seed).permutation(len(names)) % max(1, count)
    return [fold[place] == index for index in range(count)]


def _verdicts(
    judge: Judge, labelled: LabelledCrops, name: str, perturbation: Perturbation, seed: int, pool: Executor, report: Report
) -> Verdicts:
    count = len(labelled.images)

    def image(number: int) -> Pixels:
        return perturbation.apply(labelled.crops[number], seed_of(str(labelled.images.image_id[number]), seed))

    return judge(count, image, pool, lambda done: report(f"{judge.bundle.bundle_id}, {name}: {done:,} of {count:,} images"))
