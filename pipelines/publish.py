"""The tables of an audit in an Iceberg catalog: their files are registered where they lie, and no row is copied.

What only the path tells, the bundle, becomes an identity partition, which readers take for a column, as the format says of files
that were written without it. Files carry no field ids; the table's name mapping gives them. Fingerprints are float16 in files and
``float`` in the table, the narrowest that Iceberg knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from causalprint.schemas.run_shards import RUN_SHARDS
from causalprint.schemas.tables import TABLES
from causalprint.schemas.views import SCHEMAS

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from causalprint.schemas.config import Storage

BUNDLE = "bundle"
THREADS = 16
"""Footers that are read at once."""


_METRICS = {"write.metadata.metrics.default": "counts", "write.metadata.metrics.column.slice_id": "full"}
"""Metadata are kept for long: they hold no value that somebody may want to be forgotten, and find the files of a slice."""


class PublishError(ValueError):
    """Nothing can be published as asked; the message says what to do."""


class Stored(NamedTuple):
    """A file of a table: its URL, its bytes, and the bundle that its path names (empty for none)."""

    url: str
    size: int
    bundle: str


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table as it is now in the catalog.

    Attributes:
        table: its name there, with its namespace.
        added, removed: files that were registered, and that are no longer; one that was written again is both.
        files, rows: that it has now.
    """

    table: str
    added: int
    removed: int
    files: int
    rows: int


@dataclass(frozen=True, slots=True)
class Published:
    """The object that ``publish --json`` prints."""

    output: str
    catalog: str
    tables: tuple[PublishedTable, ...]


def publish(
    output: str, storage: Storage, catalog: str, namespace: str, tell: Callable[[str], None] = lambda _: None
) -> Published:
    """Makes the tables of ``namespace`` have the files that ``output`` has now; each table in one commit, if anything changed.

    Args:
        output: root of an audit's output; no audit should be writing to it.
        storage: fsspec options of the output; those by which the catalog and its readers reach it are the catalog's.
        catalog: its name, as pyiceberg knows it by ``~/.pyiceberg.yaml`` or the environment.
        namespace: of the tables, made where it is missing.
        tell: is told how far it is.

    Raises:
        OpenAuditError: there is no audit.
        PublishError: pyiceberg is missing, or it does not know the catalog.
    """
    from causalprint.pipelines.open_audit import check_output

    check_output(output, storage)
    with _open(catalog) as opened:
        opened.create_namespace_if_not_exists(namespace)
        tables = []
        for name in SCHEMAS:
            tell(f"{namespace}.{name}")
            tables.append(_publish(opened, f"{namespace}.{name}", name, output, storage))
    return Published(output, catalog, tuple(tables))


def _open(name: str) -> Catalog:
    try:
        from pyiceberg.catalog import load_catalog
    except ImportError as error:
        raise PublishError(f"publish needs pyiceberg ({error}): pip install 'pyiceberg[pyarrow]'") from error
    try:
        return load_catalog(name)
    except ValueError as error:
        raise PublishError(
            f"pyiceberg knows no catalog {name!r}: give its uri in ~/.pyiceberg.yaml or PYICEBERG_CATALOG__{name.upper()}__URI"
        ) from error


