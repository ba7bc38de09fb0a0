"""The views of an audit in DuckDB's SQL: its tables, what of them is the audit as it is now, and one row an image. Text alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import pyarrow as pa

from causalprint.schemas.claims import conflict
from causalprint.schemas.packs import PACKS
from causalprint.schemas.run_shards import PRESENT, RUN_SHARDS, SCHEMA
from causalprint.schemas.tables import FINGERPRINT_DIM, TABLES

FILES = {
    PACKS: f"{PACKS}/*/*.parquet",
    **{table: f"{table}/*/*.parquet" for table in TABLES},
    RUN_SHARDS: "runs/*.shards.parquet",
}
"""Where the files of a view lie below the output."""

SCHEMAS = {**TABLES, RUN_SHARDS: SCHEMA}

_PARTITIONED = ("hive_partitioning = true", "hive_types = {'bundle': 'VARCHAR'}", "filename = true")
_FILE = "parse_filename(filename, true)"
_PACKED = f"SELECT bundle, name, max(row(number, {_FILE}))[2] AS pack FROM {{files}} GROUP BY ALL"  # noqa: S608 - words of ours
_COUNTED = f"""
SELECT t.* EXCLUDE (filename, file){{columns}} FROM (SELECT *, {_FILE} AS file FROM {{files}}) t
WHERE starts_with(t.file, 'pack-') = ((t.bundle, t.{{name}}, if(starts_with(t.file, 'pack-'), t.file, '')) IN (
    SELECT (bundle, name, pack) FROM {PACKS} UNION ALL SELECT (bundle, name, '') FROM {PACKS}
))
"""  # noqa: S608 - words of ours
"""A row whose slice or shard is in a pack counts in that pack alone, and a file of a pack once the pack has an index.

One ``IN``, for which DuckDB never holds the table's side: of a join it may hold either.
"""

_FINGERPRINT = f"fingerprint::FLOAT[{FINGERPRINT_DIM}] AS fingerprint"
"""Parquet has no lists of a fixed length, and DuckDB's array functions take no others."""

_FOUND = ", ".join(f"'{state.value}'" for state in PRESENT)

_CURRENT_SHARDS = f"""
WITH newest AS (SELECT max(run_id) AS run_id FROM {RUN_SHARDS} WHERE inputs IS NOT NULL{{until}} GROUP BY inputs),
found AS (SELECT uri, max(run_id) AS run_id FROM {RUN_SHARDS} SEMI JOIN newest USING (run_id) GROUP BY uri),
present AS (
    SELECT uri, run_id, slice_ids FROM {RUN_SHARDS} SEMI JOIN found USING (uri, run_id) WHERE state IN ({_FOUND})
),
scored AS (
    SELECT s.uri, max(s.run_id) AS run_id
    FROM (FROM {RUN_SHARDS} WHERE inputs IS NULL{{until}}) s
    JOIN present p ON s.uri = p.uri AND s.slice_ids = p.slice_ids AND s.run_id > p.run_id
    GROUP BY s.uri
),
chosen AS (SELECT uri, coalesce(s.run_id, p.run_id) AS run_id, slice_ids FROM present p LEFT JOIN scored s USING (uri))
SELECT * FROM {RUN_SHARDS} SEMI JOIN chosen USING (uri, run_id, slice_ids)
"""  # noqa: S608 - words of ours
"""Which shards there are, and of which slices, audits say; what is said of their images, whoever scored these slices last.

Few columns are read of all lists, and the others of the rows that are chosen.
"""

_CURRENT_SLICES = "SELECT bundle, uri, unnest(slice_ids) AS slice_id FROM current_shards"

_ALL_SLICES = """
SELECT DISTINCT bundle, shard AS uri, slice_id FROM attributions
UNION SELECT DISTINCT bundle, shard AS uri, slice_id FROM rejects
"""

_CURRENT = {
    "current_images": "SELECT * FROM images SEMI JOIN current_slices USING (slice_id)",
    "current_embeddings": "SELECT * FROM embeddings SEMI JOIN current_slices USING (slice_id)",
    "current_attributions": "SELECT * FROM attributions SEMI JOIN current_slices USING (bundle, slice_id)",
    "current_rejects": "SELECT * FROM rejects SEMI JOIN current_slices USING (slice_id)",
}
"""An image is computed once, and its fingerprint may be attributed by several bundles: only verdicts go by bundle."""

_FINDINGS = f"""
SELECT a.image_id, a.verdict, a.source, a.family, a.probability, a.family_probability, a.generated_probability,
       a.log_likelihood_ratio, a.novelty, a.candidates, a.reason,
       i.format, i.width, i.height, i.jpeg_quality, i.resampled, i.encoded_bytes,
       i.domain, i.claim_kind, i.claim_source, {conflict("i.claim_kind", "a.verdict")} AS conflict,
       i.metadata ->> '$.url' AS url, i.metadata,
       a.shard, a.member, a."offset", a.slice_id, a.bundle
FROM current_attributions a
JOIN images i USING (slice_id, member, "offset")
"""  # noqa: S608 - words of ours

