"""Shards to slices of encoded images."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection

from causalprint.schemas.config import DEFAULT_READING, NO_OPTIONS, ReadOptions, Slicing, Storage
from causalprint.schemas.elements import ImageSlice, Shard
from causalprint.transforms.counting import at, count
from causalprint.transforms.formats.slices import read_slices


@dataclass
class ReadImageShards(beam.PTransform[PCollection[Shard], PCollection[ImageSlice]]):
    """Reads every shard as slices; see :func:`~causalprint.transforms.formats.slices.read_slices`.

    A worker reads one slice after another, and what follows takes each before the next is read.

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

    def _read(self, shard: Shard) -> Iterator[ImageSlice]:
        began = time.perf_counter()
        at(f"{shard.uri}: reading its first slice")
        for images in read_slices(shard, self.bundle_id, self.slicing, self.storage, self.options):
            at("")
            count(read_ms=1000 * (time.perf_counter() - began))
            yield images
            at(f"{shard.uri}: reading what follows its slice {images.index}")
            began = time.perf_counter()
        at("")
