"""Columns of all files of one partition of a table, whatever their slices."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from causalprint.schemas.tables import FINGERPRINT_DIGEST, stored_schema
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.committed import FOOTER
from causalprint.transforms.tables.output import Output, listed
from causalprint.transforms.tables.seals import footer_is_whole
from causalprint.transforms.tables.stored import SUFFIX


def read_columns(output: Output, table: str, *columns: str) -> Iterator[pa.RecordBatch]:
    """The columns of all rows, in the order of the files' names, a part of a file at a time."""
    fs, base = filesystem(output.root, output.storage, patient=True)
    files = [f"{base}/{output.folder(table)}/{name}" for name in _names(output, table)]
    if files:
        found = ds.dataset(files, stored_schema(table), format="parquet", filesystem=fs)
        yield from found.to_batches(columns=list(columns))


def fingerprint_digest(output: Output) -> str:
    """What files of embeddings tell of what their fingerprints depend on; empty where they do not."""
    for name in _names(output, "embeddings"):
        path = f"{output.folder('embeddings')}/{name}"
        tail = output.get(path, tail=FOOTER)
        if tail is not None and not footer_is_whole(tail):
            tail = output.get(path)
        if tail is not None:
            metadata = pq.read_metadata(pa.BufferReader(tail)).metadata or {}
            return str(metadata.get(FINGERPRINT_DIGEST.encode(), b"").decode())
    return ""


def _names(output: Output, table: str) -> list[str]:
    return sorted(name for name in listed(output.root, output.folder(table), output.storage) if name.endswith(SUFFIX))
