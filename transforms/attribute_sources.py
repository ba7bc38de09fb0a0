"""Fingerprints to verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import PCollection
from typing_extensions import override

from causalprint.models.attribution import Attribution, Attributor, damaged, too_small
from causalprint.models.bundles.bundle import load_bundle
from causalprint.schemas.elements import AttributedSlice, FingerprintedSlice
from causalprint.schemas.tables import ATTRIBUTIONS, FINGERPRINT_DIM
from causalprint.transforms.map_slices import MapSlices


def attribute_slice(fingerprinted: FingerprintedSlice, attributor: Attributor) -> AttributedSlice:
    """Adds a verdict for each row of ``embeddings``, from its stored fingerprint alone."""
    embeddings = fingerprinted.embeddings
    stored = embeddings.column("fingerprint")
    fingerprints = stored.drop_null().flatten().to_numpy().astype(np.float16, copy=False).reshape(-1, FINGERPRINT_DIM)
    verdicts = iter(attributor(fingerprints))
    images = fingerprinted.images
    broken = set(images.column("image_id").filter(images.column("damage").is_valid()).to_pylist())
    rows = [
        next(verdicts) if known else damaged() if image_id in broken else too_small()
        for known, image_id in zip(stored.is_valid().to_pylist(), embeddings.column("image_id").to_pylist(), strict=True)
    ]
    columns = {name: embeddings.column(name) for name in ("image_id", "shard", "member", "offset", "slice_id")}
    columns |= {name: [getattr(row, name) for row in rows] for name in Attribution._fields}
    columns["candidates"] = [[candidate._asdict() for candidate in row.candidates] for row in rows]
    return AttributedSlice(fingerprinted, pa.RecordBatch.from_pydict(columns, schema=ATTRIBUTIONS))


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
        return slices | beam.ParDo(MapSlices(self.load))

    def load(self) -> Callable[[FingerprintedSlice], AttributedSlice]:
        """What a worker attributes with: the bundle's head."""
        return partial(attribute_slice, attributor=Attributor(load_bundle(self.bundle, self.residual)))