def _publish(catalog: Catalog, identifier: str, name: str, output: str, storage: Storage) -> PublishedTable:
    from causalprint.transforms.storage.storage import filesystem

    table = _table(catalog, identifier, name)
    registered = {task.file.file_path: task.file for task in table.scan().plan_files()}
    stored = {file.url: file for file in _files(output, name, storage)}
    # A file is written again under its name when images of it are forgotten, or a shard could be read further.
    gone = [file for url, file in registered.items() if url not in stored or stored[url].size != file.file_size_in_bytes]
    kept = registered.keys() - {file.file_path for file in gone}
    fs, _ = filesystem(output, storage, patient=True)
    with ThreadPoolExecutor(THREADS) as pool:
        added = list(pool.map(partial(_data_file, table, fs), (file for url, file in stored.items() if url not in kept)))
    if gone or added:
        with table.transaction() as transaction:
            update = transaction.update_snapshot()
            with update.overwrite() if gone else update.fast_append() as snapshot:
                for old in gone:
                    snapshot.delete_data_file(old)
                for new in added:
                    snapshot.append_data_file(new)
    if gone:  # what was before cannot be read any more
        table.maintenance.expire_snapshots().older_than(datetime.now(UTC)).commit()
    rows = sum(registered[url].record_count for url in kept) + sum(new.record_count for new in added)
    return PublishedTable(identifier, len(added), len(gone), len(stored), rows)


def _table(catalog: Catalog, identifier: str, name: str) -> Table:
    """The table, made where it is missing; columns that this version has besides are added to one that an earlier one made."""
    from pyiceberg.table import TableProperties

    schema = published_schema(name)
    if catalog.table_exists(identifier):
        table = catalog.load_table(identifier)
        with table.update_schema() as update:
            update.union_by_name(schema)
        return table
    with catalog.create_table_transaction(identifier, schema) as transaction:
        if name in TABLES:
            with transaction.update_spec() as spec:
                spec.add_identity(BUNDLE)
        mapping = transaction.table_metadata.schema().name_mapping.model_dump_json()
        transaction.set_properties({TableProperties.DEFAULT_NAME_MAPPING: mapping, **_METRICS})
    return catalog.load_table(identifier)


def published_schema(name: str) -> pa.Schema:
    """The columns of a table in the catalog and their meaning; any may be null, as files of earlier versions may lack it."""
    import pyarrow as pa

    schema = SCHEMAS[name]
    fields = [field.with_nullable(True).with_metadata({"doc": field.metadata[b"description"]}) for field in schema]
    return pa.schema([*fields, *([pa.field(BUNDLE, pa.string())] if name in TABLES else [])])


def _files(output: str, name: str, storage: Storage) -> Iterator[Stored]:
    """All files of a table or of :data:`RUN_SHARDS`, by one listing of each folder."""
    from causalprint.transforms.storage.storage import filesystem
    from causalprint.transforms.tables.committed import bundle_ids
    from causalprint.transforms.tables.output import Output, listed
    from causalprint.transforms.tables.partition import counted_files

    fs, base = filesystem(output, storage)
    if name == RUN_SHARDS:
        for file, size in listed(output, "runs", storage).items():
            if file.endswith(".shards.parquet") and not file.startswith(".") and size is not None:
                yield Stored(str(fs.unstrip_protocol(f"{base}/runs/{file}")), size, "")
        return
    for bundle in bundle_ids(output, storage):
        for file, size in counted_files(Output(output, bundle, "", storage), name).items():
            yield Stored(str(fs.unstrip_protocol(f"{base}/{name}/bundle={bundle}/{file}")), size, bundle)


def _data_file(table: Table, fs: AbstractFileSystem, file: Stored) -> DataFile:
    """The entry of a file in a manifest: its counts and bounds from its footer, its partition from its path.

    pyiceberg's own ``add_files`` takes partitions from the values in a file, where this one has none.
    """
    import pyarrow.parquet as pq
    from pyiceberg.io.pyarrow import (
        compute_statistics_plan,
        data_file_statistics_from_parquet_metadata,
        parquet_path_to_id_mapping,
    )
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
    from pyiceberg.typedef import Record

    with fs.open(file.url) as stream:
        footer = pq.read_metadata(stream)
    schema = table.schema()
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=compute_statistics_plan(schema, table.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    partition: list[Any] = [file.bundle] if file.bundle else []
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=file.url,
        file_format=FileFormat.PARQUET,
        partition=Record(*partition),
        file_size_in_bytes=file.size,
        sort_order_id=None,
        spec_id=table.spec().spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
