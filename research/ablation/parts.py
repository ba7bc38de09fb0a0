"""What each part of a recipe is worth: the recipe without it, or with another in its place, trained and tested alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from causalprint.models.bundles.manifest import REAL
from causalprint.models.evaluation.splits import Split
from causalprint.models.network.reduction import Reduction, learn_reduction
from causalprint.models.statistics.metrics import area_under_curve, macro_recall, tpr_at_fpr
from causalprint.models.training.examples import Labelled
from causalprint.models.training.learning import Trained, learn
from causalprint.models.training.objectives import independence, invariance
from causalprint.models.training.recipe import Optimiser, Recipe, Use
from causalprint.models.training.sample import sample_of
from causalprint.research.comparison.scoring import MethodRun
from causalprint.schemas.arrays import Floats, Mask

FULL = "full"
"""Name of the recipe as it is: what every other row is compared with."""

Change = Callable[[Recipe], Recipe]


class Variant(NamedTuple):
    """A recipe that differs from another in one part.

    Attributes:
        name: of the row.
        title: as tables show it.
        recipe: with the change made. Its lenses and interventions are among those of the recipe that was changed.
        lens: whether it is a lens alone.
    """

    name: str
    title: str
    recipe: Recipe
    lens: bool = False


class Detected(NamedTuple):
    """How generated images are told from photographs, by the detector's score; NaN where there are none of either.

    Attributes:
        auc: area under the curve.
        found: share of generated images above all but 1 % of the photographs.
    """

    auc: float
    found: float


class Outcome(NamedTuple):
    """One training, on images that it did not learn from.

    Attributes:
        run: the answers.
        invariance: how far interventions on content and style move fingerprints, as of
            :func:`~causalprint.models.training.objectives.invariance`; 0 is best, NaN where images have one version.
        independence: what fingerprints share with content and style within a source, HSIC as of
            :func:`~causalprint.models.training.objectives.independence`; 0 is best, 1 the most.
        detection: by the detector, of images as they are, then of each version that the recipe makes of them.
    """

    run: MethodRun
    invariance: float
    independence: float
    detection: tuple[Detected, ...]


def variants(recipe: Recipe) -> tuple[Variant, ...]:
    """The recipe as it is, then every variant that differs from it, each lens alone at the end."""
    changed = [Variant(name, title, change(recipe)) for name, title, change in _CHANGES]
    several = recipe.lenses if len(recipe.lenses) > 2 else ()  # of two, without one is the other alone
    changed += [
        Variant(f"no-{use.lens}/{use.reading}", f"without {use.lens} on the {use.reading}", _without(recipe, use))
        for use in several
    ]
    lenses = [
        Variant(f"{use.lens}/{use.reading}", f"{use.lens} on the {use.reading}", replace(recipe, lenses=(use,)), lens=True)
        for use in recipe.lenses
    ]
    differing = [one for one in (*changed, *lenses) if one.recipe.lenses and one.recipe != recipe]
    return (Variant(FULL, "the recipe as it is", recipe), *differing)


def try_out(
    variant: Recipe,
    recipe: Recipe,
    labelled: Labelled,
    classes: int,
    split: Split,
    seed: int,
    device: torch.device | None = None,
    reduction: Reduction | None = None,
) -> Outcome:
    """Trains a variant and tests it.

    Args:
        variant: what is trained.
        recipe: what it is a variant of.
        labelled: all images; their features are those of ``recipe``'s lenses and versions.
        classes: K.
        split: of the images; the validation chooses the epoch.
        seed: of the training.
        device: what trains.
        reduction: of all lenses, as of :func:`shared_reduction`; spares each variant its own.
    """
    seen = _with_lenses(labelled, recipe.lenses, variant.lenses)
    chosen = _versions(recipe, variant)
    learned = seen._replace(features=seen.features[:, chosen], style=seen.style[:, chosen])
    known = split.train | split.validation
    validation = split.validation[known] if split.validation.any() else None
    fits = reduction is not None and (variant.interventions, variant.components) == (recipe.interventions, recipe.components)
    shared = reduction.take([recipe.lenses.index(use) for use in variant.lenses]) if reduction is not None and fits else None
    trained = learn(learned.take(known), classes, variant, validation, seed, device, reduction=shared)
    tested = seen.take(split.test)
    fingerprints = np.stack([trained.fingerprints(version) for version in tested.features.swapaxes(0, 1)], axis=1)
    count = len(fingerprints)
    scores = trained.scores(np.ascontiguousarray(fingerprints[:, 0]))
    run = MethodRun(
        rows=np.flatnonzero(split.test),
        scores=scores.astype(np.float64),
        temperature=1.0,
        novelty=np.full(count, np.nan),
        perturbed=np.zeros((0, classes)),
        validated=_validated(trained, seen, split.validation),
    )
    detected = tuple(_detected(trained.detection(version), tested) for version in fingerprints.swapaxes(0, 1))
    return Outcome(run, *_decoupling(fingerprints, tested), detected)


def shared_reduction(recipe: Recipe, labelled: Labelled, split: Split, seed: int) -> Reduction:
    """The reduction of the images that ``split`` learns from, which variants with the recipe's interventions have in common."""
    features = labelled.features[split.train]
    rows = features.reshape(-1, features.shape[2])
    return learn_reduction(rows, labelled.sizes, *recipe.reduction, seed)


def _without(recipe: Recipe, use: Use) -> Recipe:
    return replace(recipe, lenses=tuple(one for one in recipe.lenses if one != use))


def _with(**parts: Any) -> Change:
    return lambda recipe: replace(recipe, **parts)


