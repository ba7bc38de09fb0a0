"""Fingerprints to verdicts."""

from __future__ import annotations

import logging
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
from causalprint.schemas.prior import EVEN, Prior
from causalprint.schemas.tables import ATTRIBUTIONS, EMBEDDINGS, FINGERPRINT_DIM, IMAGES, REJECTS
from causalprint.transforms.faults import is_machine_fault, told
from causalprint.transforms.map_slices import MapSlices

_log = logging.getLogger(__name__)


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


def contained(fingerprinted: FingerprintedSlice, attributor: Attributor) -> AttributedSlice:
    """:func:`attribute_slice`; a slice at which it fails is left to another run as ``retryable``, and this one goes on."""
    try:
        return attribute_slice(fingerprinted, attributor)
    except Exception as error:  # noqa: BLE001 - an unforeseen error costs its slice, not the run
        source = fingerprinted.source
        _log.exception("attributing slice %d of %s failed", source.index, source.shard.uri)
        report = "" if is_machine_fault(error) else "; please report this"
        lost = source.given_up(f"slice {source.index} was not attributed ({told(error)}{report})")
        nothing = (pa.RecordBatch.from_pylist([], schema) for schema in (IMAGES, EMBEDDINGS, REJECTS))
        return AttributedSlice(FingerprintedSlice(lost, 0, *nothing), pa.RecordBatch.from_pylist([], ATTRIBUTIONS))


@beam.typehints.with_input_types(FingerprintedSlice)
@beam.typehints.with_output_types(AttributedSlice)
@dataclass
class AttributeSources(beam.PTransform[PCollection[FingerprintedSlice], PCollection[AttributedSlice]]):
    """:func:`attribute_slice` on every slice.

    Attributes:
        bundle: directory; ``None`` for the bundle inside the package.
        residual: in place of the bundle's own; every verdict then abstains.
        prior: that the audit takes for granted.
    """

    bundle: str | None = None
    residual: str | None = None
    prior: Prior = EVEN

    @override
    def expand(self, slices: PCollection[FingerprintedSlice]) -> PCollection[AttributedSlice]:
        return slices | beam.ParDo(MapSlices(self.load))

    def load(self) -> Callable[[FingerprintedSlice], AttributedSlice]:
        """What a worker attributes with: the bundle's head."""
        return partial(contained, attributor=Attributor(load_bundle(self.bundle, self.residual, self.prior)))
