"""Fingerprints to verdicts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import PCollection
from typing_extensions import override

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.judged import NONE, NUMBERS, REASONS, VERDICTS, Judged, reason
from causalprint.schemas.arrays import Labels, Mask
from causalprint.schemas.elements import AttributedSlice, FingerprintedSlice
from causalprint.schemas.prior import EVEN, Prior
from causalprint.schemas.reasons import Abstention
from causalprint.schemas.tables import ATTRIBUTIONS, EMBEDDINGS, FINGERPRINT_DIM, IMAGES, REJECTS
from causalprint.transforms.faults import is_machine_fault, told
from causalprint.transforms.map_slices import MapSlices

_log = logging.getLogger(__name__)
KEYS = ("image_id", "shard", "member", "offset", "slice_id")
"""The columns that all tables of images have."""


def attribute_slice(fingerprinted: FingerprintedSlice, attributor: Attributor) -> AttributedSlice:
    """Adds a verdict for each row of ``embeddings``, from its stored fingerprint alone."""
    images, embeddings = fingerprinted.images, fingerprinted.embeddings
    stored = embeddings.column("fingerprint")
    broken = images.column("image_id").filter(images.column("damage").is_valid())
    damaged = pc.is_in(embeddings.column("image_id"), value_set=broken)
    known = stored.is_valid().to_numpy(zero_copy_only=False)
    rows = attribute_rows(embeddings, known, damaged.to_numpy(zero_copy_only=False), stored.drop_null(), attributor)
    return AttributedSlice(fingerprinted, rows)


def attribute_rows(
    keys: pa.RecordBatch, known: Mask, damaged: Mask, fingerprints: pa.Array, attributor: Attributor
) -> pa.RecordBatch:
    """Rows of ``attributions``.

    Args:
        keys: of N images, with the columns that all tables of images have.
        known: (N,), whether the image has a fingerprint.
        damaged: (N,), whether some of its pixels may be the decoder's invention.
        fingerprints: of those that have one, in order, none of them null.
        attributor: a loaded bundle's head.
    """
    values = fingerprints.flatten().to_numpy().astype(np.float16, copy=False).reshape(-1, FINGERPRINT_DIM)
    why = np.where(damaged, reason(Abstention.DAMAGED), reason(Abstention.TOO_SMALL))
    judged = attributor.judge(values).placed(known, why)
    columns = {name: keys.column(name) for name in KEYS} | _columns(judged, attributor)
    return pa.record_batch([columns[name] for name in ATTRIBUTIONS.names], schema=ATTRIBUTIONS)


def _columns(judged: Judged, attributor: Attributor) -> dict[str, pa.Array]:
    """The columns of ``attributions`` that are no keys."""
    sources = attributor.rules.sources
    words = {"verdict": VERDICTS, "source": sources, "family": attributor.rules.families, "reason": REASONS}
    columns = {name: _words(names, getattr(judged, name)) for name, names in words.items()}
    nothing = ~judged.computed
    columns |= {name: pa.array(getattr(judged, name), mask=nothing) for name in NUMBERS}
    kind = ATTRIBUTIONS.field("candidates").type
    chances, p_values = (part[judged.computed].ravel() for part in (judged.chances, judged.p_values))
    told = [_words(sources, judged.candidates[judged.computed].ravel()), pa.array(chances)]
    told.append(pa.array(p_values, mask=np.isnan(p_values)))
    ends = np.concatenate([[0], np.cumsum(judged.computed * judged.candidates.shape[1])]).astype(np.int32)
    structs = pa.StructArray.from_arrays(told, fields=list(kind.value_type))
    return columns | {"candidates": pa.ListArray.from_arrays(pa.array(ends), structs, type=kind)}


def _words(names: Sequence[str], places: Labels) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(places, mask=places == NONE))


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
