"""Slices through a model that each worker process loads once, a few images in each task of a pool."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.utils.shared import Shared

from causalprint.schemas.elements import EncodedImage, ImageSlice
from causalprint.transforms.counting import count, rejects_by


class MapSlices(beam.DoFn):
    """What comes of every slice, one slice at a time, by a function that all threads in which Beam works in one process share.

    Args:
        load: gives the function. It is called when a worker begins, so that what it raises comes before any image is read.
    """

    def __init__(self, load: Callable[[], Callable[[Any], Any]]) -> None:
        self._load = load
        self._shared = Shared()

    def setup(self) -> None:
        """Beam calls it before the first slice."""
        self._compute = self._shared.acquire(self._load)

    def process(self, element: Any) -> Iterator[Any]:
        """Beam calls it for every slice."""
        yield self._compute(element)


def thread_pool(threads: int | None) -> ThreadPoolExecutor:
    """A pool of so many threads; ``None`` takes every core."""
    return ThreadPoolExecutor(threads or os.cpu_count())


class Done(NamedTuple):
    """What came of a task's images, in order, and the seconds that it took to decode and to compute them."""

    outcomes: Sequence[Any]
    decoding: float
    computing: float


def compute_images(
    images: ImageSlice, work: Callable[[Sequence[EncodedImage]], Done], pool: ThreadPoolExecutor, together: int, ahead: int
) -> list[Any]:
    """What came of each image of a slice, in order. Counts the slice's images as they are done, its rejects first.

    Args:
        images: the slice.
        work: one task.
        pool: where tasks run.
        together: images of one task.
        ahead: tasks under way at any time, which bounds the memory of decoded pixels.
    """
    count(images=len(images.rejects), **rejects_by(images.rejects))
    outcomes: list[Any] = []
    decoding = computing = 0.0
    chunks = (images.images[start : start + together] for start in range(0, len(images.images), together))
    pending = deque(pool.submit(work, chunk) for chunk in islice(chunks, ahead))
    while pending:
        done = pending.popleft().result()
        size = sum(len(image.data) for image in images.images[len(outcomes) : len(outcomes) + len(done.outcomes)])
        count(images=len(done.outcomes), encoded_bytes=size, **rejects_by(done.outcomes))
        outcomes += done.outcomes
        decoding += done.decoding
        computing += done.computing
        pending.extend(pool.submit(work, chunk) for chunk in islice(chunks, 1))
    count(decode_ms=1000 * decoding, compute_ms=1000 * computing)
    return outcomes
