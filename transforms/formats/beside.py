"""The table that lies beside a tar (img2dataset writes one): metadata for its samples that have no sidecar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from causalprint.schemas.elements import Skipped
from causalprint.transforms.formats.items import Item, metadata_json
from causalprint.transforms.formats.parquet import why_no_images
from causalprint.transforms.formats.parquet_file import UNREADABLE, open_table
from causalprint.transforms.images.kinds import sample_key
from causalprint.transforms.storage.storage import RangeFile, ShardSource

KEY = "key"
MAX_BYTES = 64 * 1024 * 1024
MAX_ROWS = 1_000_000


def with_table(items: Iterable[Item], source: ShardSource) -> Iterator[Item]:
    """``items`` of a tar; those without metadata have what the row of their ``key`` says in a Parquet file of the tar's stem.

    The table is looked for when the first such item comes, and read as a whole; one of more than 64 MiB, one with images, and one
    without texts in a column ``key`` is none.

    Raises:
        ShardDamageError: retryable; the store did not give it.
    """
    rows: dict[str, str] | None = None
    for item in items:
        if isinstance(item, Skipped) or item.metadata is not None or not item.member:
            yield item
            continue
        if rows is None:
            rows = _rows(source.beside(".parquet"))
        key = sample_key(item.member)[0].rpartition("/")[2]
        yield item._replace(metadata=rows[key]) if key in rows else item


def _rows(stored: RangeFile | None) -> dict[str, str]:
    """What the table says of each key."""
    if stored is None or stored.size > MAX_BYTES:
        return {}
    try:
        if why_no_images(stored, ()) is None:
            return {}
        with open_table(stored) as file:
            rows: dict[str, str] = {}
            size = 0
            if file.schema.names.count(KEY) != 1 or file.parquet.metadata.num_rows > MAX_ROWS:
                return {}
            names = [name for name in file.schema.names if file.schema.names.count(name) == 1]
            for group in file.groups:
                columns = [name for name in names if name == KEY or not file.too_costly(group, name)]
                for batch in file.batches(group, columns, 1024):
                    for row in batch.to_pylist():
                        told = metadata_json(row) or ""
                        size += len(told)
                        if size > MAX_BYTES:
                            return {}
                        if isinstance(row[KEY], str) and told:
                            rows.setdefault(row[KEY], told)
            return rows
    except UNREADABLE:
        return {}
