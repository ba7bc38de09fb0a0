"""An audit's tables in Python: DuckDB's SQL over them, and pandas, polars or Arrow out of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import duckdb

from causalprint.pipelines.audit_views import create_views
from causalprint.pipelines.cascaded import create_cascaded, tiers_of
from causalprint.schemas.config import Storage, storage_of
from causalprint.transforms.tables.committed import bundle_ids
from causalprint.transforms.tables.settings import read_settings

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class OpenAuditError(ValueError):
    """There is no audit to open; the message says where, and what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that are read when they are asked for.

    Attributes:
        relation: DuckDB's own, for whoever knows it: ``.filter``, ``.aggregate``, ``.show()`` …
    """

    relation: duckdb.DuckDBPyRelation

    def __repr__(self) -> str:
        return repr(self.relation)

    def to_pandas(self) -> pd.DataFrame:
        """All rows as a pandas DataFrame."""
        frame: pd.DataFrame = self.relation.to_df()
        return frame

    def to_polars(self) -> pl.DataFrame:
        """All rows as a polars DataFrame; needs the package polars."""
        frame: pl.DataFrame = self.relation.pl()
        return frame

    def to_arrow(self) -> pa.Table:
        """All rows as an Arrow table."""
        return self.relation.to_arrow_table()

    def rows(self) -> list[dict[str, Any]]:
        """All rows, each by the names of its columns."""
        names = self.relation.columns
        return [dict(zip(names, values, strict=True)) for values in self.relation.fetchall()]


class AuditTables:
    """The tables of one audit's output, each a view of DuckDB under its own name (``causalprint.schemas.views``).

    ``findings``: images and their verdicts in one row, a row for each image that the audit has now; ``cascaded``: the same with
    the verdicts of the highest tier of a cascade that has computed each (docs/cascade.md); ``current_images``,
    ``current_embeddings``, ``current_attributions``, ``current_rejects`` and ``current_shards``: what the tables hold of that;
    ``images``, ``embeddings`` (fingerprints as ``FLOAT[128]``, so that DuckDB's array functions take them), ``attributions``,
    ``rejects`` and ``shards``: all that was ever written, also of shards that have changed or vanished since; ``run_shards``:
    what each run said of its shards. All have the column ``bundle``.

    Attributes:
        tiers: the further ones of a cascade.
        note: where it is not known what is current, what is taken for it, in one sentence; else empty.
    """

    def __init__(self, output: str, storage: Storage, database: str = ":memory:") -> None:
        self._connection = duckdb.connect(database)
        self._base, self.note = create_views(self._connection, output, storage)
        self.tiers = tuple(tiers_of(output, storage))
        create_cascaded(self._connection, output, storage, self.tiers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of DuckDB's connection."""
        self._connection.close()

    def lock(self) -> None:
        """From now on queries reach the audit's own files and nothing else: no other file, no network, no variable of Python."""
        directory = f"{self._base}/".replace("'", "''")
        for name, value in (
            ("allowed_directories", f"['{directory}']"),
            ("enable_external_access", "false"),
            ("python_enable_replacements", "false"),
            ("lock_configuration", "true"),
        ):
            self._connection.execute(f"SET {name} = {value}")

    def spare(self) -> None:
        """From now on queries run in one thread, for each holds memory of its own, and take no file to change meanwhile.

        DuckDB else reads again what it has read of a file of an object store that was written some seconds ago.
        """
        self._connection.execute("SET threads = 1")
        self._connection.execute("SET validate_external_file_cache = 'NO_VALIDATION'")

    def sql(self, query: str) -> Table:
        """The rows of a query, in DuckDB's SQL over the views."""
        return Table(self._connection.sql(query))

    def add(self, name: str, rows: pa.Table) -> None:
        """Has queries find these rows under a name, too."""
        self._connection.register(name, rows)

    @property
    def images(self) -> Table:
        """What the bytes are: a row for every image that was decoded, by whatever run; ``current_images`` has those of now."""
        return self.sql("FROM images")

    @property
    def embeddings(self) -> Table:
        """The causal fingerprint and one scalar a lens: a row for every image that is large enough."""
        return self.sql("FROM embeddings")

    @property
    def attributions(self) -> Table:
        """The verdicts: a row for every row of images, and for each bundle that attributed it."""
        return self.sql("FROM attributions")

    @property
    def rejects(self) -> Table:
        """Every image that got no verdict, and why."""
        return self.sql("FROM rejects")

    @property
    def shards(self) -> Table:
        """Closed accounts: a row for every version of every shard."""
        return self.sql("FROM shards")

    @property
    def findings(self) -> Table:
        """The audit as it is now: images and their verdicts in one row; :func:`causalprint.fetch` takes such a row."""
        return self.sql("FROM findings")


def open_audit(output: str, *, storage_options: str = "{}", database: str = ":memory:") -> AuditTables:
    """Opens the tables of an audit, finished or under way, on a disk or in an object store.

    Args:
        output: what ``--output`` was.
        storage_options: JSON, as ``--storage-options`` takes it.
        database: a DuckDB file that is to keep the views; by default none does.

    Raises:
        OpenAuditError: there is no audit there, or it has no table yet.
        ImportError: the store needs a package that is not installed.
    """
    storage = storage_of(storage_options)
    check_output(output, storage)
    return AuditTables(output, storage, database)


def check_output(output: str, storage: Storage) -> None:
    """Makes sure that there is an audit at ``output``.

    Raises:
        OpenAuditError: there is none, or it has no table yet.
    """
    if read_settings(output, storage) is None:
        raise OpenAuditError(f"{output} is no output of an audit; give the folder or URL that --output was")
    if not bundle_ids(output, storage):
        raise OpenAuditError(f"{output} holds no table yet; the audit that began it has committed no slice")
