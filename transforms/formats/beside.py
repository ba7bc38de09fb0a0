"""The table that lies beside a tar (img2dataset writes one): metadata for its samples that have no sidecar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from causalprint.schemas.elements import Skipped
from causalprint.transforms.formats.items import Damage, Item, metadata_json, metadata_or_none
from causalprint.transforms.formats.parquet import why_no_images
from causalprint.transforms.formats.parquet_file import ParquetTable, open_table, why_unreadable
from causalprint.transforms.formats.table_rows import as_python
from causalprint.transforms.images.kinds import sample_key
from causalprint.transforms.storage.storage import RangeFile, ShardSource

KEY = "key"
MAX_BYTES = 64 * 1024 * 1024
MAX_ROWS = 1_000_000


def with_table(items: Iterable[Item], source: ShardSource, damage: Damage) -> Iterator[Item]:
    """``items`` of a tar; those without metadata have what the row of their ``key`` says in a Parquet file of the tar's stem.

    The table is looked for when the first such item comes, and read as a whole; one of more than 64 MiB, one with images, and one
    without texts in a column ``key`` is none. What of it nobody foresaw to be unreadable is told to ``damage``.

    Raises:
        ShardDamageError: retryable; the store did not give it.
    """
    rows: dict[str, str] | None = None
    for item in items:
        if isinstance(item, Skipped) or item.metadata is not None or not item.member:
            yield item
            continue
        if rows is None:
            rows = _rows(source.beside(".parquet"), damage)
        key = sample_key(item.member)[0].rpartition("/")[2]
        yield item._replace(metadata=rows[key]) if key in rows else item


def _rows(stored: RangeFile | None, damage: Damage) -> dict[str, str]:
    """What the table says of each key, as far as it can be read."""
    rows: dict[str, str] = {}
    size = 0
    if stored is None or stored.size > MAX_BYTES:
        return rows
    try:
        if why_no_images(stored, ()) is None:
            return rows
        with open_table(stored) as file:
            for key, told in _told(file, damage):
                size += len(told)
                if size > MAX_BYTES:
                    return {}
                rows.setdefault(key, told)
    except Exception as error:  # noqa: BLE001 - whatever the table makes it raise costs metadata, and no image
        damage.note(f"the table beside could not be read to its end ({why_unreadable(error)})")
    return rows


def _told(file: ParquetTable, damage: Damage) -> Iterator[tuple[str, str]]:
    if file.schema.names.count(KEY) != 1 or file.parquet.metadata.num_rows > MAX_ROWS:
        return
    names = [name for name in file.schema.names if file.schema.names.count(name) == 1]
    for group in file.groups:
        columns = [name for name in names if name == KEY or not file.too_costly(group, name)]
        for batch in file.batches(group, columns, 1024):
            values = [as_python(column, damage) for column in batch.columns]
            for row in (dict(zip(batch.schema.names, each, strict=True)) for each in zip(*values, strict=True)):
                told = metadata_or_none(partial(metadata_json, row), str(row[KEY]), damage)
                if isinstance(row[KEY], str) and told:
                    yield row[KEY], told
