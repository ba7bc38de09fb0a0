"""What methods scored on the images they were tested on, as figures with paired intervals: every one on the same resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from causalprint.models.evaluation.consistency import swap_holds
from causalprint.models.labelled import STRANGER, LabelledImages
from causalprint.models.statistics import metrics
from causalprint.models.statistics.softmax import softmax
from causalprint.schemas.arrays import Labels, Mask, Scores, Text
from causalprint.schemas.estimates import Estimate


class Ground(NamedTuple):
    """What is known of N images, whether tested or not.

    Attributes:
        truth: labels, 0 that of ``real``, :data:`~causalprint.models.labelled.STRANGER` of sources left out, int64 (N,).
        contents: what an image shows, near-duplicates joined, (N,).
        several: labels of the sources with at least two origins, which the headline counts, int64.
    """

    truth: Labels
    contents: Text
    several: Labels


def ground_of(images: LabelledImages, sources: Sequence[str]) -> Ground:
    """Of images by ``sources``, ``real`` first, and by others, whose contents are those of near-duplicates joined."""
    truth = images.labels(sources)
    several = [label for label in range(len(sources)) if len(np.unique(images.origin[truth == label])) > 1]
    return Ground(truth, images.content, np.array(several, np.int64))


class MethodRun(NamedTuple):
    """What one method said after one training.

    Attributes:
        rows: the M tested images, int64 (M,).
        scores: (M, K).
        temperature: divides the scores; found on validation images.
        novelty: (M,), larger for images like none that was learned from; NaN where the method has no such measure.
        perturbed: scores of the same images after a JPEG of quality 75, (M, K); (0, K) where that was not measured.
        validated: macro recall on the validation images.
    """

    rows: Labels
    scores: Scores
    temperature: float
    novelty: Scores
    perturbed: Scores
    validated: float


class Figures(NamedTuple):
    """Figures of one method over the test images of all seeds, an image counting once a seed. NaN where one was not measured.

    Attributes:
        accuracy: the headline: macro recall over the sources with at least two origins, every source to choose from.
        accuracy_all: macro recall over all sources; a rule that ignores the image has 1 / K.
        f1: macro F1 over all sources.
        real_auc: area under the curve of real against generated, by the probability of ``real``.
        audits_fail: the headline over the images of which no audit of a shortcut names the source. What lives off the same
            shortcuts falls to nought there, below chance.
        swap: of images attributed rightly, the share that stays so with another content of the same source, as of
            :func:`~causalprint.models.evaluation.consistency.swap_holds`, over the trainings.
        ece_before, ece: expected calibration error of the scores as they are, and at the temperature found in validation.
        nll_before, nll: negative log-likelihood, nats, likewise.
        jpeg75: change of the headline by a JPEG of quality 75.
        flips: share of answers that such a JPEG changes.
        open_auroc, open_fpr95, open_oscr: known against left-out sources, by the method's novelty, else its largest probability.
        over_best, over_recipe: headline less that of the best method, and less that of the named recipe.
    """

    accuracy: Estimate
    accuracy_all: Estimate
    f1: Estimate
    real_auc: Estimate
    audits_fail: Estimate
    swap: Estimate
    ece_before: Estimate
    ece: Estimate
    nll_before: Estimate
    nll: Estimate
    jpeg75: Estimate
    flips: Estimate
    open_auroc: Estimate
    open_fpr95: Estimate
    open_oscr: Estimate
    over_best: Estimate
    over_recipe: Estimate


class Pooled(NamedTuple):
    """The runs of one method, one after the other: P answers.

    Attributes:
        rows: image of each answer, int64 (P,).
        chances: calibrated probabilities, (P, K); ``found`` their largest, int64 (P,).
        chances_before: at temperature 1.
        familiarity: (P,), larger for images of known sources.
        jpeg75: what is found after a JPEG of quality 75, (P,) or (0,).
        run: the number of the run that answered, int64 (P,).
    """

    rows: Labels
    chances: Scores
    found: Labels
    chances_before: Scores
    familiarity: Scores
    jpeg75: Labels
    run: Labels


def pool(runs: Sequence[MethodRun]) -> Pooled:
    """The answers of all ``runs``."""
    rows, scores, novelty, perturbed = (
        np.concatenate(parts) for parts in zip(*((run.rows, run.scores, run.novelty, run.perturbed) for run in runs), strict=True)
    )
    chances = np.concatenate([softmax(run.scores / run.temperature, axis=1) for run in runs])
    familiarity = np.where(np.isfinite(novelty), -novelty, chances.max(axis=1))
    number = np.repeat(np.arange(len(runs)), [len(run.rows) for run in runs])
    return Pooled(rows, chances, scores.argmax(axis=1), softmax(scores, axis=1), familiarity, perturbed.argmax(axis=1), number)


def judge(
    runs: Mapping[str, Sequence[MethodRun]],
    ground: Ground,
    best: str | None,
    recipe: str | None,
    rounds: int = metrics.ROUNDS,
    audits: Sequence[str] = (),
    swaps: bool = False,
) -> dict[str, Figures]:
    """Figures of every method.

    Args:
        runs: of every method, one a seed; all methods were tested on the same images.
        ground: what is known of the images.
        best: the method that the others are compared with, if any.
        recipe: another one.
        rounds: of the bootstrap, which draws contents, all seeds' answers of a content at once.
        audits: those of ``runs`` that are audits of shortcuts, learned from right labels.
        swaps: whether contents are swapped, which says most where every source shows the same ones.
    """
    pools = {name: pool(several) for name, several in runs.items()}
    rows = next(iter(pools.values())).rows
    if any(not np.array_equal(rows, one.rows) for one in pools.values()):
        raise ValueError("methods were tested on different images; remove the cache and compare again")
    aided = (
        np.any([pools[name].found == ground.truth[rows] for name in audits], axis=0) if audits else np.ones(len(rows), np.bool_)
    )
    contents = np.unique(ground.contents[rows], return_inverse=True)[1] if swaps else None
    measures = [partial(_figures, one, ground, aided, contents) for one in pools.values()]
    names = list(pools)

    def all_figures(chosen: Labels) -> list[float]:
        values = np.array([measure(chosen) for measure in measures])
        headline = values[:, 0]
        over = [headline - headline[names.index(other)] if other else headline * np.nan for other in (best, recipe)]
        return np.column_stack([values, *over]).flatten().tolist()

    estimates = metrics.bootstrap_each(all_figures, ground.contents[rows].tolist(), rounds=rounds)
    width = len(Figures._fields)
    return {name: Figures(*estimates[place * width : (place + 1) * width]) for place, name in enumerate(names)}


def headline(runs: Sequence[MethodRun], ground: Ground) -> float:
    """The headline of some runs: macro recall over the sources with at least two origins, over all where none has."""
    rows, found = (np.concatenate(parts) for parts in zip(*((run.rows, run.scores.argmax(axis=1)) for run in runs), strict=True))
    return _headline(ground.truth[rows], found, ground.several)


def recalls(pooled: Pooled, ground: Ground) -> list[float]:
    """The share of each source's test images that was attributed rightly, (K,); NaN where none was tested."""
    truth = ground.truth[pooled.rows]
    members = [pooled.found[truth == label] == label for label in range(pooled.chances.shape[1])]
    return [float(right.mean()) if len(right) else float("nan") for right in members]


