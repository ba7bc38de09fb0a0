"""Slices through a function that each worker process loads once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.utils.shared import Shared


class MapSlices(beam.DoFn):
    """What comes of every slice, one slice at a time, by a function that all threads in which Beam works in one process share.

    Args:
        load: gives the function. It is called for the first slice: a night with nothing new needs no model.
        check: is called when a worker begins, so that what it raises comes before any image is read.
    """

    def __init__(self, load: Callable[[], Callable[[Any], Any]], check: Callable[[], object] = lambda: None) -> None:
        self._load = load
        self._check = check
        self._shared = Shared()
        self._compute: Callable[[Any], Any] | None = None

    def setup(self) -> None:
        """Beam calls it before the first slice."""
        self._check()

    def process(self, element: Any) -> Iterator[Any]:
        """Beam calls it for every slice."""
        if self._compute is None:
            self._compute = self._shared.acquire(self._load)
        yield self._compute(element)
