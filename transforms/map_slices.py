"""Slices through a function that each worker process loads once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import apache_beam as beam
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue
from typing_extensions import override

from causalprint.schemas.elements import ImageSlice


class MapSlices(beam.DoFn):
    """What comes of every slice, one slice at a time, by a function that all threads in which Beam works in one process share.

    Args:
        load: gives the function. It is called for the first slice: a night with nothing new needs no model.
        check: is called when a worker begins, so that what it raises comes before any image is read.
    """

    def __init__(self, load: Callable[[], Callable[..., Any]], check: Callable[[], object] = lambda: None) -> None:
        self._load = load
        self._check = check
        self._shared = Shared()
        self._compute: Callable[..., Any] | None = None

    def setup(self) -> None:
        """Beam calls it before the first slice."""
        self._check()

    def process(self, element: Any) -> Iterator[Any]:
        """Beam calls it for every slice."""
        yield self._acquired()(element)

    def _acquired(self) -> Callable[..., Any]:
        if self._compute is None:
            self._compute = self._shared.acquire(self._load)
        return self._compute


Result_co = TypeVar("Result_co", covariant=True)


class Stream(Protocol[Result_co]):
    """Slices on their way through what computes several of them together; for one thread. Of each slice one result comes."""

    def add(self, images: ImageSlice, /) -> Iterable[Result_co]:
        """Takes a slice, and gives what came of those that are done, in order."""

    def finish(self) -> Iterable[Result_co]:
        """Gives what comes of all others."""


def streamed(stream: Stream[Result_co], elements: Iterable[ImageSlice]) -> Iterator[Result_co]:
    """What comes of all slices, in order, without Beam."""
    for element in elements:
        yield from stream.add(element)
    yield from stream.finish()


class StreamSlices(MapSlices):
    """What comes of every slice, several on their way at once: what ``load`` gives begins a :class:`Stream`.

    What comes of a slice keeps its time and window, though it is given when Beam has handed over a later one.
    """

    def start_bundle(self) -> None:
        """Beam calls it before it hands over some slices."""
        self._stream: Stream[Any] | None = None
        self._came: deque[tuple[Timestamp, BoundedWindow]] = deque()

    @override
    def process(self, element: Any, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        if self._stream is None:
            self._stream = self._acquired()()
        self._came.append((time, window))
        yield from map(self._placed, self._stream.add(element))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Beam calls it after some slices: what it has not been given by then, it takes for lost."""
        yield from map(self._placed, self._stream.finish() if self._stream else ())

    def _placed(self, result: Any) -> WindowedValue:
        """What came of the slice that has waited longest, where that slice was."""
        time, window = self._came.popleft()
        return WindowedValue(result, time, (window,))
