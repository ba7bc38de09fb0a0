"""Learns what a bundle holds besides its residual: projections to the fingerprint, the attribution head, and its limits.

The first K numbers of a fingerprint are the scores of :mod:`~causalprint.models.ridge` for the K sources; the others are the
leading principal components of the standardised features, which say nothing of known sources and much of what is like none.
Temperature and limits are set on held-out scores, of origins that the scoring model has not seen where a source has several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from causalprint.models.fingerprint import CLIP
from causalprint.models.manifest import Decision, Feature
from causalprint.models.ridge import (
    Floats,
    Labels,
    Penalty,
    Standard,
    Text,
    balance,
    held_out_scores,
    indicators,
    solve,
    split_folds,
    standard_of,
    standardise,
)
from causalprint.schemas.tables import FINGERPRINT_DIM


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """How the head is fitted.

    Attributes:
        ridge: of the regression, in units of the mean squared norm of an image's features.
        invariance: weight of differences between an image's views, in units of its weight for being attributed rightly.
        folds: of the cross-validation.
        score_gain: scores are stored times this, so that their spread is of the order of 1.
        component_gain: standard deviation of the principal components in the fingerprint.
        shrinkage: share of the mean variance in the covariance that measures novelty.
        answered_right: share of answers on held-out images that must be right; it sets the least probability.
        answered_least: share of held-out images that must be answered all the same.
        novelty_quantile: share of held-out images of known sources that the novelty limit lets through.
        flat: see :class:`~causalprint.models.manifest.Decision`.
        seed: of the folds.
    """

    ridge: float = 0.1
    invariance: float = 1.0
    folds: int = 4
    score_gain: float = 8.0
    component_gain: float = 0.5
    shrinkage: float = 0.1
    answered_right: float = 0.9
    answered_least: float = 0.35
    novelty_quantile: float = 0.95
    flat: float = 0.5 / 255
    seed: int = 0


class Head(NamedTuple):
    """What was learned, and what held-out images say of it.

    Attributes:
        mean, scale: (D,), standardisation.
        projection: (128, D), to be applied to standardised features, and ``bias`` (128,).
        weight, intercept: the classifier, (K, 128) and (K,).
        centre, whitening: novelty, (K, 128) and (128, 128).
        decision: temperature and limits.
        held_out: probabilities (N, K) of each training image by a model without its fold; NaN where it was in none.
        novelty: (N,), of the same.
    """

    mean: Floats
    scale: Floats
    projection: Floats
    bias: Floats
    weight: Floats
    intercept: Floats
    centre: Floats
    whitening: Floats
    decision: Decision
    held_out: Floats
    novelty: Floats

    def fingerprint_tensors(self, features: Sequence[Feature]) -> dict[str, npt.NDArray[Any]]:
        """As of :func:`~causalprint.models.manifest.fingerprint_shapes`; projections in float16, ranges kept by the gains."""
        tensors: dict[str, npt.NDArray[Any]] = {"bias": self.bias}
        start = 0
        for feature in features:
            place = slice(start, start + feature.size)
            gain = max(float(np.abs(self.projection[:, place]).max()), 1e-30)
            tensors[f"{feature.key}.mean"] = self.mean[place]
            tensors[f"{feature.key}.scale"] = self.scale[place]
            tensors[f"{feature.key}.gain"] = np.array([gain], np.float32)
            tensors[f"{feature.key}.projection"] = (self.projection[:, place] / gain).astype(np.float16)
            start += feature.size
        return tensors

    def attribution_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """As of :func:`~causalprint.models.manifest.attribution_shapes`."""
        return {"weight": self.weight, "bias": self.intercept, "centre": self.centre, "whitening": self.whitening}


def fit_head(
    features: npt.NDArray[np.float16],
    sizes: tuple[int, ...],
    labels: Labels,
    origins: Text,
    contents: Text,
    prior: Floats,
    config: HeadConfig,
    validation: npt.NDArray[np.bool_] | None = None,
) -> Head:
    """Fits a head to features (N, V, D) of N images in V views, the first of which is the image as it is.

    Args:
        features: as of :class:`~causalprint.models.features.FeatureExtractor`, lenses of ``sizes`` side by side.
        sizes: of the lenses.
        labels: (N,), below ``classes``.
        origins: (N,), where an image is from.
        contents: (N,), what images of one scene or prompt share.
        prior: (K,), how frequent each source is taken to be, in any unit; K at most 128.
        config: how.
        validation: images to set temperature and limits on, and never to learn from; ``None`` cross-validates by
            :func:`~causalprint.models.ridge.split_folds` and learns from all.
    """
    count, views, width = features.shape
    classes = len(prior)
    rows = features.reshape(count * views, width)
    standard = standard_of(rows, sizes)
    z = standardise(rows, standard, CLIP)
    kernel = z @ z.T
    kernel /= kernel.diagonal().mean()  # so that ``ridge`` means the same whatever the lenses
    folds = split_folds(labels, origins, contents, config.folds, config.seed) if validation is None else [validation]
    penalty = Penalty(config.ridge, config.invariance, views)
    scores = held_out_scores(kernel, labels, origins, classes, folds, penalty)
    learned = np.arange(count) if validation is None else np.flatnonzero(~validation)
    chosen = torch.from_numpy((learned[:, None] * views + np.arange(views)).flatten())
    targets = indicators(np.repeat(labels[learned], views), classes)
    dual = solve(kernel[chosen][:, chosen], targets, balance(labels[learned], origins[learned]), penalty)
    unit = 1 / (z.square().sum(dim=1).mean())
    directions = [(z[chosen].T @ dual * unit * config.score_gain).T]
    intercept = dual.sum(dim=0) * config.score_gain
    principal, spread = _components(z[::views], FINGERPRINT_DIM - classes)
    directions.append(principal * (config.component_gain / spread[:, None]))
    projection = torch.cat(directions).numpy()
    centre_of_components = z[::views].mean(dim=0)
    offset = -(directions[1] @ centre_of_components)
    fingerprints = _held_out_fingerprints(z[::views], projection, offset, scores * config.score_gain, classes)
    return _with_limits(fingerprints, projection, torch.cat([intercept, offset]).numpy(), standard, labels, prior, config)


def _components(z: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Leading principal directions (count, D) of z (N, D), zeros where there are no more, and standard deviations along them."""
    centred = z - z.mean(dim=0)
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    values, vectors = values.flip(0)[:count].clamp(min=0), vectors.flip(1)[:, :count]
    known = values > 1e-6 * values[0]
    directions = (vectors / values.clamp(min=1e-12).sqrt()).T @ centred * known[:, None]
    # The sign of an eigenvector is the library's whim.
    directions *= torch.where(directions.sum(dim=1, keepdim=True) < 0, -1.0, 1.0)
    spread = torch.where(known, (values / len(z)).sqrt(), torch.ones_like(values))
    missing = count - len(directions)
    padding = torch.zeros(missing, z.shape[1])
    return torch.cat([directions, padding]), torch.cat([spread, torch.ones(missing)])


