"""Figures of merit of a bundle's verdicts: each a metric of some images, all of them on the same resamples of contents."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.models.bundles.decision import even_shares
from causalprint.models.bundles.manifest import ART, GRAPHIC, NOT_GENERATED, REAL, UNREGISTERED, Manifest
from causalprint.models.evaluation.consistency import contents_solved, decoder_moves, swap_consistency, swap_holds
from causalprint.models.evaluation.content import Content, deciles, within
from causalprint.models.evaluation.neighbours import neighbours
from causalprint.models.labelled import STRANGER, LabelledImages
from causalprint.models.statistics.calibration import at_prior
from causalprint.models.statistics.metrics import (
    LEAST_PROBABILITY,
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
from causalprint.models.statistics.origins import halved
from causalprint.models.verdicts import Verdicts
from causalprint.schemas.arrays import Doubles, Labels, Mask, Scores, Text
from causalprint.schemas.estimates import Estimate
from causalprint.schemas.evaluations import Measure
from causalprint.schemas.reasons import Verdict

ACCURACY = "macro accuracy"
AUC = "generated against photographs, AUC"
STRANGERS_AUC = "strangers against photographs, AUC"
FOUND = "generated found, TPR at 1 % FPR"
FOUND_AT = {"generated found, TPR at 0.1 % FPR": 0.001, FOUND: 0.01, "generated found, TPR at 5 % FPR": 0.05}
CALLED = {REAL: "photographs", GRAPHIC: "graphics", ART: "paintings"}
"""What no generator made, by source."""
ACCUSED = "share with a verdict known or unknown, or no-source: taken for generated"
AT_PRIOR = "sources as frequent as the bundle is calibrated for"
SELDOM = 0.05
"""P-value up to which a source counts as excluded."""
SURE = 0.9
"""``generated_probability`` from which an image counts as surely generated."""


class Truth(NamedTuple):
    """What is known of N images, and how a bundle calls it.

    Attributes:
        images: as they are labelled.
        label: int64 (N,), place in the bundle's sources; :data:`~causalprint.models.labelled.STRANGER` where it is none of them.
        real: the label of ``real``.
        generated: (N,), whether a generator made each, known to the bundle or not.
        families: (K,), the family of each of the bundle's sources.
        definite: (K,), which of them are one source and not many: all but ``unregistered``.
        shares: (K,), the prior of each that the bundle is calibrated for.
        trained: (N,), whether the bundle's card names training images of that source and origin.
        content: what the images show says of them.
        named_by_content: int64 (N,), the best of the bundle's sources by that alone.
    """

    images: LabelledImages
    label: Labels
    real: int
    trained: Mask
    generated: Mask
    families: Text
    definite: Mask
    shares: Doubles
    content: Content
    named_by_content: Labels

    def right(self, verdicts: Verdicts) -> Mask:
        """Where a verdict says what is true, (N,): the source, or where it names a family alone, that."""
        names = np.array([*self.families.tolist(), ""])[self.label]
        named = (verdicts.named == self.images.source) | (verdicts.named == names)
        found = {Verdict.REAL: self.label == self.real, Verdict.GRAPHIC: self.images.source == GRAPHIC}
        said = [(verdicts.verdict == verdict.value) & right for verdict, right in found.items()]
        right: Mask = np.any([*said, (verdicts.verdict == Verdict.KNOWN.value) & named & self.generated], axis=0)
        return right


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


def truth_of(manifest: Manifest, images: LabelledImages, content: Content) -> Truth:
    """What a bundle can be asked about labelled images."""
    seen = {(one.source, one.origin) for one in manifest.data if one.training + one.validation}
    pairs = zip(images.source.tolist(), images.origin.tolist(), strict=True)
    trained = np.array([pair in seen for pair in pairs], np.bool_)
    labels, families = images.labels(manifest.sources), np.array([manifest.family_of(source) for source in manifest.sources])
    made = ~np.isin(images.source, NOT_GENERATED)
    definite = np.array(manifest.sources) != UNREGISTERED
    by_content, shares = content.best(manifest.sources), even_shares(manifest.sources)
    return Truth(images, labels, manifest.sources.index(REAL), trained, made, families, definite, shares, content, by_content)


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
    answered = np.isin(verdicts.verdict, (Verdict.REAL.value, Verdict.GRAPHIC.value, Verdict.KNOWN.value))
    answers, detection = (label, found), (truth.generated, verdicts.generated)
    of_photographs = known & (truth.generated | real)
    about = f"mean recall of the best candidate over {len(np.unique(label[known]))} sources; chance {1 / chance.shape[1]:.2f}"
    about_new = f"of origins that the bundle's card does not name: {len(np.unique(label[new]))} sources"
    by_column = "by generated_probability"
    said = (verdicts.verdict == Verdict.KNOWN.value, verdicts.accused, verdicts.generated)
    rarely = f"while at most {{:g}} % of {int(real.sum())} photographs are accused"
    return [
        *_and_content(Metric(ACCURACY, known, macro_recall, answers, about), truth, truth.named_by_content),
        Metric(f"{ACCURACY}, new origins", new, macro_recall, answers, about_new),
        Metric("macro F1", known, macro_f1, answers, "over the same sources"),
        *_and_content(Metric(AUC, of_photographs, area_under_curve, detection, by_column), truth, truth.content.generated),
        *(
            Metric(name, of_photographs, partial(tpr_at_fpr, fpr=share), detection, rarely.format(100 * share))
            for name, share in FOUND_AT.items()
        ),
        Metric("answered", known, np.mean, (answered,), "share with a verdict real, graphic or known"),
        Metric(
            "right where answered",
            known & answered,
            np.mean,
            (truth.right(verdicts),),
            "of those verdicts; a family counts",
        ),
        *accusations(truth.images.source, *said),
    ]


def of_hard_photographs(truth: Truth, verdicts: Verdicts) -> list[Metric]:
    """What share of the photographs that look most generated is taken for generated."""
    said = (verdicts.verdict == Verdict.KNOWN.value, verdicts.accused, verdicts.generated)
    hard = truth.content.hard(truth.label == truth.real)
    return accusations_of("hard photographs", hard, *said, "; the tenth of them that by content alone look most generated")


def beside_each_kind(truth: Truth, verdicts: Verdicts) -> list[Metric]:
    """All generated images, of known sources and of others, beside each kind of what no generator made, and beside all of it."""
    found = (truth.generated, verdicts.generated)
    kinds = {called: truth.images.source == source for source, called in CALLED.items()}
    count = int((~truth.generated).sum())
    everything = np.ones(len(truth.label), np.bool_)
    rarely = f"of known sources and of others, while at most 1 % of all {count} others are accused"
    return [
        *(
            Metric(
                f"all generated against {called}, AUC",
                truth.generated | kind,
                area_under_curve,
                found,
                "by generated_probability",
            )
            for called, kind in kinds.items()
            if kind.any()
        ),
        Metric("all generated found, TPR at 1 % FPR", everything, partial(tpr_at_fpr, fpr=0.01), found, rarely),
    ]


def _and_content(metric: Metric, truth: Truth, alone: Scores | Labels) -> list[Metric]:
    """A metric of (asked, said), what content reaches if ``alone`` it is asked, and what is left where content is held fixed."""
    (asked, said), place = metric.columns, deciles(truth.content.generated, metric.of)
    blurred = "of crops blurred to 32 x 32 pixels, origins held out"
    fixed = "mean inside tenths of the images, by how far what they show alone tells that they are generated"
    inside = within(metric.function)
    return [
        metric,
        metric._replace(name=f"{metric.name}, content alone", columns=(asked, alone), note=blurred),
        metric._replace(name=f"{metric.name}, within content", function=inside, columns=(place, asked, said), note=fixed),
    ]


def accusations(source: Text, named: Mask, accused: Mask, generated: Scores) -> list[Metric]:
    """What share of what no generator made is taken for generated, by kind; all (N,)."""
    kinds = [accusations_of(called, source == kind, named, accused, generated) for kind, called in CALLED.items()]
    return [metric for kind in kinds for metric in kind]


def accusations_of(called: str, here: Mask, named: Mask, accused: Mask, generated: Scores, which: str = "") -> list[Metric]:
    """The same of the images in the mask ``here``; ``called`` and ``which`` say what they are."""
    sure = f"generated_probability {SURE} or more{which}"
    return [
        Metric(f"{called} named", here, np.mean, (named,), f"share with a verdict known{which}"),
        Metric(f"{called} accused", here, np.mean, (accused,), f"{ACCUSED}{which}"),
        Metric(f"{called} surely generated", here, np.mean, (generated >= SURE,), sure),
    ]


def nearest(truth: Truth, verdicts: Verdicts) -> list[Metric]:
    """What an image's nearest fingerprints of other collections share with it: what made them, or what they show."""
    tenths = deciles(truth.content.generated, np.ones(len(truth.label), np.bool_))
    found = neighbours(verdicts.fingerprint, truth.images.source, truth.images.origin, tenths)
    elsewhere = "of the ten nearest images of other sources and origins"

    def shared(name: str, of: Mask, share: Scores, by_chance: Scores, what: str) -> Metric:
        chance = f"{by_chance[of].mean():.2f}" if of.any() else "none"
        return Metric(name, of, np.mean, (share,), f"{elsewhere}, {what}; by chance {chance}")

    return [
        shared("nearest share the source", found.of, found.source, found.source_by_chance, "by that source"),
        shared(
            "nearest share the generator",
            found.of & truth.generated,
            found.source,
            found.source_by_chance,
            "by that generator",
        ),
        shared("nearest share the content", found.of, found.content, found.content_by_chance, "in the same tenth"),
    ]


