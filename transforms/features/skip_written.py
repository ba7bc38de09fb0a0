"""Features that an earlier run wrote are not computed again: whole shards are not read, slices not computed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection

from causalprint.schemas.elements import ImageSlice, Shard
from causalprint.transforms.counting import count
from causalprint.transforms.features.files import FeatureFiles, written_shard, written_slice
from causalprint.transforms.features.rows import FeatureRecord


@dataclass
class SkipWrittenShards(beam.PTransform[PCollection[Shard], PCollection[Shard]]):
    """The shards of which a slice is missing; the others need no reading.

    Attributes:
        files: where features are written.
    """

    files: FeatureFiles

    def expand(self, shards: PCollection[Shard]) -> PCollection[Shard]:
        """Beam's hook."""
        return shards | "SkipWrittenShard" >> beam.Filter(self._is_missing)

    def _is_missing(self, shard: Shard) -> bool:
        records = written_shard(self.files, shard)
        if records is not None:
            count(kept=_seen(records), shards=1, shard_bytes=shard.size, kept_bytes=shard.size)
        return records is None


@dataclass
class SkipWrittenSlices(beam.PTransform[PCollection[ImageSlice], PCollection[ImageSlice]]):
    """The slices whose file is missing; attributes as of :class:`SkipWrittenShards`."""

    files: FeatureFiles

    def expand(self, slices: PCollection[ImageSlice]) -> PCollection[ImageSlice]:
        """Beam's hook."""
        return slices | "SkipWrittenSlice" >> beam.Filter(self._is_missing)

    def _is_missing(self, images: ImageSlice) -> bool:
        record = None if images.retryable else written_slice(self.files, images.shard, images.index)
        if record is not None:
            size = images.shard.size if record.last else 0
            count(kept=_seen([record]), shards=int(record.last), shard_bytes=size, kept_bytes=size)
        return record is None


def _seen(records: Iterable[FeatureRecord]) -> int:
    return sum(record.images + sum(each.images for each in record.left_out) for record in records)
