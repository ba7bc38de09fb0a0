"""Slices through a model that each worker process loads once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection
from apache_beam.utils.shared import Shared
from typing_extensions import override

from causalprint.schemas.elements import ImageSlice


@dataclass
class MapSlices(beam.PTransform[PCollection[ImageSlice], PCollection[Any]]):
    """``compute(slice, model, pool=…)`` of every slice, one slice at a time.

    All threads in which Beam works in one process share one model and one pool.

    Attributes:
        load: gives the model. It is called when a worker begins, so that what it raises comes before any image is read.
        compute: what comes of a slice.
        threads: of the pool; ``None`` takes every core.
    """

    load: Callable[[], Any]
    compute: Callable[..., Any]
    threads: int | None = None

    @override
    def expand(self, slices: PCollection[ImageSlice]) -> PCollection[Any]:
        return slices | beam.ParDo(_MapSlice(self.load, self.compute, self.threads))


@dataclass(frozen=True)
class _Held:
    model: Any
    pool: ThreadPoolExecutor


class _MapSlice(beam.DoFn):
    def __init__(self, load: Callable[[], Any], compute: Callable[..., Any], threads: int | None) -> None:
        self._load = load
        self._compute = compute
        self._threads = threads
        self._shared = Shared()

    def setup(self) -> None:
        self._held = self._shared.acquire(lambda: _Held(self._load(), ThreadPoolExecutor(self._threads or os.cpu_count() or 1)))

    def process(self, element: ImageSlice) -> Iterator[Any]:
        yield self._compute(element, self._held.model, pool=self._held.pool)
