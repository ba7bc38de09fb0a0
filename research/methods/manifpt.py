"""ManiFPT in three spaces: a generator's artefact is what parts its image from the nearest real one.

a = φ(x) - φ(x*), where x* is the image of a bank of real ones that is nearest to x in the space φ, by squared L2; a classifier
learns from artefacts. The authors' spaces are RGB, FREQ, and two of pretrained networks (SL, SSL).

A real image that lay in its own bank would have the artefact zero, and its content's decoded copy nothing but the decoder's
residual: both would be told at a glance, in training and never again. So an image's own content is no neighbour of it.

Chosen here, where the paper trains a ResNet50 on artefacts against a bank of 30,000 photographs: half of the training
photographs, by content, are the bank and are not learned from. Artefacts in RGB go to the small network that the baselines
share; those in FREQ to ridge regression after averaging 2 x 2 frequencies (place is what a spectrum says, and the network looks
at no place); those in the learned space to logistic regression. There is one learned space, that of the kit's encoder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from causalprint.research.methods import dire_cnn, frank20
from causalprint.research.methods.base import Kit, Method, Predict, Training, UnavailableError
from causalprint.research.methods.cnn import learn
from causalprint.research.methods.estimators import learn_best, load_library, logistic_regressions
from causalprint.research.methods.images import each_tensor, pixels
from causalprint.research.methods.loaded import clip_of
from causalprint.schemas.arrays import Crops, Floats, Labels, Mask, Scores, Text

BANK = 1024
"""Real images in the bank at most; with them goes its memory."""
QUERIES = 64
"""Images whose artefacts are computed at a time: in float32 they are several times as large as the crops."""
SPARE = 4
"""Further candidates of faiss among which the nearest is found exactly: with long vectors it rounds distances noticeably."""
SILENCE = 1e-12

Rows = npt.NDArray[Any]
"""(N, …): crops uint8 (N, C, C, 3), features of them, or artefacts."""
Space = Callable[[Rows], Floats]
"""φ: rows (N, …) -> float32 (N, …), each row from its own alone."""

REFERENCE = "Song, Khayatkhoei, AbdAlmageed: ManiFPT, CVPR 2024, arXiv 2402.10401"
DIFFERS = (
    "a bank of a few hundred photographs instead of 30,000, no network of ResNet50's size, several contents, "
    "other publishers in the test"
)


def rgb(crops: Rows) -> Floats:
    """Pixels 0 to 1, float32 (N, C, C, 3), of crops uint8 (N, C, C, 3)."""
    scaled: Floats = crops.astype(np.float32) / np.float32(255)
    return scaled


def freq(crops: Rows) -> Floats:
    """log(abs(fftshift(fft2(x))) + 1e-12) of each channel, pixels 0 to 1; float32 (N, C, C, 3), frequency 0 at C // 2."""
    spectra = (torch.fft.fftshift(torch.fft.fft2(image, dim=(0, 1)), dim=(0, 1)) for image in torch.from_numpy(rgb(crops)))
    return torch.stack([(spectrum.abs() + SILENCE).log() for spectrum in spectra]).numpy()


class Bank:
    """B real images in a space, as float32: 1,024 crops of 256 pixels take 0.8 GB in RGB or FREQ."""

    def __init__(self, reals: Rows, contents: Text, space: Space, threads: int = 1) -> None:
        """Embeds ``reals`` (B, …), of ``contents`` (B,); repeated ones are kept once. ``threads`` are those of the search.

        Raises:
            UnavailableError: faiss is not installed.
        """
        self._faiss = load_library("faiss")
        self._threads, self._space = threads, space
        digests = digests_of(reals)
        rows = np.sort(np.unique(digests, return_index=True)[1])
        self._digests, self._contents = digests[rows], contents[rows]
        self._vectors = np.concatenate([space(reals[rows[part]]) for part in _parts(len(rows))])

    def artefacts(self, queries: Rows, contents: Text | None = None) -> Floats:
        """φ(x) - φ(x*) of rows (M, …), float32 (M, …) in the space's shape; x* is found exactly, the first of equals.

        Args:
            queries: of the bank's kind.
            contents: (M,); real images of a query's own content are passed over. ``None`` where they are known to be none of the
                bank's. Images equal to the query, byte by byte, are passed over in any case.

        Raises:
            ValueError: nothing in the bank is of another content.
        """
        excluded = digests_of(queries)[:, None] == self._digests
        if contents is not None:
            excluded |= contents[:, None] == self._contents
        if excluded.all(axis=1).any():
            raise ValueError(
                f"all {len(self._vectors)} real images of the bank show the content of an image whose nearest is asked for; "
                "give more real images"
            )
        vectors = self._space(queries)
        nearest: Floats = self._vectors[self._nearest(vectors.reshape(len(queries), -1), excluded)]
        return vectors - nearest

    def _nearest(self, queries: Floats, excluded: Mask) -> Labels:
        """Places in the bank of the nearest to each of ``queries`` (M, D) that is not ``excluded`` (M, B)."""
        bank = self._vectors.reshape(len(self._vectors), -1)
        count = min(len(bank), int(excluded.sum(axis=1).max()) + 1 + SPARE)
        self._faiss.omp_set_num_threads(self._threads)
        _, candidates = self._faiss.knn(queries, bank, count)
        chosen = np.zeros(len(queries), np.int64)
        for place, (query, near) in enumerate(zip(queries, candidates, strict=True)):
            allowed = np.sort(near[~excluded[place, near]][: 1 + SPARE])
            distances = [np.square(query - bank[one], dtype=np.float64).sum() for one in allowed]
            chosen[place] = allowed[int(np.argmin(distances))]
        return chosen


