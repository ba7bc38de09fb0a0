"""Labelled features that stand for images: what tells their sources apart, and what only seems to, is known."""

from __future__ import annotations

import numpy as np

from causalprint.models.labelled import LabelledImages
from causalprint.models.training.examples import Labelled
from causalprint.models.training.interventions import Interventions, Style
from causalprint.models.training.recipe import Objective, Optimiser, Recipe, Use

SIZES = (20, 30)
SOURCES = ("real", "one", "another")
CLASSES = len(SOURCES)
PER_ORIGIN = 20
GENERATORS = (False, True, True)
EVERYTHING = Objective(1.0, 1.0, 0.2, 2.0, 0.5, 0.5, 0.1, 0.1, 1.0, 0.1, 0.1)
"""Every term of the objective at once."""
OURS = Recipe(
    "ours",
    "as the package's default, of fewer epochs",
    lenses=(Use("rgb", "residual"), Use("dct", "image")),
    interventions=(Interventions(),),
    objective=Objective(1.0, 1.0, 0.2, 2.0, 0.5, 0.5, 0.0, 0.1),
    optimiser=Optimiser(epochs=2, batch=64, rate=1e-4),
)


def a_world(gap: float, seed: int = 0) -> Labelled:
    """Three sources of two origins, told apart by a shift of one axis each; every origin has a shift of its own, too.

    Images of one place in their origin show the same content; the second version is the first, a little noisier.
    """
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(CLASSES), 2 * PER_ORIGIN)
    base = draw.normal(0, 1, (len(labels), sum(SIZES)))
    base[np.arange(len(labels)), labels] += gap
    base[:, 10:20] += np.repeat(draw.normal(0, 1, (2 * CLASSES, 10)), PER_ORIGIN, axis=0)
    versions = np.stack([base, base + draw.normal(0, 0.1, base.shape)], axis=1)
    style = draw.normal(0, 1, (len(labels), 2, len(Style()))).astype(np.float32)
    style[:, 0] = Style().vector()
    thumbnail = draw.integers(0, 256, (PER_ORIGIN, 768), np.uint8)
    images = LabelledImages.known(
        np.array(SOURCES)[labels],
        origin=np.array([f"origin-{place // PER_ORIGIN}" for place in range(len(labels))]),
        content=np.array([f"content-{place % PER_ORIGIN}" for place in range(len(labels))]),
    )
    return Labelled(images, versions.astype(np.float16), style, np.tile(thumbnail, (2 * CLASSES, 1)), labels, GENERATORS, SIZES)
