"""Slices through a model: loaded once a process, and not where there are none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from causalprint.pipelines.runners import RUNNERS, pipeline_options
from causalprint.schemas.elements import ImageSlice, Shard
from causalprint.transforms.map_slices import MapSlices, StreamSlices

SHARD = Shard("file:///data/0.tar", 1, "etag", "tar")
LOADED: list[str] = []


class Model:
    """Stands for what is large."""


def load() -> Callable[[ImageSlice], tuple[int, int, int]]:
    LOADED.append(threading.current_thread().name)
    return partial(compute, model=Model())


def compute(images: ImageSlice, model: Model) -> tuple[int, int, int]:
    return images.index, id(model), os.getpid()


@pytest.mark.parametrize(
    "beam_options", [(), ("--direct_num_workers=3", "--direct_running_mode=multi_threading")], ids=["one thread", "three"]
)
def test_a_process_loads_one_model_however_many_threads_and_slices_there_are(beam_options: tuple[str, ...]) -> None:
    LOADED.clear()

    def check(rows: Sequence[Any]) -> None:
        assert sorted(row[0] for row in rows) == list(range(8))
        assert len({row[1:] for row in rows}) == 1, "all slices met one model in one process"

    options = pipeline_options("direct", beam_options)
    with beam.Pipeline(runner=RUNNERS["direct"].create(options), options=options) as root:
        slices = root | beam.Create([ImageSlice(str(index), SHARD, index, ()) for index in range(8)], reshuffle=False)
        assert_that(slices | beam.Reshuffle() | beam.ParDo(MapSlices(load)), check)
    assert len(LOADED) == 1


def test_where_there_is_no_slice_nothing_is_loaded() -> None:
    LOADED.clear()
    options = pipeline_options("direct", ())
    with beam.Pipeline(runner=RUNNERS["direct"].create(options), options=options) as root:
        _ = root | beam.Create([], reshuffle=False) | beam.ParDo(MapSlices(load))
    assert LOADED == []


class Late:
    """A stream that gives slices when it has three, and at the end."""

    def __init__(self) -> None:
        self._held: list[ImageSlice] = []

    def add(self, images: ImageSlice) -> Iterator[int]:
        self._held.append(images)
        if len(self._held) == 3:
            yield from self.finish()

    def finish(self) -> Iterator[int]:
        yield from (images.index for images in self._held)
        self._held.clear()


def test_what_comes_of_a_slice_among_others_stays_in_its_window() -> None:
    class Where(beam.DoFn):
        def process(self, index: int, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
            yield index, time, window.start

    def check(rows: Sequence[Any]) -> None:
        assert sorted(rows) == [(index, index, index // 2 * 2) for index in range(8)]

    options = pipeline_options("direct", ())
    with beam.Pipeline(runner=RUNNERS["direct"].create(options), options=options) as root:
        slices = root | beam.Create([ImageSlice(str(index), SHARD, index, ()) for index in range(8)], reshuffle=False)
        timed = slices | beam.Map(lambda images: TimestampedValue(images, images.index)) | beam.WindowInto(FixedWindows(2))
        found = timed | beam.ParDo(StreamSlices(lambda: Late)) | beam.ParDo(Where())
        assert_that(found, check)
