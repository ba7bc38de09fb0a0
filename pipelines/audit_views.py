"""The views of an audit's output in a connection of DuckDB, and what the audit is now."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import duckdb
from fsspec.implementations.local import LocalFileSystem

from causalprint.schemas.accounts import RejectCount, VerdictCount, summed
from causalprint.schemas.config import Storage
from causalprint.schemas.run_shards import RUN_SHARDS
from causalprint.schemas.runs import Change
from causalprint.schemas.tables import SCHEMA_VERSION
from causalprint.schemas.views import FILES, derived_views, stored_view
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.committed import list_path, run_ids
from causalprint.transforms.tables.run_lists import RunLists
from causalprint.transforms.tables.settings import read_settings

_NOW = "CREATE TEMP TABLE now AS SELECT seen, verdicts, reasons FROM current_shards"
_SUMS = "SELECT {words}, sum(c.images) FROM (SELECT unnest({counts}) AS c FROM now) GROUP BY ALL"


class Created(NamedTuple):
    """What views were made of.

    Attributes:
        base: where DuckDB finds the output's files.
        note: where it is not known what is current, what is taken for it, in one sentence; else empty.
    """

    base: str
    note: str


def create_views(connection: duckdb.DuckDBPyConnection, output: str, storage: Storage, until: str | None = None) -> Created:
    """Creates all views of ``causalprint.schemas.views`` in the connection's current schema.

    Args:
        connection: theirs.
        output: root of an audit's output, finished or under way.
        storage: fsspec options.
        until: the views of what is current show it as it was after this run; by default as it is now.
    """
    base = _base_in(connection, output, storage)
    settings = read_settings(output, storage)
    older = settings is not None and settings.schema_version < SCHEMA_VERSION
    empty = {table for table in FILES if not _create_stored(connection, table, base, older=older)}
    listed = RUN_SHARDS not in empty
    closed = None if listed else _closed_last(output, storage)
    for view in derived_views(listed=listed, closed=closed, until=until):
        connection.execute(view.statement)
    if listed:
        return Created(base, "")
    known = "of the last run's shards" if closed is not None else "of every slice that is committed"
    return Created(base, f"no run has listed its shards in {output}, so what is current are the rows {known}")


def audit_now(output: str, storage: Storage) -> Change:
    """All shards that an audit has now, and how their images divide, as its runs have listed them; no table is opened."""
    lists = RunLists(output, storage)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        (Path(folder) / "runs").mkdir()
        for run_id in lists.telling:
            if data := lists.data(run_id):
                (Path(folder) / list_path(run_id)).write_bytes(data)
        connection.execute(stored_view(RUN_SHARDS, folder).statement)
        connection.execute(next(derived_views()).statement)
        connection.execute(_NOW)
        ((shards, images),) = connection.execute("SELECT count(*), coalesce(sum(seen), 0) FROM now").fetchall()
        verdicts = connection.execute(_SUMS.format(words="c.verdict, c.source, c.reason", counts="verdicts")).fetchall()
        rejects = connection.execute(_SUMS.format(words="c.stage, c.reason", counts="reasons")).fetchall()
    return Change(
        shards,
        int(images),
        summed(VerdictCount(verdict, source, reason, int(count)) for verdict, source, reason, count in verdicts),
        summed(RejectCount(stage, reason, int(count)) for stage, reason, count in rejects),
    )


def _create_stored(connection: duckdb.DuckDBPyConnection, table: str, base: str, *, older: bool) -> bool:
    """Creates the view of the files of a table; returns whether there are any."""
    try:
        connection.execute(stored_view(table, base, older=older).statement)
    except duckdb.IOException as error:
        if "No files found" not in str(error):
            raise
        connection.execute(stored_view(table, base, empty=True).statement)
        return False
    return True


def _base_in(connection: duckdb.DuckDBPyConnection, output: str, storage: Storage) -> str:
    """Where ``connection``, which is given the filesystem of ``output``, finds that."""
    fs, base = filesystem(output, storage, patient=True, listings=True)  # else DuckDB asks for each file each time it opens it
    if isinstance(fs, LocalFileSystem):
        return base
    if not set(connection.list_filesystems()) & {*([fs.protocol] if isinstance(fs.protocol, str) else fs.protocol)}:
        connection.register_filesystem(fs)
    return str(fs.unstrip_protocol(base))


def _closed_last(output: str, storage: Storage) -> tuple[str, ...] | None:
    """The shards that the last run closed, by ``shard_id``; ``None`` where its manifest does not list them."""
    from causalprint.transforms.tables.manifests import read_manifest

    runs = run_ids(output, storage)
    try:
        manifest = read_manifest(output, runs[-1], storage) if runs else None
    except ValueError:  # of another version
        return None
    return tuple(shard.shard_id for shard in manifest.totals.closed) or None if manifest else None
