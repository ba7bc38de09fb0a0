"""Files of the tables: the same rows become the same bytes, and a record of them travels in the footer."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.schemas.tables import file_schema, stored_rows
from causalprint.transforms.tables.output import Output

ROW_GROUP = 8192
"""Rows: a whole slice of the default size. Rows are small, but a sidecar may be some kilobytes."""

RECORD = "causalprint_record"
"""The footer's key of a receipt or account, as JSON."""

FOOTER = 64 * 1024
"""Bytes at the end of a file that nearly always hold all of its footer."""

_FEW_VALUES = (
    *("shard", "slice_id", "format", "mode", "verdict", "source", "stage", "reason", "candidates.list.element.source"),
    *("origin", "licence"),  # of features
)
_MAGIC = b"PAR1"


class ParquetRecordError(ValueError):
    """A file of the output is damaged or was not written by this pipeline."""


def stored_table(table: str, rows: pa.RecordBatch, output: Output) -> pa.Table:
    """The rows to write to a file of ``table``, and in the metadata of their schema what made them.

    Args:
        table: a key of ``causalprint.schemas.tables.TABLES``.
        rows: its columns; those without a fingerprint are left out, see :func:`causalprint.schemas.tables.stored_rows`.
        output: what is written into the metadata.

    Raises:
        ValueError: ``rows`` has other columns.
    """
    schema = file_schema(table, output.bundle_id, output.bundle_digest)
    return pa.table(stored_rows(table, rows).columns, schema=schema)


def encode(rows: pa.Table, record: str | None = None) -> bytes:
    """One Parquet file: the bytes are a function of the arguments and of the versions of this package and of pyarrow alone.

    zstd; dictionaries for columns of few values only; plain encodings, which every reader knows (DuckDB cannot undo a byte-stream
    split of float16).

    Args:
        rows: with the schema of the file.
        record: goes to the footer below :data:`RECORD`.
    """
    few_values = [column for column in _FEW_VALUES if column.partition(".")[0] in rows.schema.names]
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, rows.schema, compression="zstd", use_dictionary=few_values) as writer:
        writer.write_table(rows, row_group_size=ROW_GROUP)
        if record is not None:
            writer.add_key_value_metadata({RECORD: record})
    data: bytes = sink.getvalue().to_pybytes()
    return data


def read_record(output: Output, path: str) -> str | None:
    """The record in the footer of a file below the output's root; ``None`` where there is no such file.

    Reads the end of the file only.

    Raises:
        ParquetRecordError: the file is no Parquet file, or has no record.
    """
    tail = output.get(path, tail=FOOTER)
    if tail is not None and tail.endswith(_MAGIC) and _footer_size(tail) > len(tail):
        tail = output.get(path)
    return None if tail is None else record_of(tail, f"{output.root}/{path}")


def record_of(tail: bytes, where: str) -> str:
    """The record in a footer.

    Args:
        tail: the end of a Parquet file, the whole footer in it.
        where: the file's name, for errors.

    Raises:
        ParquetRecordError: as :func:`read_record`.
    """
    try:
        metadata = pq.read_metadata(pa.BufferReader(tail)).metadata or {}
        record: bytes = metadata[RECORD.encode()]
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ParquetRecordError(
            f"{where} holds no record of this pipeline ({error}); delete it and run the same command again"
        ) from error
    return record.decode()


def _footer_size(tail: bytes) -> int:
    """Bytes of the footer with its length and magic."""
    return int.from_bytes(tail[-8:-4], "little") + 8
