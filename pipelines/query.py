"""SQL over the views of an audit that can read them and nothing else; its rows on a terminal, as JSON, or in a file."""

from __future__ import annotations

import csv
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.pipelines.open_audit import AuditTables, Table
from causalprint.schemas.config import Storage
from causalprint.transforms.storage.storage import filesystem, is_local

if TYPE_CHECKING:
    from causalprint.pipelines.commands.query import QueryConfig

SUMMARY = "SELECT verdict, source, count(*) AS images FROM findings GROUP BY ALL ORDER BY images DESC, verdict, source"
"""What is asked where nothing else is."""

SHOWN = 100
"""Rows that are printed as a table."""
BATCH = 8192


class QueryError(ValueError):
    """A query that cannot be run, or its rows not be written as asked; the message says why."""


class Column(NamedTuple):
    """A column of the rows: its name, and its type in DuckDB's words."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query came to; ``query --json`` prints it.

    Attributes:
        columns: of the rows.
        rows: the values of each as JSON has them, in the order of the columns; none where they are in a file.
        more: whether there are more rows than these.
        output: the file that holds all rows; ``None``: none was asked for.
        note: what is not known of what the audit is now; else empty.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool = False
    output: str | None = None
    note: str = ""


def answer(tables: AuditTables, config: QueryConfig, most: int | None = None) -> Answer:
    """Runs the query of ``config`` over ``tables``, which it locks: no file but theirs is read, none is written.

    Args:
        tables: an audit's.
        config: the query, and where its rows go.
        most: rows to return where they go to no file; by default all.

    Raises:
        QueryError: the query is no single one that reads, is wrong, or fails.
    """
    try:
        found = ask(tables, SUMMARY if config.sql is None else config.sql)
        columns = tuple(Column(name, str(kind)) for name, kind in zip(found.relation.columns, found.relation.types, strict=True))
        if config.output is not None:
            write(found, config.output, format_of(config.output, config.format), config.storage)
            return Answer(columns, (), output=config.output, note=tables.note)
        rows = (found.relation if most is None else found.relation.limit(most + 1)).fetchall()
    except duckdb.Error as error:
        raise _said(error) from error
    kept = tuple(tuple(map(plain, row)) for row in rows[:most])
    return Answer(columns, kept, more=len(rows) > len(kept), note=tables.note)


def ask(tables: AuditTables, sql: str) -> Table:
    """The rows of one query that only reads, over the views of ``tables``, which from now on reach nothing else.

    Raises:
        QueryError: it is none, or wrong.
    """
    try:
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QueryError(f"give one query that reads, such as {SUMMARY!r}; the tables of an audit are only read")
        tables.lock()
        found = tables.sql(sql)
    except duckdb.Error as error:
        raise _said(error) from error
    names = found.relation.columns
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise QueryError(f"two columns are called {twice}; give one of them another name by AS")
    return found


def format_of(output: str | None, asked: str | None) -> str:
    """As what rows are written: as asked, or as the file's name says.

    Raises:
        QueryError: neither tells, or they cannot be written so.
    """
    suffix = Path(output or "").suffix.lower().removeprefix(".")
    kind = asked or (suffix if output is not None else "table")
    if output is None and kind == "parquet":
        raise QueryError("Parquet goes to a file: give --output FILE.parquet")
    if output is not None and kind not in WRITERS:
        raise QueryError(f"{output!r} does not tell a format: call it FILE.{'|'.join(WRITERS)}")
    return kind


def write(found: Table, output: str, kind: str, storage: Storage) -> None:
    """Writes all rows to the file or URL ``output``, whole or not at all; ``kind`` is a key of :data:`WRITERS`."""
    with tempfile.TemporaryDirectory(prefix="causalprint-query-") as folder:
        made = Path(folder) / "rows"
        WRITERS[kind](found.relation.to_arrow_reader(BATCH), made)
        if is_local(output):
            part = Path(output).with_name(f".{Path(output).name}.part")
            part.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(made, part)
            part.replace(output)
        else:
            fs, path = filesystem(output, storage, patient=True)
            fs.put_file(str(made), path)


def write_csv(rows: pa.RecordBatchReader, stream: IO[str]) -> None:
    """Writes rows as CSV, the names of the columns first; lists and structs are JSON text."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(rows.schema.names)
    writer.writerows(["" if value is None else _text(value) for value in row.values()] for row in _records(rows))


def write_json(rows: pa.RecordBatchReader, stream: IO[str]) -> None:
    """Writes rows as one JSON list of objects, a row a line."""
    before = "[\n"
    for row in _records(rows):
        stream.write(before + json.dumps({name: plain(value) for name, value in row.items()}, ensure_ascii=False))
        before = ",\n"
    stream.write("[]\n" if before == "[\n" else "\n]\n")


def plain(value: object) -> Any:
    """A value of a row as JSON can hold it: numbers that are none are null, times and bytes are text."""
    if isinstance(value, float | Decimal):
        value = float(value)
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value if value is None or isinstance(value, str | int) else str(value)


def _records(rows: pa.RecordBatchReader) -> Iterator[dict[str, Any]]:
    for batch in rows:
        yield from batch.to_pylist()


def _text(value: object) -> str:
    return json.dumps(plain(value), ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def _text_file(write_rows: Callable[[pa.RecordBatchReader, IO[str]], None]) -> Callable[[pa.RecordBatchReader, Path], None]:
    def write_file(rows: pa.RecordBatchReader, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as stream:
            write_rows(rows, stream)

    return write_file


def _write_parquet(rows: pa.RecordBatchReader, path: Path) -> None:
    with pq.ParquetWriter(path, rows.schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)


WRITERS = {"csv": _text_file(write_csv), "json": _text_file(write_json), "parquet": _write_parquet}
"""As what rows can be written to a file."""


def _said(error: duckdb.Error) -> QueryError:
    lines = [line for line in str(error).splitlines() if line.strip()]
    told = " ".join(lines[: next((at for at, line in enumerate(lines) if line.startswith("LINE ")), len(lines))])
    return QueryError(f"{told} (SHOW TABLES names the views, DESCRIBE findings their columns)")
