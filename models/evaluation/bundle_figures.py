"""Figures that a bundle carries: of held-out images, with intervals, and beside them what shortcuts alone would reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from causalprint.models.bundles.decision import even_shares
from causalprint.models.bundles.manifest import REAL, UNREGISTERED, Figure, are_generators
from causalprint.models.bundles.trust import AUDIT
from causalprint.models.evaluation.scoring import AT_PRIOR, AUC, FOUND, Metric, accusations, estimates
from causalprint.models.evaluation.scoring_tables import Resampling
from causalprint.models.evaluation.shortcuts import audit_recalls, file_features
from causalprint.models.statistics.calibration import at_prior
from causalprint.models.statistics.metrics import ROUNDS, area_under_curve, calibration_error, macro_recall, tpr_at_fpr
from causalprint.models.statistics.origins import of_new_origins
from causalprint.models.training.head import Head
from causalprint.schemas.arrays import Labels, Mask, Text

AUDITS = ("file size alone", "16x16 thumbnail", "thumbnail, labels shuffled")


def evaluate_head(head: Head, sources: Sequence[str], labels: Labels, origins: Text, contents: Text, seed: int) -> list[Figure]:
    """Figures of the held-out images of ``head``; labels of ``sources``, origins and contents as it was fitted to, (N,)."""
    known = np.isfinite(head.held_out[:, 0])
    chances, truth = head.held_out[known].astype(np.float64), labels[known]
    found, best = chances.argmax(axis=1), chances.max(axis=1)
    right, everything = found == truth, np.ones(len(truth), np.bool_)
    generated, decision = head.generated[known].astype(np.float64), head.decision
    generators = np.array(are_generators(sources))
    made = generators[truth]
    cleared, accused = generated <= decision.cleared_limit, generated >= decision.generated_limit
    of_generator, of_others = np.where(generators, chances, -1.0), np.where(generators, -1.0, chances)
    named = accused & (head.novelty[known] <= 1) & (of_generator.max(axis=1) >= decision.minimum_probability)
    named &= np.array(sources)[of_generator.argmax(axis=1)] != UNREGISTERED
    answered = cleared | named
    answer = np.where(named, of_generator.argmax(axis=1), of_others.argmax(axis=1))
    new, about_new = of_new_origins(known, labels, origins), "held-out images of origins that were not learned from"
    if known[generators[labels]].all():  # in turn, whole origins where a source has several
        several = [label for label in np.unique(labels) if len(np.unique(origins[labels == label])) > 1]
        new, about_new = np.isin(labels, several), "sources with several origins, each origin held out"
    answers, detection = (truth, found), (made, generated)
    of_photographs = made | (truth == sources.index(REAL))
    about_errors = f"ECE, 15 bins, held-out images, {AT_PRIOR}; those of new origins set the temperature"
    weights = at_prior(truth, even_shares(sources))
    metrics = [
        Metric("macro recall", everything, macro_recall, answers, f"all sources; chance {1 / chances.shape[1]:.2f}"),
        Metric("macro recall, unseen origins", new, macro_recall, answers, about_new),
        Metric(AUC, of_photographs, area_under_curve, detection, "all sources, by generated_probability"),
        Metric(FOUND, of_photographs, tpr_at_fpr, detection, "while at most 1 % of photographs are accused"),
        *accusations(np.array(sources)[truth], named, accused, generated),
        Metric("answered", everything, np.mean, (answered,), "share with a verdict real or graphic, or a named generator"),
        Metric("right where answered", answered, np.mean, (answer == truth,), "share of those verdicts"),
        Metric("calibration error", everything, calibration_error, (best, right, weights), about_errors),
    ]
    for label, source in enumerate(sources):
        of_source = truth == label
        about = f"best candidate, of {int(of_source.sum())} images"
        metrics.append(Metric(f"recall, {source}", of_source, np.mean, (right,), about))
    return [
        Figure(metric.name, *estimate.rounded(4), metric.note)
        for metric, estimate in estimates(metrics, contents[known], seed, ROUNDS)
    ]


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
    recalls = audit_recalls(size, thumbnail, labels, contents, folds, Resampling(seed, ROUNDS), threads)
    note = f"macro recall; chance {1 / (int(labels.max()) + 1):.2f}"
    return [Figure(f"{AUDIT}{name}", *recall.rounded(4), note) for name, recall in zip(AUDITS, recalls, strict=True)]
