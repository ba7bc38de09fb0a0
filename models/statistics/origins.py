"""What labelled images weigh when a class and an origin are to have their say, and folds that hold origins or contents out."""

from __future__ import annotations

import numpy as np

from causalprint.schemas.arrays import Doubles, Floats, Labels, Mask, Text


def balance(labels: Labels, origins: Text) -> Floats:
    """Weights (N,), 1 on average: every class weighs alike, and in it every origin by the square root of its images."""
    weights = np.zeros(len(labels))
    for label in np.unique(labels):
        of_class = labels == label
        for origin in np.unique(origins[of_class]):
            here = of_class & (origins == origin)
            weights[here] = here.sum() ** -0.5
        weights[of_class] /= weights[of_class].sum()
    normal: Floats = (weights * len(labels) / weights.sum()).astype(np.float32)
    return normal


def halved(weights: Doubles, made: Mask) -> Doubles:
    """``weights`` (N,), 1 on average, such that what is ``made`` (N,) weighs half, and the rest half; in a half as they were."""
    halves = np.where(made, weights[made].sum(), weights[~made].sum()) if made.any() and not made.all() else 1.0
    found: Doubles = weights / halves
    found *= len(found) / found.sum()
    return found


def split_folds(labels: Labels, origins: Text, contents: Text, count: int, seed: int) -> list[Mask]:
    """Disjoint masks (N,) that together hold every image.

    Of a class with several origins a whole origin is held out at a time; of a class with one origin, whole contents.
    """
    draw = np.random.default_rng(seed)
    place = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = labels == label
        several = len(np.unique(origins[of_class])) > 1
        groups = origins if several else contents
        names = np.unique(groups[of_class])
        order = np.arange(len(names)) if several else draw.permutation(len(names))
        for name, fold in zip(names, order, strict=True):
            place[of_class & (groups == name)] = fold % count
    return [place == fold for fold in range(count)]


def of_new_origins(held_out: Mask, labels: Labels, origins: Text) -> Mask:
    """Which of the M images in the mask ``held_out`` (N,) are of a class and an origin that none of the others is of, (M,)."""
    places = list(zip(labels.tolist(), origins.tolist(), strict=True))
    seen = {place for place, held in zip(places, held_out, strict=True) if not held}
    return np.array([place not in seen for place, held in zip(places, held_out, strict=True) if held], np.bool_)
