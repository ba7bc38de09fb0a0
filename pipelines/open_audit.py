"""An audit's tables in Python: DuckDB's SQL over them, and pandas, polars or Arrow out of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import duckdb
from fsspec.implementations.local import LocalFileSystem

from causalprint.schemas.config import Storage, storage_of
from causalprint.schemas.tables import FINGERPRINT_DIM, TABLES
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.committed import bundle_ids
from causalprint.transforms.tables.settings import read_settings

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_FINDINGS = """
    SELECT i.image_id, a.verdict, a.source, a.family, a.probability, a.family_probability,
           a.generated_probability, a.log_likelihood_ratio, a.novelty, a.candidates, a.reason,
           i.format, i.width, i.height, i.jpeg_quality, i.resampled, i.metadata,
           i.shard, i.member, i."offset", i.slice_id, a.bundle
    FROM attributions a
    JOIN images i USING (slice_id, member, "offset")
"""


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
    """The tables of one audit's output, each a view of DuckDB under its own name.

    ``images``, ``embeddings`` (fingerprints as ``FLOAT[128]``, so that DuckDB's array functions take them), ``attributions``,
    ``rejects`` and ``shards``, all with the column ``bundle``; and ``findings``: images and their verdicts in one row.
    """

    def __init__(self, output: str, storage: Storage) -> None:
        self._connection = duckdb.connect()
        fs, base = filesystem(output, storage, patient=True)
        if not isinstance(fs, LocalFileSystem):
            self._connection.register_filesystem(fs)
            base = fs.unstrip_protocol(base)
        for table in TABLES:
            cast = f"fingerprint::FLOAT[{FINGERPRINT_DIM}] AS fingerprint" if table == "embeddings" else ""
            columns = f"* REPLACE ({cast})" if cast else "*"
            files = f"{base}/{table}/*/*.parquet".replace("'", "''")
            self._connection.execute(
                f"CREATE VIEW {table} AS SELECT {columns} FROM read_parquet('{files}', hive_partitioning = true)"  # noqa: S608
            )
        self._connection.execute(f"CREATE VIEW findings AS {_FINDINGS}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of DuckDB's connection."""
        self._connection.close()

    def sql(self, query: str) -> Table:
        """The rows of a query, in DuckDB's SQL over the views."""
        return Table(self._connection.sql(query))

    def add(self, name: str, rows: pa.Table) -> None:
        """Has queries find these rows under a name, too."""
        self._connection.register(name, rows)

    @property
    def images(self) -> Table:
        """What the bytes are: a row for every image that was decoded."""
        return self.sql("FROM images")

    @property
    def embeddings(self) -> Table:
        """The causal fingerprint and one scalar a lens: a row for every image that is large enough."""
        return self.sql("FROM embeddings")

    @property
    def attributions(self) -> Table:
        """The verdicts: a row for every row of images."""
        return self.sql("FROM attributions")

    @property
    def rejects(self) -> Table:
        """Every image that got no verdict, and why."""
        return self.sql("FROM rejects")

    @property
    def shards(self) -> Table:
        """Closed accounts: a row for every shard."""
        return self.sql("FROM shards")

    @property
    def findings(self) -> Table:
        """Images and their verdicts in one row; :func:`causalprint.fetch` takes such a row."""
        return self.sql("FROM findings")


def open_audit(output: str, *, storage_options: str = "{}") -> AuditTables:
    """Opens the tables of an audit, finished or under way, on a disk or in an object store.

    Args:
        output: what ``--output`` was.
        storage_options: JSON, as ``--storage-options`` takes it.

    Raises:
        OpenAuditError: there is no audit there, or it has no table yet.
        ImportError: the store needs a package that is not installed.
    """
    storage = storage_of(storage_options)
    if read_settings(output, storage) is None:
        raise OpenAuditError(f"{output} is no output of an audit; give the folder or URL that --output was")
    if not bundle_ids(output, storage):
        raise OpenAuditError(f"{output} holds no table yet; the audit that began it has committed no slice")
    return AuditTables(output, storage)
