"""What a network is trained on, as tensors, and how its batches are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from causalprint.models.statistics.origins import balance
from causalprint.models.training.examples import Labelled
from causalprint.schemas.arrays import Labels, Text

CONTENT_DIM = 32


@dataclass(frozen=True, slots=True)
class Sample:
    """N images in V versions.

    Attributes:
        lenses: components (N, V, C_s) of each lens.
        labels, origins, contents: whole numbers (N,).
        rival: of each, its kind among those that no generator made, (N,); -1 where one did.
        style: what each version went through, standardised, (N, V, S).
        content: principal components of the thumbnails, standardised, (N, 32): what an image shows, not how it was made.
        weights: (N,), of :func:`~causalprint.models.statistics.origins.balance`.
    """

    lenses: tuple[Tensor, ...]
    labels: Tensor
    origins: Tensor
    contents: Tensor
    rival: Tensor
    style: Tensor
    content: Tensor
    weights: Tensor

    @property
    def generated(self) -> Tensor:
        """Whether a generator made each, bool (N,)."""
        return self.rival < 0

    @property
    def rivals(self) -> int:
        """How many kinds of images there are that no generator made."""
        return int(self.rival.max()) + 1

    def take(self, rows: Tensor) -> Sample:
        """The images in ``rows``."""
        return self._each(lambda part: part[rows])

    def to(self, device: torch.device) -> Sample:
        """The same on ``device``."""
        return self._each(lambda part: part.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Sample:
        parts = (self.labels, self.origins, self.contents, self.rival, self.style, self.content, self.weights)
        return Sample(tuple(map(change, self.lenses)), *map(change, parts))


class Batches:
    """Draws the batches of a sample."""

    def __init__(self, sample: Sample) -> None:
        self._chances = sample.weights.double().cpu().numpy()
        self._chances /= self._chances.sum()
        self._siblings = _siblings(sample.labels.cpu().numpy(), sample.contents.cpu().numpy())

    def epoch(self, size: int, draw: np.random.Generator) -> Iterator[Tensor]:
        """Rows of one epoch's batches: drawn by weight, some of them brought by an image of their content and another source.

        Sources thus come alike often, and the origins of each by the square root of their images.
        """
        for _ in range(self.steps(size)):
            rows = draw.choice(len(self._chances), size, p=self._chances)
            brought = [int(draw.choice(self._siblings[row])) for row in rows[: size // 4] if len(self._siblings[row])]
            rows[len(rows) - len(brought) :] = brought
            yield torch.from_numpy(rows)

    def steps(self, size: int) -> int:
        """Batches of an epoch."""
        return max(1, round(len(self._chances) / size))


def sample_of(lenses: Sequence[Tensor], labelled: Labelled) -> Sample:
    """A sample of components (N, V, C_s) and of what is known of the images."""
    return Sample(
        tuple(lenses),
        torch.from_numpy(labelled.labels),
        _numbers(labelled.images.origin),
        _numbers(labelled.images.content),
        torch.from_numpy(labelled.rival),
        _standard(torch.from_numpy(labelled.style)),
        _content(torch.from_numpy(labelled.thumbnail)),
        torch.from_numpy(balance(labelled.labels, labelled.images.origin)),
    )


def _content(thumbnail: Tensor) -> Tensor:
    values = thumbnail.float() - thumbnail.float().mean(dim=0)
    # Of the square of 768 columns: there are as many directions however few the images.
    directions = torch.linalg.eigh(values.double().T @ values.double())[1].flip(1)[:, :CONTENT_DIM]
    return _standard(values @ directions.float())


def _standard(values: Tensor) -> Tensor:
    flat = values.flatten(0, -2)
    return (values - flat.mean(dim=0)) / (flat.std(dim=0) + 1e-3)


def _numbers(names: Text) -> Tensor:
    return torch.from_numpy(np.unique(names, return_inverse=True)[1])


def _siblings(labels: Labels, contents: Labels) -> list[Labels]:
    order = np.argsort(contents, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(contents[order])) + 1)
    found: list[Labels] = [np.zeros(0, np.int64)] * len(labels)
    for group in groups:
        for row in group:
            found[row] = group[labels[group] != labels[row]]
    return found
