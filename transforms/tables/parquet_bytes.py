"""A Parquet file that is in memory, as a table."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.schemas.tables import RECORD, SEALED_RECORD
from causalprint.transforms.tables.seals import SEAL

_OF_THE_FILE = {key.encode() for key in (RECORD, SEALED_RECORD, SEAL)}


def read_parquet(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a Parquet file; of some columns, by default all.

    Not by ``pyarrow.parquet.read_table``, and without threads: these let go of the bytes some time after the rows are there, for
    which they take Python's lock, and where the process ends just then, it aborts (pyarrow 25, "terminate called without an
    active exception").
    """
    with pq.ParquetFile(pa.BufferReader(data)) as file:
        return file.read(columns=None if columns is None else list(columns), use_threads=False)


def without_record(rows: pa.Table) -> pa.Table:
    """The rows of a file with the metadata of its schema that were there before a record was added and it was sealed."""
    return rows.replace_schema_metadata(plain(rows.schema).metadata)


def plain(schema: pa.Schema) -> pa.Schema:
    """A schema without what it says of its file: the record and the seal."""
    return schema.with_metadata({key: value for key, value in (schema.metadata or {}).items() if key not in _OF_THE_FILE})