def digests_of(rows: Rows) -> Text:
    """SHA-256 (hex) of each row's values, (N,): equal for images that are equal pixel by pixel."""
    return np.array([hashlib.sha256(row.tobytes()).hexdigest() for row in rows])


def halve(contents: Text, seed: int) -> Mask:
    """Which images (N,) go to the bank: half of the contents, drawn by ``seed``, the same for the same contents in any order.

    Raises:
        UnavailableError: there are fewer than two contents.
    """
    distinct = sorted(set(contents.tolist()), key=lambda content: hashlib.sha256(f"{seed}:{content}".encode()).hexdigest())
    if len(distinct) < 2:
        raise UnavailableError(f"ManiFPT needs real images of two contents, one for its bank; {len(contents)} images show fewer")
    return np.isin(contents, distinct[: len(distinct) // 2])


def embeddings(crops: Crops, kit: Kit) -> Floats:
    """Features of the kit's encoder, float32 (N, D)."""
    return each_tensor(crops, clip_of(kit).apply, kit.device)


def halved(spectra: Rows) -> Rows:
    """Means over 2 x 2 frequencies, (N, C // 2, C // 2, 3)."""
    side = spectra.shape[1] // 2
    means: Rows = spectra[:, : 2 * side, : 2 * side].reshape(len(spectra), side, 2, side, 2, -1).mean(axis=(2, 4))
    return means


def fit(
    training: Training,
    kit: Kit,
    space: Space,
    learn: Callable[[Training, Kit], Predict],
    reduce: Callable[[Rows], Rows] = lambda artefacts: artefacts,
) -> Predict:
    """Scores (M, K) of what ``learn`` learns from artefacts in ``space``, reduced and then in half precision."""
    real = np.flatnonzero((training.labels == 0) & ~training.validation)
    banked = real[halve(training.contents[real], training.seed)][:BANK]
    bank = Bank(training.features[banked], training.contents[banked], space, kit.threads)

    def artefacts(rows: Rows, contents: Text | None = None) -> Rows:
        return reduce(bank.artefacts(rows, contents)).astype(np.float16)

    left = np.setdiff1d(np.arange(len(training.labels)), banked)
    parts = [left[part] for part in _parts(len(left))]
    rule = learn(
        training._replace(
            features=np.concatenate([artefacts(training.features[part], training.contents[part]) for part in parts]),
            labels=training.labels[left],
            origins=training.origins[left],
            contents=training.contents[left],
            validation=training.validation[left],
        ),
        kit,
    )

    def predict(features: Rows) -> Scores:
        return np.concatenate([rule(artefacts(features[part])) for part in _parts(len(features))])

    return predict


def _parts(count: int) -> list[slice]:
    return [slice(start, start + QUERIES) for start in range(0, count, QUERIES)]


MANIFPT_RGB = Method(
    name="manifpt_rgb",
    title="ManiFPT, RGB",
    reference=REFERENCE,
    published="not comparable: the authors report their best space of each data set, accuracy 64.8 to 74.7 %",
    differs=DIFFERS,
    features=pixels,
    fit=partial(fit, space=rgb, learn=partial(learn, make=dire_cnn.network)),
)
MANIFPT_FREQ = Method(
    name="manifpt_freq",
    title="ManiFPT, FREQ",
    reference=REFERENCE,
    published="accuracy 64.8 % on CHQ and 66.1 % on FFHQ, generators of one content each",
    differs=DIFFERS,
    features=pixels,
    fit=partial(fit, space=freq, learn=frank20.fit, reduce=halved),
)
MANIFPT_LEARNED = Method(
    name="manifpt_learned",
    title="ManiFPT, learned space",
    reference=REFERENCE,
    published="accuracy 72.0 % on CIFAR10 (SL, ResNet50), 74.7 % on CelebA (SSL, Barlow Twins); one content each",
    differs=f"the kit's encoder in place of ResNet50 and Barlow Twins; {DIFFERS}",
    features=embeddings,
    fit=partial(
        fit,
        space=lambda features: features,
        learn=lambda training, _: learn_best(training, logistic_regressions((1, 0.01), 1000)),
    ),
)
