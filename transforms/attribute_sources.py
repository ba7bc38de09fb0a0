"""Fingerprints to verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import PCollection
from typing_extensions import override

from causalprint.models.attribution import Attribution, Attributor, too_small
from causalprint.models.bundles.bundle import load_bundle
from causalprint.schemas.elements import AttributedSlice, FingerprintedSlice
from causalprint.schemas.tables import ATTRIBUTIONS, FINGERPRINT_DIM


def attribute_slice(fingerprinted: FingerprintedSlice, attributor: Attributor) -> AttributedSlice:
    """Adds a verdict for each row of ``embeddings``, from its stored fingerprint alone."""
    stored = fingerprinted.embeddings.column("fingerprint")
    fingerprints = stored.drop_null().flatten().to_numpy().astype(np.float16, copy=False).reshape(-1, FINGERPRINT_DIM)
    verdicts = iter(attributor(fingerprints))
    rows = [next(verdicts) if known else too_small() for known in stored.is_valid().to_pylist()]
    return AttributedSlice(fingerprinted, _rows(fingerprinted.embeddings, rows))


@beam.typehints.with_input_types(FingerprintedSlice)
@beam.typehints.with_output_types(AttributedSlice)
@dataclass
class AttributeSources(beam.PTransform[PCollection[FingerprintedSlice], PCollection[AttributedSlice]]):
    """:func:`attribute_slice` on every slice.

    Attributes:
        bundle: directory; ``None`` for the bundle inside the package.
        residual: in place of the bundle's own; every verdict then abstains.
    """

    bundle: str | None = None
    residual: str | None = None

    @override
    def expand(self, slices: PCollection[FingerprintedSlice]) -> PCollection[AttributedSlice]:
        return slices | beam.ParDo(_Attribute(self.bundle, self.residual))


class _Attribute(beam.DoFn):
    def __init__(self, bundle: str | None, residual: str | None) -> None:
        self._bundle = bundle
        self._residual = residual
        self._attributor: Attributor | None = None

    def setup(self) -> None:
        self._attributor = Attributor(load_bundle(self._bundle, self._residual))

    def process(self, element: FingerprintedSlice) -> Iterator[AttributedSlice]:
        assert self._attributor is not None, "Beam calls setup first"
        yield attribute_slice(element, self._attributor)


def _rows(embeddings: pa.RecordBatch, rows: list[Attribution]) -> pa.RecordBatch:
    keys = {name: embeddings.column(name) for name in ("image_id", "shard", "member", "offset", "slice_id")}
    values = {
        "verdict": [row.verdict for row in rows],
        "source": [row.source for row in rows],
        "probability": [row.probability for row in rows],
        "novelty": [row.novelty for row in rows],
        "candidates": [[candidate._asdict() for candidate in row.candidates] for row in rows],
        "reason": [row.reason for row in rows],
    }
    columns = keys | {name: pa.array(column, ATTRIBUTIONS.field(name).type) for name, column in values.items()}
    return pa.RecordBatch.from_arrays([columns[name] for name in ATTRIBUTIONS.names], schema=ATTRIBUTIONS)