def _held_out_fingerprints(z: torch.Tensor, projection: Floats, offset: torch.Tensor, scores: Floats, classes: int) -> Floats:
    """(N, 128): held-out scores, then components (which are learned without labels)."""
    components = (z @ torch.from_numpy(projection[classes:]).T + offset).numpy()
    return np.concatenate([scores, components], axis=1)


def _with_limits(
    fingerprints: Floats, projection: Floats, bias: Floats, standard: Standard, labels: Labels, prior: Floats, config: HeadConfig
) -> Head:
    classes = len(prior)
    known = np.isfinite(fingerprints[:, 0])
    rows, truth = fingerprints[known].astype(np.float64), labels[known]
    balanced = (1 / np.bincount(truth, minlength=classes)[truth]).astype(np.float64)
    temperature = _temperature(rows[:, :classes], truth, balanced)
    # Bayes' rule: the temperature was found with every source alike.
    intercept = temperature * np.log(prior / prior.mean())
    chances = _softmax((rows[:, :classes] + intercept) / temperature)
    centre = np.stack(
        [rows[truth == label].mean(axis=0) if (truth == label).any() else rows.mean(axis=0) for label in range(classes)]
    )
    offsets = rows - centre[truth]
    covariance = (offsets * balanced[:, None]).T @ offsets / balanced.sum()
    covariance += config.shrinkage * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    whitening = vectors / np.sqrt(values) @ vectors.T
    distance = np.square((rows[:, None] - centre) @ whitening).sum(axis=2).min(axis=1)
    limit = float(np.quantile(distance, config.novelty_quantile))
    decision = Decision(temperature, _least_probability(chances, truth, config), limit, config.flat)
    held_out = np.full((len(labels), classes), np.nan, np.float32)
    held_out[known] = chances
    novelty = np.full(len(labels), np.nan, np.float32)
    novelty[known] = distance / limit
    weight = np.eye(classes, FINGERPRINT_DIM, dtype=np.float32)
    return Head(
        standard.mean,
        standard.scale,
        projection * standard.gain,
        bias,
        weight,
        intercept.astype(np.float32),
        centre.astype(np.float32),
        whitening.astype(np.float32),
        decision,
        held_out,
        novelty,
    )


def _temperature(scores: npt.NDArray[np.float64], truth: Labels, weights: npt.NDArray[np.float64]) -> float:
    """The temperature of least negative log-likelihood, every class weighing alike; to one part in fifty."""
    grid = np.geomspace(0.02, 50, 400)
    losses = []
    for temperature in grid:
        chances = _softmax(scores / temperature)[np.arange(len(truth)), truth]
        losses.append(-(weights * np.log(np.maximum(chances, 1e-12))).sum())
    return float(grid[int(np.argmin(losses))])


def _least_probability(chances: npt.NDArray[np.float64], truth: Labels, config: HeadConfig) -> float:
    """The least probability at which answers are right often enough, or at which few enough are given."""
    best = chances.max(axis=1)
    order = np.argsort(-best, kind="stable")
    right = np.cumsum(chances.argmax(axis=1)[order] == truth[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(right >= config.answered_right)
    answered = max(int(enough[-1]) + 1 if len(enough) else 0, int(np.ceil(config.answered_least * len(order))))
    return float(best[order[min(answered, len(order)) - 1]])


def _softmax(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
