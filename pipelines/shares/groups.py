"""Groups of an audit's images: by shard, domain, year, a column, or a key of their sidecars."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from causalprint.models.prevalence import FEW_IMAGES
from causalprint.schemas.prevalence import ALL

if TYPE_CHECKING:
    from causalprint.pipelines.open_audit import AuditTables
    from causalprint.schemas.arrays import Doubles

DOMAIN, YEAR = "domain", "year"
OTHERS = f"(groups of fewer than {FEW_IMAGES} images)"
_DATES = ("year", "date", "created", "created_at", "timestamp", "last_modified", "exif_date")


class GroupError(ValueError):
    """The images cannot be grouped so; the message says by what they can."""


class Groups(NamedTuple):
    """G groups.

    Attributes:
        by: what they were grouped by.
        names: of the groups, those of most images first.
        rows: SQL that gives the images: in brackets, columns of ``findings`` besides ``grouped``.
        place: SQL that gives the place of a row's group.
        origins: of how many origins the images of each are, about, (G,): the number of domains, were all alike often, that gives
            as much chance; NaN where most images have no URL.
    """

    by: str
    names: tuple[str, ...]
    rows: str
    place: str
    origins: Doubles


def find_groups(tables: AuditTables, by: str, bundle_id: str) -> Groups:
    """Groups the images that ``bundle_id`` has verdicts on; groups of few images are one, :data:`OTHERS`.

    Raises:
        GroupError: no image has such a value.
    """
    columns = tables.findings.relation.columns
    value, domain = _expression(by, columns), _expression(DOMAIN, columns)
    rows = (
        f"(SELECT *, coalesce(CAST({value} AS VARCHAR), '') AS grouped, {domain} AS place_of_url FROM findings "  # noqa: S608
        f"WHERE bundle = {_quoted(bundle_id)})"
    )
    counted = tables.sql(
        f"""
        WITH each AS (SELECT grouped, place_of_url, count(*) AS images FROM {rows} GROUP BY ALL)
        SELECT grouped, sum(images)::BIGINT AS images, sum(images) FILTER (place_of_url <> '') AS placed,
               sum(images * images::DOUBLE) FILTER (place_of_url <> '') AS squared
        FROM each GROUP BY ALL ORDER BY images DESC, grouped
        """  # noqa: S608 - what is put in is quoted
    ).rows()
    if not counted:
        raise GroupError(f"bundle {bundle_id} has no verdict in this audit; see causalprint inspect")
    if by not in (ALL, *columns) and all(row["grouped"] == "" for row in counted):
        raise GroupError(
            f"no image has a {by!r}: group by shard, domain, year, one of {', '.join(columns)}, or a key of sidecars"
        )
    large = [row for row in counted if row["images"] >= FEW_IMAGES or by == ALL]
    names = [row["grouped"] for row in large]
    origins = [_origins(row["images"], row["placed"], row["squared"]) for row in large]
    listed = ", ".join(map(_quoted, names))
    place = f"(list_position([{listed}]::VARCHAR[], grouped) - 1)"
    if len(large) < len(counted):
        place = f"coalesce(list_position([{listed}]::VARCHAR[], grouped) - 1, {len(names)})"
        names.append(OTHERS)
        small = [row for row in counted if row not in large]
        placed, squared = (sum(row[key] or 0 for row in small) for key in ("placed", "squared"))
        origins.append(_origins(sum(row["images"] for row in small), placed, squared))
    if by == DOMAIN:
        origins = [1.0 if name not in ("", OTHERS) else many for name, many in zip(names, origins, strict=True)]
    if by == ALL:
        names = [ALL]
    return Groups(by, tuple(names), rows, place, np.array(origins))


def _origins(images: int, placed: float | None, squared: float | None) -> float:
    return float(placed) ** 2 / float(squared) if placed and squared and placed * 2 >= images else np.nan


def _expression(by: str, columns: list[str]) -> str:
    if by == ALL:
        return "''"
    if by in columns:
        return '"{}"'.format(by.replace('"', '""'))
    if by == DOMAIN:
        return "lower(regexp_extract(metadata ->> 'url', '^[A-Za-z0-9+.-]+://(?:[^/@]*@)?([^/:?#]+)', 1))"
    if by == YEAR:
        return f"regexp_extract(coalesce({', '.join(f'metadata ->> {_quoted(key)}' for key in _DATES)}), '(19|20)[0-9][0-9]')"
    return f"metadata ->> {_quoted(by)}"


def _quoted(text: str) -> str:
    return "'{}'".format(text.replace("'", "''"))
