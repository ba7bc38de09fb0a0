"""What a bundle holds besides its residual and lenses: the networks that a recipe trains, and limits set on held-out images.

Temperature and limits come from images that the scoring network has not seen: of validation where it is given, else of a
cross-validation that holds out whole origins where a source has several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from causalprint.models.bundles.decision import HeldOut, set_limits
from causalprint.models.bundles.manifest import ART, UNREGISTERED, Decision, Feature, Network
from causalprint.models.statistics.discriminant import WithinMetric, discriminants
from causalprint.models.statistics.origins import of_new_origins, split_folds
from causalprint.models.training.examples import Labelled
from causalprint.models.training.learning import Trained, learn
from causalprint.models.training.networks import AttentionAttributor
from causalprint.models.training.recipe import Recipe
from causalprint.schemas.arrays import Floats, Mask
from causalprint.schemas.tables import FINGERPRINT_DIM

Report = Callable[[str], None]
Tensors = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """How a head is fitted, beside its recipe.

    Attributes:
        folds: of the cross-validation.
        seed: of the folds and of the training.
        device: what trains: ``cpu`` or ``cuda``.
        checkpoints: folder of the trainings' checkpoints; ``None`` keeps none.
    """

    folds: int = 4
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
        generated, novelty: (N,), of the same.
        fingerprints: of each image by the networks that the bundle holds, which learned from it unless it is of validation;
            float16 (N, 128).
    """

    fingerprint: Tensors
    attribution: Tensors
    network: Network
    decision: Decision
    held_out: Floats
    generated: Floats
    novelty: Floats
    fingerprints: npt.NDArray[np.float16]


def fit_head(
    labelled: Labelled,
    features: Sequence[Feature],
    sources: Sequence[str],
    recipe: Recipe,
    config: HeadConfig,
    validation: Mask | None = None,
    report: Report = lambda _: None,
) -> Head:
    """Trains what ``recipe`` says and sets the limits.

    Args:
        labelled: what from; its features are ``features`` side by side.
        features: lenses and readings, in order.
        sources: K of them, which its labels are places in.
        recipe: all choices of the training.
        config: how it is run.
        validation: images (N,) to choose the best epoch and set the limits on, never to learn from; ``None`` cross-validates by
            :func:`~causalprint.models.statistics.origins.split_folds` and learns from all.
        report: told what is being done.
    """
    classes, definite = len(sources), np.array(sources) != UNREGISTERED
    device = torch.device(config.device)
    checkpoints = config.checkpoints

    def train(part: Labelled, held_out: Mask | None, name: str) -> Trained:
        file = None if checkpoints is None else checkpoints / f"{name}.safetensors"
        return learn(part, classes, recipe, held_out, config.seed, device, file, lambda text: report(f"{name}: {text}"))

    count = len(labelled.labels)
    scores = np.full((count, classes), np.nan, np.float32)
    detection, familiarity = (np.full(count, np.nan, np.float32) for _ in range(2))
    of_new_origin = np.zeros(count, np.bool_)

    def ask(trained: Trained, rows: Mask) -> WithinMetric:
        """Writes down what ``trained`` says of ``rows``, (N,), which it has not seen; gives the metric of the others."""
        found = trained.fingerprints(labelled.features[rows, 0])
        metric = trained.metric(labelled.take(~rows))
        scores[rows] = trained.scores(found)
        detection[rows] = trained.detection(found)
        familiarity[rows] = discriminants(*metric)(found)[:, definite].max(axis=1)
        of_new_origin[rows] = of_new_origins(rows, labelled.labels, labelled.images.origin)
        return metric

    if validation is not None:
        trained = train(labelled, validation, "networks")
        metric = ask(trained, validation)
    else:
        folds = split_folds(labelled.labels, labelled.images.origin, labelled.images.content, config.folds, config.seed)
        for number, fold in enumerate(folds, 1):
            if fold.any():
                ask(train(labelled.take(~fold), None, f"fold {number} of {len(folds)}"), fold)
        trained = train(labelled, None, "networks")
        metric = trained.metric(labelled)
    scores[labelled.images.source == ART] = np.nan  # paintings are too few to have a say in limits
    held_out = HeldOut(scores, detection, familiarity, of_new_origin, labelled.images.origin)
    limits = set_limits(held_out, labelled.labels, sources)
    places = {"centre": metric.centre.astype(np.float32), "whitening": metric.whitening.astype(np.float32)}
    return Head(
        fingerprint_tensors(trained, features),
        attribution_tensors(trained.attributor, limits.intercept) | detector_tensors(trained.detector) | places,
        Network(recipe.fusion, recipe.autoencoder, recipe.attributor, len(trained.detector.bias)),
        limits.decision,
        limits.held_out,
        limits.generated,
        limits.novelty,
        trained.fingerprints(labelled.features[:, 0]).astype(np.float16),
    )


def fingerprint_tensors(trained: Trained, features: Sequence[Feature]) -> Tensors:
    """As of :func:`~causalprint.models.bundles.manifest.fingerprint_shapes`: components folded into projections, in float16.

    Fixed weights of the lenses are folded in as well; a projection's range is kept by its gain.
    """
    network, (_, standard, centres, bases) = trained.network, trained.reduction
    tensors: Tensors = {"bias": np.zeros(FINGERPRINT_DIM, np.float32)}
    weights = network.weights / network.weights.mean()
    start = 0
    for one, token, centre, basis, weight in zip(features, network.tokens, centres, bases, weights, strict=True):
        place = slice(start, start + one.size)
        matrix = token.get_parameter("weight").detach() @ basis.T
        offset = token.get_parameter("bias").detach() - matrix @ centre
        if network.fusion == "f2":
            tensors[f"{one.key}.bias"] = offset.numpy()
        else:
            matrix = matrix * weight
            tensors["bias"] += (offset * weight).numpy()
        projection = matrix.numpy() * standard.gain[place]
        gain = max(float(np.abs(projection).max()), 1e-30)
        tensors[f"{one.key}.mean"] = standard.mean[place]
        tensors[f"{one.key}.scale"] = standard.scale[place]
        tensors[f"{one.key}.gain"] = np.array([gain], np.float32)
        tensors[f"{one.key}.projection"] = (projection / gain).astype(np.float16)
        start += one.size
    others = {key: value for key, value in network.state_dict().items() if key.startswith(("query", "key", "autoencoder"))}
    return tensors | {f"network.{key}": value.numpy() for key, value in others.items()}


def attribution_tensors(attributor: nn.Module, intercept: npt.NDArray[np.float32]) -> Tensors:
    """Its part of :func:`~causalprint.models.bundles.manifest.attribution_shapes`; ``intercept`` (K,) joins its bias."""
    if isinstance(attributor, AttentionAttributor):
        found = {name: value.detach().numpy() for name, value in attributor.tensors.items()}
        return {f"attention.{name}": value + intercept if name == "bias" else value for name, value in found.items()}
    weight, bias = (attributor.get_parameter(name).detach().numpy() for name in ("weight", "bias"))
    return {"weight": weight, "bias": bias + intercept}


def detector_tensors(detector: nn.Linear) -> Tensors:
    """Its part of :func:`~causalprint.models.bundles.manifest.attribution_shapes`."""
    return {
        "generated.weight": detector.weight.detach().numpy().copy(),
        "generated.bias": detector.bias.detach().numpy().copy(),
    }