def calibration(truth: Truth, verdicts: Verdicts, temperature: float) -> list[Metric]:
    """How far probabilities of known sources' images can be believed, before calibration and after.

    A bundle says how probable each of its sources is where all of them may occur. Where it is known that some do not, the others
    have their shares of what is left (Bayes' rule), and those are compared with what is true. Of one source nothing is told.
    """
    known = truth.label != STRANGER
    here = np.isin(np.arange(len(truth.shares)), truth.label[known])
    several = known & bool(here.sum() > 1)
    weights = np.zeros(len(known))
    weights[known] = at_prior(truth.label[known], truth.shares)
    stages = (
        ("before", verdicts.uncalibrated, "of these sources alone, of the scores as they are"),
        (
            "after",
            verdicts.probabilities,
            f"of these sources alone, as calibrated, among generators at temperature {temperature:.4g}",
        ),
    )
    metrics = []
    for stage, every, note in stages:
        chances = np.where(here, every, 0) / np.maximum(every[:, here].sum(axis=1, keepdims=True), LEAST_PROBABILITY)
        found = np.where(truth.definite, chances, -1).argmax(axis=1)
        sure = (chances[np.arange(len(known)), found], found == truth.label, weights)
        metrics += [
            Metric(f"calibration error {stage}", several, calibration_error, sure, f"ECE, 15 bins, {AT_PRIOR}, {note}"),
            Metric(f"log loss {stage}", several, nll, (chances, truth.label, weights), f"NLL, nats, {AT_PRIOR}, {note}"),
        ]
    both = known & bool(truth.generated[known].any() and not truth.generated[known].all())
    detection = (verdicts.generated, truth.generated, halved(np.ones(len(known)), truth.generated & known))
    about = "ECE, 15 bins, of generated_probability; generated images weigh half"
    metrics.append(Metric("calibration error, generated", both, calibration_error, detection, about))
    compared, excluded = exclusions(truth, verdicts)
    return [
        *metrics,
        Metric(
            "true source excluded",
            compared,
            macro_recall,
            (truth.label, excluded),
            f"its p-value is {SELDOM} or less; mean over sources",
        ),
        Metric(
            "sources not excluded",
            compared,
            np.mean,
            ((verdicts.p_values > SELDOM).sum(axis=1),),
            f"of {int(np.isfinite(verdicts.p_values).any(axis=0).sum())} with a p-value, those whose p-value is above {SELDOM}",
        ),
    ]


