"""The tiers of a cascade in a connection of DuckDB: view ``cascaded``, a row an image with the verdict of its highest tier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import duckdb

from causalprint.pipelines.audit_views import create_views
from causalprint.schemas.cascade import TIERS
from causalprint.schemas.claims import conflict
from causalprint.schemas.config import Storage
from causalprint.schemas.reasons import undecided
from causalprint.transforms.tables.output import folder_names

_SAID = (
    *("verdict", "source", "family", "probability", "family_probability", "generated_probability", "log_likelihood_ratio"),
    *("novelty", "candidates", "reason", "bundle"),
)
"""Columns of ``findings`` that are a bundle's word; the others tell of the image and of its place."""

_FIRST = f"""
    SELECT *, 1 AS tier, NULL::VARCHAR AS tier_reason, if({undecided()}, NULL, 1) AS decided_by FROM findings
"""  # noqa: S608 - words of ours
_NEXT = f"""
    SELECT c.* REPLACE (
        {", ".join(f"if(t.image_id IS NULL, c.{name}, t.{name}) AS {name}" for name in _SAID)},
        {conflict("c.claim_kind", "if(t.image_id IS NULL, c.verdict, t.verdict)")} AS conflict,
        if(t.image_id IS NULL, c.tier, {{tier}}) AS tier,
        if(t.image_id IS NULL, c.tier_reason, if(c.decided_by IS NULL, 'undecided', 'control')) AS tier_reason,
        coalesce(c.decided_by, if(t.image_id IS NULL OR {undecided("t.verdict", "t.reason")}, NULL, {{tier}})) AS decided_by
    )
    FROM ({{before}}) c LEFT JOIN {{rows}} t ON c.image_id = t.image_id
"""  # noqa: S608 - words of ours


class CascadeError(ValueError):
    """A tier cannot be computed as asked; the message says why, and what to do."""


class TierRows(NamedTuple):
    """A further tier that has an output: its number, and the bundle that computes there."""

    tier: int
    bundle_id: str

    @property
    def root(self) -> str:
        """Below the audit's output."""
        return f"{TIERS}/{self.tier}"

    @property
    def schema(self) -> str:
        """In which the views of its tables are."""
        return f"tier_{self.tier}"

    @property
    def rows(self) -> str:
        """Its verdicts, as SQL: one for each different image, since the same bytes have the same row."""
        return f"(SELECT DISTINCT ON (image_id) * FROM {self.schema}.attributions WHERE bundle = '{self.bundle_id}')"  # noqa: S608


def tiers_of(root: str, storage: Storage) -> list[TierRows]:
    """The further tiers in an audit's output, in order."""
    numbers = sorted(int(name) for name in folder_names(root, TIERS, storage) if name.isdecimal())
    found = ((number, folder_names(root, f"{TIERS}/{number}/images", storage)) for number in numbers)
    return [TierRows(number, name.removeprefix("bundle=")) for number, names in found for name in names[:1]]


def check_tiers(root: str, bundle_ids: Sequence[str], storage: Storage) -> None:
    """Makes sure that the further tiers in an audit's output, as far as there are any, are of these bundles, in order.

    Raises:
        CascadeError: one is of another.
    """
    asked = {number: TierRows(number, bundle_id) for number, bundle_id in enumerate(bundle_ids, 2)}
    for there in tiers_of(root, storage) if asked else ():
        rows = asked.get(there.tier, there)
        if rows != there:
            raise CascadeError(
                f"tier {there.tier} of {root} is of bundle {there.bundle_id}, not {rows.bundle_id}: give the bundles in their "
                f"order, or forget it first: causalprint forget {root.rstrip('/')}/{there.root} --bundle {there.bundle_id}"
            )


def create_cascaded(connection: duckdb.DuckDBPyConnection, output: str, storage: Storage, tiers: Sequence[TierRows]) -> None:
    """Creates the view ``cascaded`` over the views of an audit, and a schema with those of each of ``tiers``.

    It has the columns of ``findings``: verdict and bundle are those of the highest tier that has a row for the same bytes, the
    place is the audit's. Further ones are ``tier``; ``tier_reason``, why the image went there: ``undecided`` where no tier
    before decides it, else ``control``; and ``decided_by``, the first tier that decides it, or to whose bundle the picture
    itself is none to decide; null where none does.
    """
    for one in tiers:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {one.schema}")
        connection.execute(f"SET schema = '{one.schema}'")
        create_views(connection, f"{output.rstrip('/')}/{one.root}", storage)
        connection.execute("SET schema = 'main'")
    connection.execute(f"CREATE OR REPLACE VIEW cascaded AS {cascaded(tiers)}")


def cascaded(tiers: Sequence[TierRows]) -> str:
    """The query that view ``cascaded`` is, of these tiers alone; the schemas of the others may be there."""
    query = _FIRST
    for one in tiers:
        query = _NEXT.format(tier=one.tier, before=query, rows=one.rows)
    return query
