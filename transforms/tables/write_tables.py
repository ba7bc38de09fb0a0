"""Slices become files: a file in each of their tables, that of the output's mark last, which commits the slice.

The same rows become the same bytes, and a record of them travels in the footer.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.schemas.accounts import RejectCount, SliceReceipt, VerdictCount, WrittenFile, receipt_of
from causalprint.schemas.elements import AttributedSlice
from causalprint.schemas.packs import PACKS, SCHEMA
from causalprint.schemas.records import to_json
from causalprint.schemas.tables import SEALED_RECORD, file_schema, stored_rows
from causalprint.transforms.counting import count
from causalprint.transforms.tables.output import EMPTY, Output, unwritten
from causalprint.transforms.tables.seals import BLANK, SEAL, read_seal, seal

_log = logging.getLogger(__name__)
ROW_GROUP = 8192
"""Rows: a whole slice of the default size. Rows are small, but a sidecar may be some kilobytes."""

FALSE_FINDS = 0.01
"""Share of row groups in which an image is looked for that they do not have."""

_FEW_VALUES = (
    *("shard", "slice_id", "format", "mode", "verdict", "source", "stage", "reason", "candidates.list.element.source"),
    *("origin", "licence"),  # of features
    *("run_id", "inputs", "bundle", "state"),  # of a run's shards
    "number",  # of packs
    *(f"verdicts.list.element.{name}" for name in ("verdict", "source", "reason")),
    *(f"reasons.list.element.{name}" for name in ("stage", "reason")),
)


def write_slice(attributed: AttributedSlice, output: Output) -> SliceReceipt:
    """Writes one slice of an audit: ``images``, ``embeddings``, ``rejects``, and ``attributions`` when these are safe.

    A ``retryable`` slice holds nothing and is not written.

    Raises:
        ValueError: the slice's account does not close, or a table has other columns than it should.
    """
    if attributed.source.retryable:
        return receipt_of(attributed.source)
    return commit(*rows_of_slice(attributed, output), output)


def rows_of_slice(attributed: AttributedSlice, output: Output) -> tuple[SliceReceipt, dict[str, pa.Table]]:
    """The receipt of one slice of an audit, and the rows of each table; as of :func:`write_slice`."""
    fingerprinted = attributed.fingerprinted
    receipt = _receipt(attributed)
    tables = {
        "images": fingerprinted.images,
        "embeddings": fingerprinted.embeddings,
        "rejects": fingerprinted.rejects,
        "attributions": attributed.attributions,
    }
    return receipt, {table: stored_table(table, rows, output) for table, rows in tables.items()}


def commit(receipt: SliceReceipt, tables: Mapping[str, pa.Table], output: Output) -> SliceReceipt:
    """Writes the files of one slice, that of the output's mark last, with the receipt in its footer; returns the receipt.

    The mark is written even where it holds no row (then without a row group), the others are not: the files of
    :func:`write_empty` are there for readers. A slice that is written twice gives the same bytes under the same names. Of one
    whose stored fingerprints were scored it is the mark alone: the receipt names the others.

    Args:
        receipt: what the slice came to.
        tables: the rows of each table, the mark's too.
        output: where to.
    """
    receipt, files = encoded(receipt, tables, output)
    for path in _paths(receipt, output).values() if output.replaces else ():
        if path not in files:
            output.remove(path)
    for path, data in files.items():
        output.put(path, data)
    return receipt


def encoded(receipt: SliceReceipt, tables: Mapping[str, pa.Table], output: Output) -> tuple[SliceReceipt, dict[str, bytes]]:
    """The receipt of one slice with what its files tell, and these by path, in the order of writing; see :func:`commit`."""
    files = {path: encode(tables[table]) for table, path in _paths(receipt, output).items() if tables[table].num_rows}
    written = (WrittenFile(path, hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items())
    receipt = replace(receipt, files=(*receipt.files, *written), slicing=output.slicing or receipt.slicing)
    mark = encode(tables[output.mark], to_json(receipt))
    files[output.path(output.mark, receipt.slice_id)] = mark
    return receipt.stored(len(mark), read_seal(mark).digest), files


def _paths(receipt: SliceReceipt, output: Output) -> dict[str, str]:
    """Of the files of a slice beside its mark, by table."""
    return {table: output.path(table, receipt.slice_id) for table in (() if output.scored else output.tables[:-1])}


def write_empty(output: Output, tables: Iterable[str] = ("images", "embeddings", "rejects")) -> None:
    """Writes a file without rows to the partition of each table, so that it can be opened by its glob whatever slices come to."""
    for table in tables:
        made_by = (output.bundle_id, output.bundle_digest, output.fingerprint_digest)
        schema = SCHEMA if table == PACKS else file_schema(table, *made_by)
        output.put(output.path(table, EMPTY), encode(schema.empty_table()))


def stored_table(table: str, rows: pa.RecordBatch, output: Output) -> pa.Table:
    """The rows to write to a file of ``table``, and in the metadata of their schema what made them.

    Args:
        table: a key of ``causalprint.schemas.tables.TABLES``.
        rows: its columns; those without a fingerprint are left out, see :func:`causalprint.schemas.tables.stored_rows`.
        output: what is written into the metadata.

    Raises:
        ValueError: ``rows`` has other columns.
    """
    schema = file_schema(table, output.bundle_id, output.bundle_digest, output.fingerprint_digest)
    return pa.table(stored_rows(table, rows).columns, schema=schema)


def encode(rows: pa.Table, record: str | None = None, row_group: int = ROW_GROUP) -> bytes:
    """One Parquet file: the bytes are a function of the arguments and of the versions of this package and of pyarrow alone.

    zstd; dictionaries for columns of few values only; plain encodings, which every reader knows (DuckDB cannot undo a byte-stream
    split of float16).

    Args:
        rows: with the schema of the file.
        record: goes to the footer below :data:`~causalprint.schemas.tables.SEALED_RECORD`, and the file is sealed.
        row_group: rows of a row group, at most.
    """
    return encode_parts([rows], rows.schema, record, max(1, min(rows.num_rows, row_group)))


def encode_parts(parts: Iterable[pa.Table], schema: pa.Schema, record: str | None = None, row_group: int = ROW_GROUP) -> bytes:
    """:func:`encode` of rows that come in parts, each of ``row_group`` rows but the last."""
    sink = pa.BufferOutputStream()
    with parquet_writer(sink, schema, row_group) as writer:
        for rows in parts:
            if rows.num_rows:  # else a row group without rows, of which some readers make an error
                writer.write_table(rows, row_group_size=row_group)
        if record is not None:
            writer.add_key_value_metadata({SEALED_RECORD: record, SEAL: BLANK})
    data = sink.getvalue()
    return bytes(data) if record is None else seal(memoryview(data))


def parquet_writer(sink: pa.NativeFile, schema: pa.Schema, rows: int) -> pq.ParquetWriter:
    """Writes a file of a table; a Bloom filter for the ``image_id`` of each row group, of so many ``rows`` at most."""
    few_values = [column for column in _FEW_VALUES if column.partition(".")[0] in schema.names]
    blooms = {"image_id": {"ndv": rows, "fpp": FALSE_FINDS}} if "image_id" in schema.names else None
    return pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=few_values, bloom_filter_options=blooms)


def write_counted(computed: Any, write: Callable[[Any, Output], SliceReceipt], output: Output) -> SliceReceipt:
    """What ``write``, :func:`write_slice` or another that goes by :func:`commit`, returns for a slice; counts what is written.

    A slice that cannot be written is left to another run as ``retryable``, and this one goes on.

    Raises:
        OSError: others could not be written either.
    """
    began = time.perf_counter()
    try:
        receipt = write(computed, output)
        unwritten.end()
    except Exception as error:  # noqa: BLE001 - told, or raised
        source = computed.source
        _log.warning("writing slice %d of %s failed", source.index, source.shard.uri, exc_info=error)
        receipt = receipt_of(source.given_up(unwritten.forgiven(error, f"slice {source.index}")))
    ended = int(receipt.last)
    count(write_ms=1000 * (time.perf_counter() - began), shards=ended, shard_bytes=ended * receipt.shard.size)
    return receipt


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
    return receipt_of(
        source,
        rows.num_rows,
        verdicts=verdict_counts(rows),
        reasons=(RejectCount(stage, reason, 1) for stage, reason in _rows(fingerprinted.rejects, "stage", "reason")),
        resampled=fingerprinted.images.column("resampled").to_pylist().count(True),
    )


def verdict_counts(attributions: pa.RecordBatch) -> Iterator[VerdictCount]:
    """How rows of ``attributions`` divide."""
    columns = ["verdict", "source", "family", "reason"]
    counted = pa.table(attributions.select(columns)).group_by(columns).aggregate([([], "count_all")])
    for *words, images in zip(*(column.to_pylist() for column in counted.select([*columns, "count_all"]).columns), strict=True):
        yield VerdictCount.of(*words)._replace(images=images)


def _rows(rows: pa.RecordBatch, *columns: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows.column(name).to_pylist() for name in columns), strict=True)