def exclusions(truth: Truth, verdicts: Verdicts) -> tuple[Mask, Labels]:
    """Of which images (N,) the true source has a p-value, and their labels (N,) where it is excluded, elsewhere ``STRANGER``."""
    own = np.where(truth.label != STRANGER, verdicts.p_values[np.arange(len(truth.label)), truth.label], np.nan)
    return np.isfinite(own), np.where(own <= SELDOM, truth.label, STRANGER)


def open_set(truth: Truth, verdicts: Verdicts) -> list[Metric]:
    """Known sources against strangers; no metrics where there are none of either."""
    known = truth.label != STRANGER
    strange = ~known & truth.generated
    if not strange.any() or not known.any():
        return []
    everything = known | strange
    right = verdicts.found == truth.label
    against = f"known sources against {', '.join(np.unique(truth.images.source[strange]).tolist())}"
    kept = "share of strangers kept while 95 % of the known are; less is better"
    metrics = []
    likely = np.where(truth.definite, verdicts.probabilities, 0).max(axis=1)
    for name, familiar in (("novelty", -verdicts.novelty), ("largest probability", likely)):
        metrics += [
            Metric(f"open set AUROC, {name}", everything, area_under_curve, (known, familiar), against),
            Metric(f"open set FPR at 95 % TPR, {name}", everything, fpr_at_tpr, (known, familiar), kept),
            Metric(
                f"open set OSCR, {name}", everything, _oscr, (known, right, familiar), "right and more familiar than a stranger"
            ),
        ]
    unknown = verdicts.verdict == Verdict.UNKNOWN.value
    named = verdicts.verdict == Verdict.KNOWN.value
    against_real = strange | (truth.label == truth.real)
    detection = (strange, verdicts.generated)
    by_real = "photographs against images of unknown sources, by generated_probability"
    return [
        *metrics,
        Metric("strangers called unknown", strange, np.mean, (unknown,), "share of images of unknown sources"),
        Metric("strangers named", strange, np.mean, (named,), "share of them that are named a known generator"),
        *_and_content(Metric(STRANGERS_AUC, against_real, area_under_curve, detection, by_real), truth, truth.content.generated),
        Metric("strangers found, TPR at 1 % FPR", against_real, tpr_at_fpr, detection, "while 1 % of photographs are accused"),
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
