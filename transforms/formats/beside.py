"""The table that lies beside a tar (img2dataset writes one): metadata for its samples that have no sidecar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import pyarrow as pa

from causalprint.schemas.elements import Skipped
from causalprint.transforms.formats.items import Damage, Item, metadata_json, metadata_or_none
from causalprint.transforms.formats.parquet import why_no_images
from causalprint.transforms.formats.parquet_file import ParquetTable, open_table, why_unreadable
from causalprint.transforms.formats.table_rows import as_python
from causalprint.transforms.images.kinds import sample_key
from causalprint.transforms.storage.storage import RangeFile, ShardSource

KEY = "key"
MAX_BYTES = 64 * 1024 * 1024
MAX_HELD = 2 * MAX_BYTES
MAX_ROWS = 1_000_000


def with_table(items: Iterable[Item], source: ShardSource, damage: Damage) -> Iterator[Item]:
    """``items`` of a tar; those without metadata have what the row of their ``key`` says in a Parquet file of the tar's stem.

    The table is looked for when the first such item comes, and read as a whole; one of more than 64 MiB, or twice that in memory,
    one with images, and one without texts in a column ``key`` is none. What of it nobody foresaw to be unreadable is told to
    ``damage``.

    Raises:
        ShardDamageError: retryable; the store did not give it.
    """
    rows: dict[str, tuple[pa.RecordBatch, int]] | None = None
    for item in items:
        if isinstance(item, Skipped) or item.metadata is not None or not item.member:
            yield item
            continue
        if rows is None:
            rows = _rows(source.beside(".parquet"), damage)
        key = sample_key(item.member)[0].rpartition("/")[2]
        yield item._replace(metadata=_told(*rows[key], damage)) if key in rows else item


def _rows(stored: RangeFile | None, damage: Damage) -> dict[str, tuple[pa.RecordBatch, int]]:
    """Where the row of each key is, as far as the table can be read."""
    rows: dict[str, tuple[pa.RecordBatch, int]] = {}
    size = 0
    if stored is None or stored.size > MAX_BYTES:
        return rows
    try:
        if why_no_images(stored, ()) is None:
            return rows
        with open_table(stored) as file:
            for batch in _batches(file):
                size += batch.nbytes
                if size > MAX_HELD:
                    return {}
                for row, key in enumerate(as_python(batch.column(batch.schema.get_field_index(KEY)), damage)):
                    if isinstance(key, str):
                        rows.setdefault(key, (batch, row))
    except Exception as error:  # noqa: BLE001 - whatever the table makes it raise costs metadata, and no image
        damage.note(f"the table beside could not be read to its end ({why_unreadable(error)})")
    return rows


def _batches(file: ParquetTable) -> Iterator[pa.RecordBatch]:
    if file.schema.names.count(KEY) != 1 or file.parquet.metadata.num_rows > MAX_ROWS:
        return
    names = [name for name in file.schema.names if file.schema.names.count(name) == 1]
    for group in file.groups:
        columns = [name for name in names if name == KEY or not file.too_costly(group, name)]
        yield from file.batches(group, columns)


def _told(batch: pa.RecordBatch, row: int, damage: Damage) -> str | None:
    columns = zip(batch.schema.names, batch.columns, strict=True)
    values = {name: as_python(column.slice(row, 1), damage)[0] for name, column in columns}
    return metadata_or_none(partial(metadata_json, values), str(values[KEY]), damage)