_MEANINGS = {
    PACKS: "In which pack the rows of a slice or shard are, that share files with others.",
    **{table: f"Table {table}, of all runs: README and docs/tables.md say what it holds." for table in TABLES},
    RUN_SHARDS: "Every run's list of its shards.",
    "current_shards": "The shards that the audit has now: of each the row of the newest run, unless it is not found any more.",
    "current_slices": "Their slices, and the bundle by which their verdicts are.",
    "current_images": "The images of those slices.",
    "current_embeddings": "Their fingerprints.",
    "current_attributions": "Their newest verdicts.",
    "current_rejects": "The images of those slices that have no verdict.",
    "findings": "One row for each image that the audit has now: what was found, what it is, and where it lies.",
}

_HEAD = """\
-- The views of an audit's output, for DuckDB: duckdb -init views.sql, or .read views.sql.
-- Every audit writes this file anew. If the output was moved, so must the paths below be; causalprint query OUT knows them.
"""
_STORE = "-- DuckDB needs its extension httpfs, and for a store that is not open to all a secret: CREATE SECRET (TYPE s3, …).\n"


class View(NamedTuple):
    """A view: its name, and the query that it is."""

    name: str
    query: str

    @property
    def statement(self) -> str:
        """The SQL that makes it, without a semicolon."""
        return f"CREATE OR REPLACE VIEW {self.name} AS {self.query.strip()}"


def views(base: str, empty: Collection[str] = ()) -> Iterator[View]:
    """All views of the output at ``base``, in an order in which each uses only those before it.

    Args:
        base: path or URL of the output, without a slash at its end.
        empty: keys of :data:`FILES` of which there is no file; RUN_SHARDS among them: no run has ended.
    """
    for table in FILES:
        yield stored_view(table, base, empty=table in empty)
    yield from derived_views(listed=RUN_SHARDS not in empty)


def script(base: str, empty: Collection[str] = ()) -> str:
    """All views as one SQL script, each with what it holds."""
    made = "\n".join(f"-- {_MEANINGS[view.name]}\n{view.statement};\n" for view in views(base, empty))
    return f"{_HEAD}{_STORE if '://' in base else ''}\n{made}"


def stored_view(table: str, base: str, *, empty: bool = False, older: bool = False) -> View:
    """The view of the files of one key of :data:`FILES` below ``base``.

    Args:
        table: that.
        base: as of :func:`views`.
        empty: whether there is no such file, of which DuckDB makes an error; then the view has no row.
        older: whether an earlier version wrote them; columns that they lack are null.
    """
    if empty:
        return View(table, _nothing(table))
    path = "'{}'".format(f"{base}/{FILES[table]}".replace("'", "''"))
    files = "read_parquet({})".format(", ".join([path, *(() if table == RUN_SHARDS else _PARTITIONED)]))
    if table == PACKS:
        return View(table, _PACKED.format(files=files))
    columns = f" REPLACE ({_FINGERPRINT})" if table == "embeddings" else ""
    name = "shard_id" if table == "shards" else "slice_id"
    rows = f"SELECT * FROM {files}" if table == RUN_SHARDS else _COUNTED.format(files=files, columns=columns, name=name)  # noqa: S608
    return View(table, f"{rows} UNION ALL BY NAME {_nothing(table)}" if older else rows)


def derived_views(*, listed: bool = True, closed: Collection[str] | None = None, until: str | None = None) -> Iterator[View]:
    """The views over :func:`stored_view`, in an order in which each uses only those before it.

    Args:
        listed: whether a run has listed its shards; else it is not known what is current, and more is taken for it:
        closed: the shards of these ids; by default all, with every slice that is committed.
        until: what was current after this run; by default after the newest.
    """
    if listed:
        earlier = "" if until is None else f" AND run_id <= '{until}'"
        yield View("current_shards", _CURRENT_SHARDS.format(until=earlier))
    else:
        ids = ", ".join(f"'{one}'" for one in closed or ()) or "NULL"
        chosen = "" if closed is None else f" WHERE shard_id IN ({ids})"
        yield View("current_shards", f"{_nothing(RUN_SHARDS)} UNION ALL BY NAME SELECT * FROM shards{chosen}")  # noqa: S608 - digests
    yield View("current_slices", _CURRENT_SLICES if listed or closed is not None else _ALL_SLICES)
    for name, query in _CURRENT.items():
        yield View(name, query)
    yield View("findings", _FINDINGS)


def _nothing(table: str) -> str:
    """A query without rows that has the columns of a table."""
    if table == PACKS:
        return "SELECT NULL::VARCHAR AS bundle, NULL::VARCHAR AS name, NULL::VARCHAR AS pack WHERE false"
    columns = [f'NULL::{sql_type(field.type)} AS "{field.name}"' for field in SCHEMAS[table]]
    partition = ["NULL::VARCHAR AS bundle"] if table in TABLES else []
    return f"SELECT {', '.join([*columns, *partition])} WHERE false"


_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float16(): "FLOAT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
}


def sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type of the tables."""
    if pa.types.is_fixed_size_list(kind):
        return f"{sql_type(kind.value_type)}[{kind.list_size}]"
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        parts = ", ".join(f'"{field.name}" {sql_type(field.type)}' for field in kind)
        return f"STRUCT({parts})"
    return _SQL_TYPES[kind]
