"""Columns of all files of one partition of a table, whatever their slices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from causalprint.schemas.tables import FINGERPRINT_DIGEST, stored_schema
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.committed import FOOTER
from causalprint.transforms.tables.output import EMPTY, Output, listed
from causalprint.transforms.tables.packs import SUFFIX, Packs, is_pack, read_packs
from causalprint.transforms.tables.seals import footer_is_whole


def read_columns(output: Output, table: str, *columns: str) -> Iterator[pa.RecordBatch]:
    """The columns of all rows, in the order of the files' names, a part of a file at a time."""
    fs, base = filesystem(output.root, output.storage, patient=True)
    files = [f"{base}/{output.folder(table)}/{name}" for name in counted_files(output, table)]
    if files:
        found = ds.dataset(files, stored_schema(table), format="parquet", filesystem=fs)
        yield from found.to_batches(columns=list(columns))


def fingerprint_digest(output: Output) -> str:
    """What files of embeddings tell of what their fingerprints depend on; empty where they do not."""
    for name in counted_files(output, "embeddings"):
        path = f"{output.folder('embeddings')}/{name}"
        tail = output.get(path, tail=FOOTER)
        if tail is not None and not footer_is_whole(tail):
            tail = output.get(path)
        if tail is not None:
            metadata = pq.read_metadata(pa.BufferReader(tail)).metadata or {}
            return str(metadata.get(FINGERPRINT_DIGEST.encode(), b"").decode())
    return ""


def counted_files(output: Output, table: str, packs: Packs | None = None) -> dict[str, int]:
    """The files of a partition whose rows count, and their bytes: of slices and shards that are in a pack, the pack's.

    Args:
        output: the partition.
        table: of which.
        packs: those of the partition in which the table's files lie; by default they are read.
    """
    folder = output.folder(table)
    packs = packs or read_packs(replace(output, bundle_id=folder.partition("=")[2]))
    found = listed(output.root, folder, output.storage)
    sizes = {name.removesuffix(SUFFIX): size for name, size in found.items() if name.endswith(SUFFIX) and size is not None}
    counted = [name for name in sizes if (name in packs.indexes if is_pack(name) else name not in packs.places)]
    return {f"{name}{SUFFIX}": sizes[name] for name in sorted(counted, key=lambda name: (name == EMPTY, name))}
