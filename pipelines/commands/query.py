"""The command that asks an audit's tables by SQL."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.console import new_table
from causalprint.pipelines.errors import ExitCode
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import DATA, SPEAKS, Command, Option, argument

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.query import Answer

MOST_COLUMNS = 8
"""Of a table; rows of more are shown one below the other."""
MANY = 20
"""Rows that are shown so."""


@dataclass(frozen=True, slots=True)
class QueryConfig(Command):
    """One question to an audit's tables."""

    NAME = "query"

    audit: Annotated[str, argument("An audit's output: a folder, s3://… or gs://…", "OUT")]
    sql: Annotated[
        str | None,
        argument(
            "One query over the views findings, current_images, current_attributions, …; without it, verdicts are counted.", "SQL"
        ),
    ] = None
    output: Annotated[
        str | None, Option("Write all rows to this file or URL.", "FILE", DATA, ("--output", "-o"), usual="standard output")
    ] = None
    format: Annotated[
        str | None,
        Option(
            "Write rows as this; table and without --output csv and json are for standard output.",
            panel=SPEAKS,
            choices=("table", "csv", "json", "parquet"),
            usual="table, or as the file is called",
        ),
    ] = None
    database: Annotated[
        Path | None, Option("Keep the views, and no rows, in this DuckDB file, which any DuckDB opens.", "FILE", DATA)
    ] = None
    storage: StorageOptions = NO_OPTIONS


@command(QueryConfig, "the same command asks again")
def query(config: QueryConfig, session: Session) -> int:
    """Ask an audit's tables by SQL: findings is a row for each image that the audit has now.

    The query can read the audit's files and nothing else, and writes nothing but --output. docs/queries.md has queries to begin
    with.
    """
    from causalprint.pipelines.open_audit import open_audit
    from causalprint.pipelines.query import BATCH, SHOWN, SUMMARY, answer, ask, format_of, write_csv, write_json

    kind = format_of(config.output, config.format)
    if config.database is not None:
        open_audit(config.audit, storage_options=config.storage.options, database=str(config.database)).close()
        session.log.tell(f"views: {config.database}")
    with open_audit(config.audit, storage_options=config.storage.options) as tables:
        if tables.note:
            session.warn(tables.note)
        if config.output is None and not session.as_json and kind in ("csv", "json"):
            rows = ask(tables, SUMMARY if config.sql is None else config.sql).relation.to_arrow_reader(BATCH)
            (write_csv if kind == "csv" else write_json)(rows, sys.stdout)
            return ExitCode.COMPLETE
        if config.sql is None and config.database is not None and config.output is None and not session.as_json:
            return ExitCode.COMPLETE
        found = answer(tables, config, None if session.as_json else SHOWN)
    return session.present(found, show)


def show(found: Answer, out: Console) -> None:
    """Prints the rows: as a table, or where it would have too many columns, one value a line."""
    if found.output is not None:
        out.print(f"rows: {found.output}", soft_wrap=True)
        return
    names = [column.name for column in found.columns]
    if len(names) <= MOST_COLUMNS:
        shown = found.rows
        table = new_table(*names)
        for place, column in enumerate(found.columns):
            if column.type in _NUMBERS:
                table.columns[place].justify = "right"
        for row in shown:
            table.add_row(*map(_text, row))
        out.print(table)
    else:
        shown = found.rows[:MANY]
        for row in shown:
            table = new_table("column", "value")
            for name, value in zip(names, row, strict=True):
                table.add_row(name, _text(value))
            out.print(table)
    if found.more or len(shown) < len(found.rows):
        out.print(f"the first {len(shown)} rows; --output FILE.csv|json|parquet has all", soft_wrap=True)
    elif not shown:
        out.print("no row")


_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE"}


def _text(value: Any) -> str:
    if isinstance(value, float | Decimal):
        value = float(value)
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)
