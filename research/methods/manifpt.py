"""ManiFPT in three spaces: the artefact against the nearest real image, and a classifier of artefacts.

Chosen here, where the paper trains a ResNet50 on artefacts against a bank of 30,000 photographs: half of the training
photographs, by content, are the bank and are not learned from. Artefacts in RGB go to the small network that the baselines
share; those in FREQ to ridge regression after averaging 2 x 2 frequencies (place is what a spectrum says, and the network looks
at no place); those in the learned space to logistic regression. There is one learned space, that of the kit's encoder; the
paper's SL and SSL are two such.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from causalprint.research.methods import dire_cnn, frank20
from causalprint.research.methods.base import Crops, Kit, Method, Predict, Training, UnavailableError
from causalprint.research.methods.cnn import learn
from causalprint.research.methods.estimators import learn_best, load_library, logistic_regressions
from causalprint.research.methods.images import each_tensor
from causalprint.research.methods.loaded import clip_of
from causalprint.research.methods.manifold import QUERIES, SPACES, Manifold, Rows, Text, halve

BANK = 1024
"""Real images in the bank at most; with them goes its memory."""
STRENGTHS = (1.0, 0.01)
"""Inverse penalties of the logistic regression."""

Artefacts = npt.NDArray[Any]
Fit = Callable[[Training, Kit], Predict]
REFERENCE = "Song, Khayatkhoei, AbdAlmageed: ManiFPT, CVPR 2024, arXiv 2402.10401"
DIFFERS = (
    "a bank of a few hundred photographs instead of 30,000, no network of ResNet50's size, several contents, "
    "other publishers in the test"
)


def pixels(crops: Crops, kit: Kit) -> Crops:
    """The crops themselves: the bank is chosen in ``fit``."""
    return crops


def embeddings(crops: Crops, kit: Kit) -> npt.NDArray[np.float32]:
    """Features of the kit's encoder, float32 (N, D)."""
    return each_tensor(crops, clip_of(kit).apply, kit.device)


def fit_rgb(training: Training, kit: Kit) -> Predict:
    """Log-probabilities (M, K) of a small network on artefacts in RGB."""
    return _fit(training, kit, "rgb", lambda artefacts: artefacts, lambda rows, kit: learn(rows, kit, dire_cnn.network))


def fit_freq(training: Training, kit: Kit) -> Predict:
    """Scores (M, K) of ridge regression on artefacts in FREQ."""
    return _fit(training, kit, "freq", _halved, frank20.fit)


def fit_learned(training: Training, kit: Kit) -> Predict:
    """Decision values (M, K) of logistic regression on artefacts in the kit's learned space."""
    return _fit(training, kit, "learned", lambda artefacts: artefacts, _logistic)


def _fit(training: Training, kit: Kit, space: str, reduce: Callable[[Artefacts], Artefacts], fit: Fit) -> Predict:
    load_library("faiss")
    real = np.flatnonzero((training.labels == training.real) & ~training.validation)
    if len(set(training.contents[real].tolist())) < 2:
        raise UnavailableError(f"ManiFPT needs real images of two contents, one for its bank; {len(real)} images show fewer")
    banked = real[halve(training.contents[real], training.seed)][:BANK]
    manifold = Manifold(training.features[banked], training.contents[banked], SPACES[space], kit.threads)
    left = np.setdiff1d(np.arange(len(training.labels)), banked)
    rows = Training(
        _artefacts(manifold, training.features[left], training.contents[left], reduce),
        training.labels[left],
        training.classes,
        training.real,
        training.origins[left],
        training.contents[left],
        training.validation[left],
        training.seed,
    )
    rule = fit(rows, kit)

    def predict(features: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        chunks = (features[start : start + QUERIES] for start in range(0, len(features), QUERIES))
        scores = (rule(_artefacts(manifold, chunk, None, reduce)) for chunk in chunks)
        return np.concatenate([np.zeros((0, training.classes)), *scores])

    return predict


def _artefacts(manifold: Manifold, rows: Rows, contents: Text | None, reduce: Callable[[Artefacts], Artefacts]) -> Artefacts:
    """Artefacts in half precision, a few rows at a time: of pixels they are twice as large as the crops."""
    parts = []
    for start in range(0, max(len(rows), 1), QUERIES):
        place = slice(start, start + QUERIES)
        parts.append(reduce(manifold.artefacts(rows[place], None if contents is None else contents[place])).astype(np.float16))
    return np.concatenate(parts)


def _halved(spectra: Artefacts) -> Artefacts:
    """Means over 2 x 2 frequencies, (N, C // 2, C // 2, 3)."""
    side = spectra.shape[1] // 2
    means: Artefacts = spectra[:, : 2 * side, : 2 * side].reshape(len(spectra), side, 2, side, 2, -1).mean(axis=(2, 4))
    return means


def _logistic(training: Training, kit: Kit) -> Predict:
    return learn_best(training, logistic_regressions(STRENGTHS, 1000))


MANIFPT_RGB = Method(
    name="manifpt_rgb",
    title="ManiFPT, RGB",
    reference=REFERENCE,
    published="not comparable: the authors report their best space of each data set, accuracy 64.8 to 74.7 %",
    differs=DIFFERS,
    features=pixels,
    fit=fit_rgb,
)
MANIFPT_FREQ = Method(
    name="manifpt_freq",
    title="ManiFPT, FREQ",
    reference=REFERENCE,
    published="accuracy 64.8 % on CHQ and 66.1 % on FFHQ, generators of one content each",
    differs=DIFFERS,
    features=pixels,
    fit=fit_freq,
)
MANIFPT_LEARNED = Method(
    name="manifpt_learned",
    title="ManiFPT, learned space",
    reference=REFERENCE,
    published="accuracy 72.0 % on CIFAR10 (SL, ResNet50), 74.7 % on CelebA (SSL, Barlow Twins); one content each",
    differs=f"the kit's encoder in place of ResNet50 and Barlow Twins; {DIFFERS}",
    features=embeddings,
    fit=fit_learned,
)
