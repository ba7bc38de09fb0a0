"""ManiFPT (Song et al., CVPR 2024, arXiv 2402.10401): a generator's artefact is what parts its image from the nearest real one.

a = φ(x) - φ(x*), where x* is the image of a bank of real ones that is nearest to x in the space φ, by squared L2. The authors'
spaces are RGB, FREQ, and two of pretrained networks (SL, SSL); the bank stands for the manifold of real images.

A real image that lay in its own bank would have the artefact zero, and its content's decoded copy nothing but the decoder's
residual: both would be told at a glance, in training and never again. So an image's own content is no neighbour of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

Rows = npt.NDArray[Any]
"""(N, …): crops uint8 (N, C, C, 3), or features of them."""
Floats = npt.NDArray[np.float32]
Text = npt.NDArray[np.str_]

QUERIES = 64
"""Queries that are embedded at a time."""
SPARE = 4
"""Further candidates of faiss among which the nearest is found exactly: with long vectors it rounds distances noticeably."""
SILENCE = 1e-12


class ManifoldError(RuntimeError):
    """A bank that cannot be built or searched, with the remedy."""


class Space(NamedTuple):
    """Where distances are taken.

    Attributes:
        name: as tables show it.
        embed: rows (N, …) -> float32 (N, …), each row from its own alone.
    """

    name: str
    embed: Callable[[Rows], Floats]


def rgb(crops: Rows) -> Floats:
    """Pixels 0 to 1, float32 (N, C, C, 3), of crops uint8 (N, C, C, 3)."""
    pixels: Floats = crops.astype(np.float32) / np.float32(255)
    return pixels


def freq(crops: Rows) -> Floats:
    """log(abs(fftshift(fft2(x))) + 1e-12) of each channel, pixels 0 to 1; float32 (N, C, C, 3), frequency 0 at C // 2."""
    spectra = [torch.zeros((0, *crops.shape[1:]))]
    for pixels in rgb(crops):
        image = torch.from_numpy(pixels)
        spectra.append((torch.fft.fftshift(torch.fft.fft2(image, dim=(0, 1)), dim=(0, 1)).abs() + SILENCE).log()[None])
    return torch.cat(spectra).numpy()


def learned(features: Rows) -> Floats:
    """Features of a pretrained network, float32 (N, D), as they come."""
    return features.astype(np.float32)


SPACES: Mapping[str, Space] = {
    "rgb": Space("RGB", rgb),
    "freq": Space("FREQ", freq),
    "learned": Space("learned", learned),
}
"""The spaces by name; SL and SSL are ``learned`` with the features of a supervised and a self-supervised network."""


class Manifold:
    """A bank of real images in a space.

    Holds ``B`` vectors in float32: a bank of 1,024 crops of 256 pixels takes 0.8 GB in RGB or FREQ.
    """

    def __init__(self, reals: Rows, contents: Text, space: Space, threads: int = 1) -> None:
        """Embeds the bank.

        Args:
            reals: rows (B, …) of real images; repeated ones are kept once.
            contents: (B,), what images of one scene share.
            space: where distances are taken.
            threads: of the search.

        Raises:
            ManifoldError: there are no real images, or faiss is not installed.
        """
        if not len(reals):
            raise ManifoldError("a bank of 0 real images has no nearest one; give real images")
        self._faiss = _load_faiss()
        self._threads = threads
        self.space = space
        digests = digests_of(reals)
        _, first = np.unique(digests, return_index=True)
        self.rows = np.sort(first)
        self._digests, self._contents = digests[self.rows], contents[self.rows]
        parts = [space.embed(reals[self.rows[start : start + QUERIES]]) for start in range(0, len(self.rows), QUERIES)]
        self.vectors = np.concatenate(parts)
        self._flat = self.vectors.reshape(len(self.vectors), -1)

    def nearest(self, queries: Rows, contents: Text | None = None) -> npt.NDArray[np.int64]:
        """Place in the bank's ``vectors`` of the nearest real image to each query, int64 (M,), exactly, the first of equals.

        Args:
            queries: rows (M, …), of the bank's kind.
            contents: (M,); real images of a query's own content are passed over. ``None`` where they are known to be none of the
                bank's. Images equal to the query, byte by byte, are passed over in any case.

        Raises:
            ManifoldError: nothing in the bank is of another content.
        """
        return np.concatenate([np.zeros(0, np.int64), *(places for places, _ in self._search(queries, contents))])

    def artefacts(self, queries: Rows, contents: Text | None = None) -> Floats:
        """φ(x) - φ(x*), float32 (M, …) in the space's shape; arguments and errors as of :meth:`nearest`."""
        none = np.zeros((0, *self.vectors.shape[1:]), np.float32)
        return np.concatenate([none, *(vectors - self.vectors[places] for places, vectors in self._search(queries, contents))])

    def _search(self, queries: Rows, contents: Text | None) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
        """Places of the nearest and the queries' own vectors, a few queries at a time."""
        for start in range(0, len(queries), QUERIES):
            rows = queries[start : start + QUERIES]
            excluded = self._excluded(rows, None if contents is None else contents[start : start + QUERIES])
            vectors = self.space.embed(rows)
            yield self._nearest(np.ascontiguousarray(vectors.reshape(len(rows), -1)), excluded), vectors

    def _excluded(self, rows: Rows, contents: Text | None) -> npt.NDArray[np.bool_]:
        """Which of the bank are no neighbours of which row, (M, B)."""
        excluded: npt.NDArray[np.bool_] = digests_of(rows)[:, None] == self._digests[None]
        if contents is not None:
            excluded |= contents[:, None] == self._contents[None]
        if excluded.all(axis=1).any():
            raise ManifoldError(
                f"all {len(self.vectors)} real images of the bank show the content of an image whose nearest is asked for; "
                "give more real images"
            )
        return excluded

    def _nearest(self, queries: Floats, excluded: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        count = min(len(self._flat), int(excluded.sum(axis=1).max()) + 1 + SPARE)
        self._faiss.omp_set_num_threads(self._threads)
        _, candidates = self._faiss.knn(queries, self._flat, count)
        chosen = np.zeros(len(queries), np.int64)
        for place, (query, near) in enumerate(zip(queries, candidates, strict=True)):
            allowed = np.sort(near[~excluded[place, near]][: 1 + SPARE])
            distances = [np.square(query - self._flat[one], dtype=np.float64).sum() for one in allowed]
            chosen[place] = allowed[int(np.argmin(distances))]
        return chosen


def digests_of(rows: Rows) -> Text:
    """SHA-256 (hex) of each row's values, (N,): equal for images that are equal pixel by pixel."""
    return np.array([hashlib.sha256(np.ascontiguousarray(row).tobytes()).hexdigest() for row in rows], dtype="<U64")


def halve(contents: Text, seed: int) -> npt.NDArray[np.bool_]:
    """Which images (N,) go to the bank: half of the contents, drawn by ``seed``, the same for the same contents in any order.

    Raises:
        ManifoldError: there are fewer than two contents.
    """
    distinct = sorted(set(contents.tolist()), key=lambda content: hashlib.sha256(f"{seed}:{content}".encode()).hexdigest())
    if len(distinct) < 2:
        raise ManifoldError(f"{len(contents)} real images show {len(distinct)} content; a bank and training need one each")
    return np.isin(contents, distinct[: len(distinct) // 2])


def _load_faiss() -> Any:
    try:
        return import_module("faiss")
    except ImportError as error:
        raise ManifoldError("faiss is not installed: pip install 'causalprint[compare]'") from error