def _weighing(**weights: float) -> Change:
    return lambda recipe: replace(recipe, objective=replace(recipe.objective, **weights))


def _free(recipe: Recipe) -> Recipe:
    """For what begins at random and has to be learned: a recipe that begins from the closed form may hardly leave it."""
    return replace(recipe, optimiser=replace(Optimiser(), batch=recipe.optimiser.batch)) if recipe.closed_form else recipe


def _learned(part: str, value: str) -> Change:
    return lambda recipe: recipe if getattr(recipe, part) == value else _with(**{part: value})(_free(recipe))


def _closed_form_alone(recipe: Recipe) -> Recipe:
    none = replace(recipe.optimiser, epochs=0)
    return replace(recipe, closed_form=True, fusion="f0", autoencoder=False, attributor="linear", optimiser=none)


def _adversary(recipe: Recipe) -> Recipe:
    weights = recipe.objective
    return _weighing(independence=0.0, adversary=weights.adversary + weights.independence)(recipe)


def _with_autoencoder(recipe: Recipe) -> Recipe:
    weights = recipe.objective
    if recipe.autoencoder:
        return recipe
    if not weights.reconstruction:
        weights = replace(weights, reconstruction=1.0, sparsity=0.1, divergence=0.1)  # arXiv 2509.15406
    return replace(_free(recipe), autoencoder=True, objective=weights)


def _reading(images: bool) -> Change:
    return lambda recipe: replace(recipe, lenses=tuple(use for use in recipe.lenses if (use.reading == "image") is images))


_CHANGES: tuple[tuple[str, str, Change], ...] = (
    ("closed-form", "the closed form alone, no epochs", _closed_form_alone),
    ("free", "hardly held to the closed form, 40 epochs", _free),
    ("from-scratch", "from scratch, 40 epochs", lambda recipe: replace(_free(recipe), closed_form=False)),
    ("no-contrast", "without contrast", _weighing(contrast=0.0)),
    ("no-hard", "hard pairs count once", _weighing(hard=1.0)),
    ("no-invariance", "without invariance, in the closed form too", _weighing(invariance=0.0)),
    ("no-independence", "without independence", _weighing(independence=0.0)),
    ("no-swap", "without the swap", _weighing(swap=0.0)),
    ("adversary", "the adversary in place of independence", _adversary),
    ("no-interventions", "without interventions", _with(interventions=())),
    ("first", "with the first intervention alone", lambda recipe: replace(recipe, interventions=recipe.interventions[:1])),
    ("last", "with the last intervention alone", lambda recipe: replace(recipe, interventions=recipe.interventions[-1:])),
    ("f0", "fusion F0: equal weights", _with(fusion="f0")),
    ("f1", "fusion F1: weights by each lens's accuracy", _with(fusion="f1")),
    ("f2", "fusion F2: cross-attention, 40 epochs", _learned("fusion", "f2")),
    ("autoencoder", "with the variational autoencoder, 40 epochs", _with_autoencoder),
    ("no-autoencoder", "without the variational autoencoder", _with(autoencoder=False)),
    ("attention", "with the attention attributor, 40 epochs", _learned("attributor", "attention")),
    ("linear", "with the linear attributor", _with(attributor="linear")),
    ("images", "lenses on the image only", _reading(images=True)),
    ("residuals", "lenses on the residual only", _reading(images=False)),
)
"""Name, title and what is changed. A change that changes nothing in a recipe is no row of it."""


def _versions(recipe: Recipe, variant: Recipe) -> list[int]:
    """The places of the variant's versions among those of ``recipe``, whose interventions it has some of, in their order."""
    places = [0]
    for change in variant.interventions:
        places.append(1 + recipe.interventions.index(change, places[-1]))
    return places


def _with_lenses(labelled: Labelled, lenses: tuple[Use, ...], chosen: tuple[Use, ...]) -> Labelled:
    """``labelled``, whose features are of ``lenses``, with the ``chosen`` of them alone."""
    if chosen == lenses:
        return labelled
    edges = np.cumsum((0, *labelled.sizes))
    places = [lenses.index(use) for use in chosen]
    columns = np.concatenate([np.arange(edges[place], edges[place + 1]) for place in places])
    return labelled._replace(features=labelled.features[:, :, columns], sizes=tuple(labelled.sizes[place] for place in places))


def _validated(trained: Trained, labelled: Labelled, validation: Mask) -> float:
    if not validation.any():
        return float("nan")
    scores = trained.scores(trained.fingerprints(labelled.features[validation, 0]))
    return macro_recall(labelled.labels[validation], scores.argmax(axis=1))


def _detected(scores: Floats, tested: Labelled) -> Detected:
    """By the detector's scores (N,); of what no generator made photographs alone count, and no paintings."""
    made = np.array(tested.generators)[tested.labels]
    asked = made | (tested.images.source == REAL)
    of_asked = made[asked], scores[asked].astype(np.float64)
    return Detected(area_under_curve(*of_asked), tpr_at_fpr(*of_asked, fpr=0.01))


def _decoupling(fingerprints: npt.NDArray[np.float32], tested: Labelled) -> tuple[float, float]:
    """Invariance and independence of the fingerprints (N, V, 128) of the images ``tested``."""
    versions = fingerprints.shape[1]
    sample = sample_of((), tested)
    codes = torch.cat([sample.content.repeat_interleave(versions, dim=0), sample.style.flatten(0, 1)], dim=1)
    labels = sample.labels.repeat_interleave(versions)
    values = torch.from_numpy(fingerprints)
    moved = float(invariance(values)) if versions > 1 else float("nan")
    return moved, float(independence(values.flatten(0, 1), codes, labels))
