"""Files of the tables: the same rows become the same bytes, and a record of them travels in the footer."""

from __future__ import annotations

from typing import Protocol

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

_FEW_VALUES = ("shard", "slice_id", "format", "mode", "verdict", "source", "stage", "reason", "candidates.list.element.source")
_MAGIC = b"PAR1"


class ParquetRecordError(ValueError):
    """A file of the output is damaged or was not written by this pipeline."""


def encode(table: str, rows: pa.RecordBatch, output: Output, record: str | None = None) -> bytes:
    """One Parquet file: the bytes are a function of the arguments and of the versions of this package and of pyarrow alone.

    zstd; dictionaries for columns of few values only; plain encodings, which every reader knows (DuckDB cannot undo a byte-stream
    split of float16).

    Args:
        table: a key of ``causalprint.schemas.tables.TABLES``.
        rows: its columns; those without a fingerprint are left out, see :func:`causalprint.schemas.tables.stored_rows`.
        output: what is written into the file's metadata.
        record: goes to the footer below :data:`RECORD`.

    Raises:
        ValueError: ``rows`` has other columns.
    """
    schema = file_schema(table, output.bundle_id, output.bundle_digest)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        use_dictionary=[column for column in _FEW_VALUES if column.partition(".")[0] in schema.names],
    ) as writer:
        writer.write_table(pa.table(stored_rows(table, rows).columns, schema=schema), row_group_size=ROW_GROUP)
        if record is not None:
            writer.add_key_value_metadata({RECORD: record})
    data: bytes = sink.getvalue().to_pybytes()
    return data


class Files(Protocol):
    """Files below a root: an :class:`~causalprint.transforms.tables.output.Output`, or another that gives them."""

    @property
    def root(self) -> str:
        """URL of the folder."""
        ...

    def get(self, path: str, *, tail: int | None = None) -> bytes | None:
        """As of :func:`causalprint.transforms.tables.output.get`."""
        ...


def read_record(output: Files, path: str) -> str | None:
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
