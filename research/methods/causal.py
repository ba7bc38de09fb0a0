"""Ours, and the paper's method as published: the recipes of ``models/recipes`` as methods of the comparison.

A crop's interventions are drawn from its pixels, so that its row depends on it alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from causalprint.models.features import FeatureExtractor, feature
from causalprint.models.labelled import LabelledImages
from causalprint.models.statistics.discriminant import Discriminants, discriminants
from causalprint.models.training.examples import THUMBNAIL, Labelled, thumbnail_of
from causalprint.models.training.interventions import Style
from causalprint.models.training.learning import Trained, learn
from causalprint.models.training.recipe import Recipe, load_recipe
from causalprint.research.methods.base import Kit, Method, Predict, Training
from causalprint.schemas.arrays import Crops, Doubles, Floats, Pixels, Scores

STYLE = len(Style())
CONTENT = 3 * THUMBNAIL**2


def features(crops: Crops, kit: Kit, recipe: Recipe) -> npt.NDArray[np.float16]:
    """Lens features, style and thumbnail of every version side by side, float16 (N, V, D + 9 + 768)."""
    extractor = _extractor(recipe, kit)
    return np.stack([_row(crop, recipe, extractor) for crop in crops])


def fit(training: Training, kit: Kit, recipe: Recipe) -> Predict:
    """Scores (M, K) of the networks that the recipe trains."""
    sizes = tuple(one.size for one in _extractor(recipe, kit).features)
    width = sum(sizes)
    labelled = Labelled(
        images=LabelledImages.known(training.labels.astype(np.str_), origin=training.origins, content=training.contents),
        features=training.features[..., :width],
        style=training.features[..., width : width + STYLE].astype(np.float32),
        thumbnail=training.features[:, 0, width + STYLE :].astype(np.uint8),
        labels=training.labels,
        generators=tuple(label > 0 for label in range(training.classes)),  # the first is `real`
        sizes=sizes,
    )
    validation = training.validation if training.validation.any() else None
    trained = learn(labelled, training.classes, recipe, validation, training.seed, kit.device)
    learned = labelled if validation is None else labelled.take(~validation)
    return Rule(trained, discriminants(*trained.metric(learned)), width)


@dataclass(frozen=True, slots=True)
class Rule:
    """What was learned, of features of which the first ``width`` are the lenses'."""

    trained: Trained
    discriminants: Discriminants
    width: int

    def __call__(self, rows: npt.NDArray[Any]) -> Scores:
        """Scores (M, K)."""
        return self.trained.scores(self._fingerprints(rows)).astype(np.float64)

    def novelty(self, rows: npt.NDArray[Any]) -> Scores:
        """(M,): the less familiar, the larger."""
        largest: Doubles = self.discriminants(self._fingerprints(rows)).max(axis=1)
        return -largest

    def _fingerprints(self, rows: npt.NDArray[Any]) -> Floats:
        return self.trained.fingerprints(rows[:, 0, : self.width])


def _row(crop: Pixels, recipe: Recipe, extractor: FeatureExtractor) -> npt.NDArray[np.float16]:
    seed = int.from_bytes(hashlib.sha256(crop.tobytes()).digest()[:8], "big")
    changed = [change(crop, crop.shape[0], (seed, version)) for version, change in enumerate(recipe.interventions, 1)]
    versions = np.stack([crop, *(one.pixels for one in changed)])
    styles = np.stack([Style().vector(), *(one.style for one in changed)])
    thumbnails = np.broadcast_to(thumbnail_of(crop), (len(versions), CONTENT))
    return np.concatenate([extractor(versions), styles, thumbnails], axis=1).astype(np.float16)


@lru_cache(maxsize=2)
def _extractor(recipe: Recipe, kit: Kit) -> FeatureExtractor:
    uses = tuple(feature(use.lens, use.reading) for use in recipe.lenses)
    return FeatureExtractor(recipe.residual or kit.residual, uses, kit.device, f"recipe {recipe.name}")


def _method(name: str, recipe: str, title: str, published: str, differs: str) -> Method:
    return Method(
        name=name,
        title=title,
        reference="Xu et al., ICASSP 2026, arXiv 2509.15406",
        published=published,
        differs=differs,
        features=partial(features, recipe=load_recipe(recipe)),
        fit=partial(fit, recipe=load_recipe(recipe)),
    )


CAUSAL = _method(
    "causal", "default", "causalprint, recipe default", "ours", "decoupled by interventions; what it reads stands in the recipe"
)
CAUSAL_PAPER = _method(
    "causal_paper",
    "causal-2509.15406",
    "causal fingerprints as published",
    "0.980 (F2) on GM-GenImage: BigGAN, ProGAN, GLIDE, SD, no real class, same origins in training and test",
    "three lenses of six (the others need weights), a small prior in place of ADM, attention in place of CLIP ViT-B/32, "
    "and a split by origin with real photographs",
)
