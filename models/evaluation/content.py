"""What images show, as a score: what that alone would say of who made them, and what of a figure is left where it is held fixed.

Content is a cause of an image, and where sources were asked for different things also a confounder of the label (the causal model
of arXiv 2509.15406). It is read as what is left of a crop that is blurred to 32 x 32 pixels, where no trace of a generator is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.kernel_ridge import KernelRidge

from causalprint.models.bundles.manifest import GRAPHIC, NOT_GENERATED
from causalprint.models.labelled import LabelledImages
from causalprint.models.lenses import load_lens
from causalprint.models.statistics.origins import balance, halved, split_folds
from causalprint.schemas.arrays import Crops, Floats, Labels, Mask, Pixels, Scores

BLURRED = 32
"""Side in pixels of what is left of a crop."""
ENCODER = "onnx:clip-vit-b16?pool=moments"
"""What reads it: of the package, whatever a bundle reads."""
DECILES = 10
FOLDS = 5
RIDGE = 0.5


class Content(NamedTuple):
    """What is said of N images by regressions on others.

    Attributes:
        generated: (N,), larger where images that show such things are generated rather than photographs or paintings; of a
            regression that has seen no image of the same source and origin.
        sources: S names.
        scores: (N, S), larger where images that show such things are of that source; of one that has seen no image of the same
            origin where the source has several, and none of the same content where it has one.
    """

    generated: Scores
    sources: tuple[str, ...]
    scores: Scores

    def best(self, sources: Sequence[str]) -> Labels:
        """The best of ``sources`` for each image, as its place in them, (N,); one that no image is of is never the best."""
        places = [self.sources.index(name) if name in self.sources else -1 for name in sources]
        best: Labels = np.where(np.array(places) >= 0, self.scores[:, places], -np.inf).argmax(axis=1)
        return best

    def take(self, rows: Mask) -> Content:
        """The same of the images in the mask ``rows`` (N,)."""
        return Content(self.generated[rows], self.sources, self.scores[rows])

    def hard(self, photographs: Mask) -> Mask:
        """Of the images in the mask ``photographs`` (N,) the tenth that by what they show look most generated."""
        hardest: Mask = photographs & (deciles(self.generated, photographs) == DECILES - 1)
        return hardest


def content_of(
    crops: Crops, images: LabelledImages, seed: int, pool: Executor, tell: Callable[[int], None] = lambda _: None
) -> Content:
    """What the content of crops uint8 (N, C, C, 3) says of them; ``tell`` is told how many are read."""
    lens = load_lens(ENCODER)

    def features(number: int) -> Floats:
        shown = torch.tensor(blurred(crops[number])).permute(2, 0, 1)[None].float() / 255
        return lens.apply(shown)[0].numpy()

    rows = []
    for row in pool.map(features, range(len(images))):
        rows.append(row)
        tell(len(rows))
    return learn_content(np.array(rows), images, seed)


def blurred(crop: Pixels) -> Pixels:
    """A crop uint8 (C, C, 3) averaged to 32 x 32 pixels, and enlarged to its size again."""
    small = Image.fromarray(crop).resize((BLURRED, BLURRED), Image.Resampling.BOX)
    return np.asarray(small.resize(crop.shape[1::-1], Image.Resampling.BICUBIC))


def learn_content(features: Floats, images: LabelledImages, seed: int) -> Content:
    """Ridge regressions on features (N, D), of the folds that an image is not in; graphics are no part of the first question."""
    names, labels = np.unique(images.source, return_inverse=True)
    made = ~np.isin(images.source, NOT_GENERATED)
    asked = images.source != GRAPHIC
    wide = features.astype(np.float64)
    wide = (wide - wide.mean(axis=0)) / (wide.std(axis=0) + 1e-6)
    likeness = wide @ wide.T / wide.shape[1]
    targets = np.eye(len(names))[labels]
    generated, scores = np.zeros(len(labels)), np.zeros((len(labels), len(names)))
    for held_out in split_folds(labels, images.origin, images.content, FOLDS, seed):
        learned = ~held_out
        if held_out.any() and learned.any():
            weights = balance(labels[learned], images.origin[learned]).astype(np.float64)
            scores[held_out] = _regress(likeness, learned, held_out, targets[learned], weights)
    collections = np.char.add(np.char.add(images.source, "/"), images.origin)
    for held_out in split_folds(made.astype(np.int64), collections, images.content, FOLDS, seed):
        learned = ~held_out & asked
        if held_out.any() and learned.any():
            weights = halved(balance(labels[learned], images.origin[learned]).astype(np.float64), made[learned])
            generated[held_out] = _regress(likeness, learned, held_out, made[learned].astype(np.float64), weights)
    return Content(generated, tuple(names.tolist()), scores)


def _regress(likeness: Scores, learned: Mask, held_out: Mask, targets: Scores, weights: Scores) -> Scores:
    ridge = KernelRidge(alpha=RIDGE, kernel="precomputed")
    middle = np.average(targets, axis=0, weights=weights)
    ridge.fit(likeness[np.ix_(learned, learned)], targets - middle, weights)
    found: Scores = ridge.predict(likeness[np.ix_(held_out, learned)]) + middle
    return found


def deciles(score: Scores, of: Mask) -> Labels:
    """The tenth of the images in the mask ``of`` (N,) that each of N images falls into by its ``score``, from 0."""
    bounds = np.quantile(score[of], np.arange(1, DECILES) / DECILES) if of.any() else np.zeros(0)
    return np.searchsorted(bounds, score, side="right")


def within(function: Callable[..., float | np.floating]) -> Callable[..., float]:
    """``function`` of some columns as the mean of its values inside each tenth, which stand in a column before them.

    A tenth in which it is no number, such as where one kind is missing, is left out.
    """

    def inside(place: Labels, *columns: npt.NDArray[Any]) -> float:
        values = [float(function(*(column[place == tenth] for column in columns))) for tenth in np.unique(place)]
        finite = [value for value in values if np.isfinite(value)]
        return float(np.mean(finite)) if finite else float("nan")

    return inside
