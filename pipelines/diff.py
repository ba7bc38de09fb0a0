"""What two audits, or two runs of one, say differently of the same images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from causalprint.pipelines.audit_views import create_views
from causalprint.pipelines.open_audit import Table, check_output
from causalprint.pipelines.query import format_of, write
from causalprint.schemas.config import Storage
from causalprint.transforms.tables.committed import listed_runs

if TYPE_CHECKING:
    from causalprint.pipelines.commands.diff import DiffConfig

_SIDE = """
    SELECT *, row_number() OVER (PARTITION BY image ORDER BY shard, member, "offset") AS copy
    FROM (
        SELECT image_id AS image, image_id, verdict, source, family, reason, probability, generated_probability,
               shard, member, "offset"
        FROM {side}.findings
        UNION ALL BY NAME
        SELECT coalesce(image_id, concat_ws('/', shard, member, "offset")) AS image, image_id, 'rejected' AS verdict,
               concat(stage, '/', reason) AS reason, shard, member, "offset"
        FROM {side}.current_rejects
    )
"""
"""Every image of one side. The same bytes may lie in several places: of each side the first is compared with the first."""

_COMPARED = ("verdict", "source", "family", "reason")
_SHOWN = (*_COMPARED, "probability", "generated_probability", "shard", "member", "offset")
_BOTH = ", ".join(f'{side[0]}."{name}" AS {side}_{name}' for side in ("before", "after") for name in _SHOWN)

DIFFERENCES = f"""
    SELECT CASE WHEN b.image IS NULL THEN 'new' WHEN a.image IS NULL THEN 'gone' ELSE 'changed' END AS difference,
           coalesce(a.image_id, b.image_id) AS image_id,
           {_BOTH}
    FROM ({_SIDE.format(side="before")}) b
    FULL JOIN ({_SIDE.format(side="after")}) a USING (image, copy)
    WHERE b.image IS NULL OR a.image IS NULL OR {" OR ".join(f"a.{name} IS DISTINCT FROM b.{name}" for name in _COMPARED)}
"""  # noqa: S608 - names of columns


class DiffError(ValueError):
    """Two audits that cannot be compared; the message says why."""


class Difference(NamedTuple):
    """So many images that are new, gone or changed, and what was said of them before and after; ``None``: nothing."""

    difference: str
    before: str | None
    after: str | None
    images: int


@dataclass(frozen=True, slots=True)
class Diff:
    """What ``diff --json`` prints.

    Attributes:
        before, after: the outputs; of two runs of one, with the run.
        new: images that only the later has; ``gone``: only the earlier; ``changed``: of which they say something else.
        divided: how these divide by verdict.
        output: the file that names them all; ``None``: none was asked for.
    """

    before: str
    after: str
    new: int
    gone: int
    changed: int
    divided: tuple[Difference, ...]
    output: str | None


def diff(config: DiffConfig) -> Diff:
    """Compares the audits as they are now, or one after each of two runs, image by image.

    Raises:
        DiffError: there is not one pair to compare, or no such run.
        OpenAuditError: there is no audit.
        QueryError: the differences cannot be written as asked.
    """
    kind = None if config.output is None else format_of(config.output, None)
    with sides(config) as (names, differences):
        if config.output is not None and kind is not None:
            write(Table(differences), config.output, kind, config.storage)
        words = "concat_ws(': ', {0}_verdict, coalesce({0}_source, {0}_family, {0}_reason))"
        said = ", ".join(f"nullif({words.format(side)}, '') AS {side}" for side in ("before", "after"))
        divided = tuple(
            Difference(*row) for row in differences.aggregate(f"difference, {said}, count(*)").order("ALL").fetchall()
        )
    sums = {what: sum(one.images for one in divided if one.difference == what) for what in ("new", "gone", "changed")}
    return Diff(*names, sums["new"], sums["gone"], sums["changed"], divided, config.output)


@contextmanager
def sides(config: DiffConfig) -> Iterator[tuple[tuple[str, str], duckdb.DuckDBPyRelation]]:
    """What is compared, in words, and :data:`DIFFERENCES` of it."""
    if len(config.audits) + (len(config.runs) == 2) != 2 or len(config.runs) not in (0, 2):
        raise DiffError("give two outputs, or one and two of its runs: --runs RUN --runs RUN")
    before, after = config.audits if len(config.audits) == 2 else 2 * config.audits
    runs = config.runs or (None, None)
    with duckdb.connect() as connection:
        for schema, output, run in zip(("before", "after"), (before, after), runs, strict=True):
            check_output(output, config.storage)
            connection.execute(f"CREATE SCHEMA {schema}")
            connection.execute(f"SET schema = '{schema}'")
            create_views(connection, output, config.storage, _run(output, run, config.storage))
        names = tuple(
            output if run is None else f"{output} after {run}" for output, run in zip((before, after), runs, strict=True)
        )
        yield (names[0], names[1]), connection.sql(DIFFERENCES)


def _run(output: str, asked: str | None, storage: Storage) -> str | None:
    """The run whose id is, or begins with, ``asked``."""
    if asked is None:
        return None
    there = listed_runs(output, storage)
    found = [run for run in there if run.startswith(asked)]
    if len(found) != 1:
        which = f"begin {len(found)} runs of" if found else "begins no run of"
        raise DiffError(f"{asked!r} {which} {output}; it has {', '.join([*there][-5:]) or 'none'}")
    return found[0]
