"""Slices become files: four tables a slice, the attributions last, whose file is the slice's commit mark."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection

from causalprint.schemas.elements import (
    AttributedSlice,
    ImageSlice,
    RejectCount,
    SliceReceipt,
    VerdictCount,
    WrittenFile,
    sum_reasons,
    sum_verdicts,
)
from causalprint.schemas.records import to_json
from causalprint.transforms.counting import count, milliseconds
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.parquet_files import encode


def write_slice(attributed: AttributedSlice, output: Output) -> SliceReceipt:
    """Writes one slice: files ``images``, ``embeddings``, ``rejects``, and ``attributions`` when these are safe.

    All four are written even where they hold no row, so that every table can be opened by its glob. A slice that is written
    twice gives the same bytes under the same names. A ``retryable`` slice holds nothing and is not written.

    Raises:
        ValueError: the slice's account does not close, or a table has other columns than it should.
    """
    source = attributed.fingerprinted.source
    if source.retryable:
        return unread(source)
    receipt = _receipt(attributed)
    files = []
    for table, rows in (
        ("images", attributed.fingerprinted.images),
        ("embeddings", attributed.fingerprinted.embeddings),
        ("rejects", attributed.fingerprinted.rejects),
    ):
        data = encode(table, rows, output)
        path = output.path(table, source.slice_id)
        output.put(path, data)
        files.append(WrittenFile(path, hashlib.sha256(data).hexdigest(), len(data)))
    receipt = replace(receipt, files=tuple(files))
    mark = encode("attributions", attributed.attributions, output, to_json(receipt))
    output.put(output.path("attributions", source.slice_id), mark)
    return receipt


def unread(source: ImageSlice) -> SliceReceipt:
    """The receipt of a ``retryable`` slice: no images, only that and why the shard could not be read further."""
    return SliceReceipt(
        slice_id=source.slice_id,
        shard=source.shard,
        index=source.index,
        last=source.last,
        damage=source.damage,
        retryable=True,
        skipped=source.skipped,
        seen=0,
        attributed=0,
        rejected=0,
        computed=False,
    )


@dataclass
class WriteTables(beam.PTransform[PCollection[AttributedSlice], PCollection[SliceReceipt]]):
    """:func:`write_slice` on every slice.

    Attributes:
        output: where to.
    """

    output: Output

    def expand(self, slices: PCollection[AttributedSlice]) -> PCollection[SliceReceipt]:
        """One receipt a slice."""
        return slices | "WriteSlice" >> beam.ParDo(_WriteSlice(self.output))


class _WriteSlice(beam.DoFn):
    def __init__(self, output: Output) -> None:
        self.output = output

    def process(self, element: AttributedSlice) -> Iterator[SliceReceipt]:
        began = time.perf_counter()
        receipt = write_slice(element, self.output)
        ended = int(receipt.last)
        count(write_ms=milliseconds(time.perf_counter() - began), shards=ended, shard_bytes=ended * receipt.shard.size)
        yield receipt


def _receipt(attributed: AttributedSlice) -> SliceReceipt:
    fingerprinted, rows = attributed.fingerprinted, attributed.attributions
    source = fingerprinted.source
    counts = {fingerprinted.images.num_rows, fingerprinted.embeddings.num_rows, rows.num_rows}
    if len(counts) != 1 or rows.num_rows + fingerprinted.rejects.num_rows != fingerprinted.seen:
        message = (
            f"the account of slice {source.index} of {source.shard.uri} does not close: {fingerprinted.seen} images seen, "
            f"{fingerprinted.images.num_rows} in images, {fingerprinted.embeddings.num_rows} in embeddings, {rows.num_rows} in "
            f"attributions, {fingerprinted.rejects.num_rows} in rejects; this is a bug, please report it"
        )
        raise ValueError(message)
    return SliceReceipt(
        slice_id=source.slice_id,
        shard=source.shard,
        index=source.index,
        last=source.last,
        damage=source.damage,
        retryable=False,
        skipped=source.skipped,
        seen=fingerprinted.seen,
        attributed=rows.num_rows,
        rejected=fingerprinted.rejects.num_rows,
        verdicts=sum_verdicts(VerdictCount(*key, n) for key, n in _count(rows, "verdict", "source").items()),
        reasons=sum_reasons(RejectCount(*key, n) for key, n in _count(fingerprinted.rejects, "stage", "reason").items()),
    )


def _count(rows: pa.RecordBatch, first: str, second: str) -> Counter[tuple[str, str]]:
    return Counter(zip(rows.column(first).to_pylist(), rows.column(second).to_pylist(), strict=True))
