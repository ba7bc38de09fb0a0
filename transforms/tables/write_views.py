"""``OUT/views.sql``, the views of an output for DuckDB; and where DuckDB finds its files."""

from __future__ import annotations

from fsspec.implementations.local import LocalFileSystem

from causalprint.schemas.config import Storage
from causalprint.schemas.names import well_formed
from causalprint.schemas.packs import PACKS
from causalprint.schemas.tables import TABLES
from causalprint.schemas.urls import public
from causalprint.schemas.views import script
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.output import folder_names, listed, put

VIEWS = "views.sql"


def write_views(root: str, storage: Storage, *, filled: bool) -> None:
    """Writes ``OUT/views.sql``.

    Args:
        root: URL of the output.
        storage: fsspec options.
        filled: whether every table is known to have a file; else they are looked for.
    """
    empty = () if filled else empty_tables(root, storage)
    put(root, VIEWS, well_formed(script(base_of(root, storage), empty)).encode(), storage, part="views")


def base_of(root: str, storage: Storage) -> str:
    """The output at ``root`` as DuckDB is told of it: an absolute path, or the URL without what opens it."""
    fs, base = filesystem(root, storage)
    return base if isinstance(fs, LocalFileSystem) else public(fs.unstrip_protocol(base))


def empty_tables(root: str, storage: Storage) -> tuple[str, ...]:
    """The tables of the output that have no file yet."""

    def has_file(table: str) -> bool:
        partitions = (f"{table}/{name}" for name in folder_names(root, table, storage) if name.startswith("bundle="))
        return any(name.endswith(".parquet") for partition in partitions for name in listed(root, partition, storage))

    return tuple(table for table in (*TABLES, PACKS) if not has_file(table))
