"""Features become files, a file a slice."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import PCollection

from causalprint.transforms.counting import count
from causalprint.transforms.features.files import FeatureFiles, write_features
from causalprint.transforms.features.rows import FeatureRecord, FeatureSlice


@dataclass
class WriteFeatures(beam.PTransform[PCollection[FeatureSlice], PCollection[FeatureRecord]]):
    """Writes every slice.

    Attributes:
        files: where features are written.
    """

    files: FeatureFiles

    def expand(self, slices: PCollection[FeatureSlice]) -> PCollection[FeatureRecord]:
        """One record a slice."""
        return slices | "WriteFeatures" >> beam.Map(self._write)

    def _write(self, computed: FeatureSlice) -> FeatureRecord:
        record = write_features(computed, self.files)
        if record.last:
            count(shards=1, shard_bytes=record.shard.size)
        return record
