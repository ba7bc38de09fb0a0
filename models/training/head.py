"""What a bundle holds besides its residual and lenses: the networks that a recipe trains, and limits set on held-out images.

Temperature and limits come from images that the scoring network has not seen: of validation where it is given, else of a
cross-validation that holds out whole origins where a source has several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from causalprint.models.bundles.decision import DecisionConfig, Limits, set_limits
from causalprint.models.bundles.manifest import Decision, Feature, Network
from causalprint.models.statistics.discriminant import WithinMetric, discriminants
from causalprint.models.statistics.origins import split_folds
from causalprint.models.training.examples import Labelled
from causalprint.models.training.learning import Trained, learn
from causalprint.models.training.recipe import Recipe
from causalprint.models.training.tensors import attribution_tensors, fingerprint_tensors
from causalprint.schemas.arrays import Floats

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """How a head is fitted, beside its recipe.

    Attributes:
        folds: of the cross-validation.
        decision: how limits are set.
        seed: of the folds and of the training.
        device: what trains: ``cpu`` or ``cuda``.
        checkpoints: folder of the trainings' checkpoints; ``None`` keeps none.
    """

    folds: int = 4
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    seed: int = 0
    device: str = "cpu"
    checkpoints: Path | None = None


class Head(NamedTuple):
    """What was learned, and what held-out images say of it.

    Attributes:
        fingerprint: tensors, as of :func:`~causalprint.models.bundles.manifest.fingerprint_shapes`.
        attribution: tensors, as of :func:`~causalprint.models.bundles.manifest.attribution_shapes`.
        network: what they are the tensors of.
        decision: temperature and limits.
        held_out: probabilities (N, K) of each training image by networks without its fold; NaN where it was in none.
        novelty: (N,), of the same.
    """

    fingerprint: dict[str, npt.NDArray[Any]]
    attribution: dict[str, npt.NDArray[Any]]
    network: Network
    decision: Decision
    held_out: Floats
    novelty: Floats


def fit_head(
    labelled: Labelled,
    features: Sequence[Feature],
    prior: Floats,
    recipe: Recipe,
    config: HeadConfig,
    validation: npt.NDArray[np.bool_] | None = None,
    report: Report = lambda _: None,
) -> Head:
    """Trains what ``recipe`` says and sets the limits.

    Args:
        labelled: what from; its features are ``features`` side by side.
        features: lenses and readings, in order.
        prior: (K,), how frequent each source is taken to be, in any unit.
        recipe: all choices of the training.
        config: how it is run.
        validation: images (N,) to choose the best epoch and set the limits on, never to learn from; ``None`` cross-validates by
            :func:`~causalprint.models.statistics.origins.split_folds` and learns from all.
        report: told what is being done.
    """
    classes = len(prior)
    device = torch.device(config.device)
    checkpoints = config.checkpoints

    def train(part: Labelled, held_out: npt.NDArray[np.bool_] | None, name: str) -> Trained:
        file = None if checkpoints is None else checkpoints / f"{name}.safetensors"
        return learn(part, classes, recipe, held_out, config.seed, device, file, lambda text: report(f"{name}: {text}"))

    held = _Held.none(len(labelled.labels), classes)
    shrinkage = config.decision.shrinkage
    if validation is not None:
        trained = train(labelled, validation, "networks")
        metric = held.out(trained, labelled, validation, shrinkage)
    else:
        folds = split_folds(labelled.labels, labelled.images.origin, labelled.images.content, config.folds, config.seed)
        for number, fold in enumerate(folds, 1):
            if fold.any():
                held.out(train(labelled.take(~fold), None, f"fold {number} of {len(folds)}"), labelled, fold, shrinkage)
        trained = train(labelled, None, "networks")
        metric = trained.metric(labelled, shrinkage)
    limits = set_limits(held.scores, held.familiarity, labelled.labels, held.of_new_origin, prior, config.decision)
    return _head(trained, metric, features, recipe, limits)


class _Held(NamedTuple):
    """What networks said of images that they had not seen: scores (N, K) and familiarity (N,), NaN of others; filled in place.

    ``of_new_origin`` (N,) says of which they had not seen the origin either.
    """

    scores: Floats
    familiarity: Floats
    of_new_origin: npt.NDArray[np.bool_]

    @classmethod
    def none(cls, count: int, classes: int) -> _Held:
        return cls(np.full((count, classes), np.nan, np.float32), np.full(count, np.nan, np.float32), np.zeros(count, np.bool_))

    def out(self, trained: Trained, labelled: Labelled, rows: npt.NDArray[np.bool_], shrinkage: float) -> WithinMetric:
        """Fills in ``rows``, (N,); gives the metric of the others, which ``trained`` was learned from."""
        found = trained.fingerprints(labelled.features[rows, 0])
        metric = trained.metric(labelled.take(~rows), shrinkage)
        self.scores[rows] = trained.scores(found)
        self.familiarity[rows] = discriminants(*metric)(found).max(axis=1)
        places = list(zip(labelled.labels.tolist(), labelled.images.origin.tolist(), strict=True))
        seen = {place for place, held in zip(places, rows, strict=True) if not held}
        self.of_new_origin[rows] = [place not in seen for place, held in zip(places, rows, strict=True) if held]
        return metric


def _head(trained: Trained, metric: WithinMetric, features: Sequence[Feature], recipe: Recipe, limits: Limits) -> Head:
    places = {"centre": metric.centre.astype(np.float32), "whitening": metric.whitening.astype(np.float32)}
    return Head(
        fingerprint_tensors(trained, features),
        attribution_tensors(trained.attributor, limits.intercept) | places,
        Network(recipe.fusion, recipe.autoencoder, recipe.attributor),
        limits.decision,
        limits.held_out,
        limits.novelty,
    )