def _figures(pooled: Pooled, ground: Ground, aided: Mask, contents: Labels | None, chosen: Labels) -> list[float]:
    """All figures but the differences, in the order of :class:`Figures`, of some answers."""
    truth = ground.truth[pooled.rows[chosen]]
    known: Mask = truth != STRANGER
    rows, truth_known = chosen[known], truth[known]
    found, chances, before = pooled.found[rows], pooled.chances[rows], pooled.chances_before[rows]
    right, accuracy = found == truth_known, _headline(truth_known, found, ground.several)
    after = pooled.jpeg75[rows] if len(pooled.jpeg75) else None
    familiarity = pooled.familiarity[chosen]
    hard = ~aided[rows]
    return [
        accuracy,
        metrics.macro_recall(truth_known, found),
        metrics.macro_f1(truth_known, found),
        metrics.area_under_curve(truth_known == 0, chances[:, 0]),
        _headline(truth_known[hard], found[hard], ground.several),
        float("nan") if contents is None else _swap(truth_known, contents[rows], found, pooled.run[rows]),
        metrics.calibration_error(before.max(axis=1), right),
        metrics.calibration_error(chances.max(axis=1), right),
        metrics.nll(before, truth_known),
        metrics.nll(chances, truth_known),
        float("nan") if after is None else _headline(truth_known, after, ground.several) - accuracy,
        float("nan") if after is None else float(np.mean(after != found)),
        metrics.area_under_curve(known, familiarity),
        metrics.fpr_at_tpr(known, familiarity),
        metrics.oscr(right, familiarity[known], familiarity[~known]),
    ]


def _swap(truth: Labels, contents: Labels, found: Labels, run: Labels) -> float:
    """Contents are swapped within a run, since another run has learned another rule."""
    of_runs = [swap_holds(truth[run == one], contents[run == one], found[run == one]) for one in np.unique(run)]
    return float(np.nanmean(of_runs)) if np.isfinite(of_runs).any() else float("nan")


def _headline(truth: Labels, found: Labels, several: Labels) -> float:
    counted = np.isin(truth, several) if len(several) else truth != STRANGER
    return metrics.macro_recall(truth[counted], found[counted]) if counted.any() else float("nan")
