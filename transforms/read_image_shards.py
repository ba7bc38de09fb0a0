"""Shards to slices of encoded images."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import apache_beam as beam
from apache_beam.pvalue import PCollection

from causalprint.schemas.config import DEFAULT_READING, NO_OPTIONS, ReadOptions, Slicing, Storage
from causalprint.schemas.elements import ImageSlice, Portion, Shard
from causalprint.transforms.counting import at, count
from causalprint.transforms.formats.slices import read_slices


class _Read(NamedTuple):
    """A slice, and the seconds that reading it took."""

    images: ImageSlice
    seconds: float


@dataclass
class ReadImageShards(beam.PTransform[PCollection[Shard], PCollection[ImageSlice]]):
    """Reads every shard, or portion, as slices; see :func:`~causalprint.transforms.formats.slices.read_slices`.

    While what follows takes a slice, the next one is read: a worker holds two. Of a portion the whole shard is read, for only
    its bytes tell where slices are cut, and its other slices are let go of.

    Attributes:
        bundle_id: names the slices.
        slicing: where they are cut.
        storage: fsspec options.
        options: limits and retries.
    """

    bundle_id: str
    slicing: Slicing
    storage: Storage = NO_OPTIONS
    options: ReadOptions = DEFAULT_READING

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, pcoll: PCollection[Shard]) -> PCollection[ImageSlice]:
        """Shards to their slices."""
        return pcoll | beam.FlatMap(self._read).with_output_types(ImageSlice)

    def _read(self, given: Shard | Portion) -> Iterator[ImageSlice]:
        slices = self._timed(given if isinstance(given, Portion) else Portion((given,)))
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(next, slices, None)
            while (read := coming.result()) is not None:
                coming = reader.submit(next, slices, None)
                count(read_ms=1000 * read.seconds)
                yield read.images

    def _timed(self, portion: Portion) -> Iterator[_Read]:
        try:
            for shard in portion.shards:
                began = time.perf_counter()
                at(f"{shard.uri}: reading its first slice")
                for images in self._slices(shard, portion):
                    if images.retryable or portion.has(images.index):
                        at("")
                        yield _Read(replace(images, together=portion.together), time.perf_counter() - began)
                        began = time.perf_counter()
                    at(f"{shard.uri}: reading what follows its slice {images.index}")
        finally:
            at("")

    def _slices(self, shard: Shard, portion: Portion) -> Iterator[ImageSlice]:
        return read_slices(shard, self.bundle_id, self.slicing, self.storage, self.options, portion.only, portion.taken)
