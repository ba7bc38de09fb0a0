"""What the report's queries stand on, as SQL: the images of one bundle with what was said of them, its rejects, its accounts."""

from __future__ import annotations

from collections.abc import Collection

from causalprint.schemas.claims import conflict
from causalprint.schemas.reasons import TAKEN, Abstention, Verdict

OUTCOMES = ("generated", "photograph", "graphic", "undecided", "not judged")
"""What can be said of an image that was read."""

_OUTCOME = f"""CASE WHEN {TAKEN} THEN 'generated' WHEN verdict = '{Verdict.REAL}' THEN 'photograph'
            WHEN verdict = '{Verdict.GRAPHIC}' THEN 'graphic' WHEN reason = '{Abstention.UNDECIDED}' THEN 'undecided'
            ELSE 'not judged' END"""
_WHO = f"""CASE WHEN source IS NOT NULL THEN source WHEN family IS NOT NULL THEN family || ' (one of this family)'
            WHEN verdict = '{Verdict.UNKNOWN}' THEN 'a generator that the bundle does not name'
            ELSE 'generated, by whom is not said' END"""
_EARLIER = """(SELECT a.*, i.format, i.width, i.height, i.jpeg_quality, i.resampled, i.metadata{later}
      FROM attributions a JOIN images i USING (slice_id, member, "offset"))"""
_LATER = {
    "domain": "VARCHAR",
    "claim_kind": "VARCHAR",
    "claim_source": "VARCHAR",
    "conflict": "BOOLEAN",
}
"""Columns that tables of earlier versions lack, and their types."""


def findings_told(bundle_id: str, columns: Collection[str], *, current: bool) -> str:
    """View ``findings_told``, as SQL: the findings of one bundle, each with its outcome, whom it names, and its address.

    Args:
        bundle_id: whose verdicts are told.
        columns: of view ``findings``: columns that tables of earlier versions lack are null.
        current: whether ``findings`` has the verdicts of this bundle; else they are those of an earlier one, whole.
    """
    later = "".join(f", NULL::{kind} AS {name}" for name, kind in _LATER.items() if name not in columns)
    of_images = {name: f"i.{name}" for name in _LATER} | {"conflict": conflict("i.claim_kind", "a.verdict")}
    kept = "".join(f", {of_images[name]} AS {name}" for name in _LATER if name in columns)
    return f"""CREATE OR REPLACE TEMP VIEW findings_told AS
SELECT *{later}{"" if current and "url" in columns else ", metadata ->> '$.url' AS url"},
       {_OUTCOME} AS outcome, {_WHO} AS who
FROM {"findings" if current else _EARLIER.format(later=kept)} {_where(bundle_id)};"""  # noqa: S608 - the name of a bundle


def prelude(bundle_id: str, views: Collection[str], columns: Collection[str], *, current: bool) -> str:
    """That view, and tables ``found``, ``accounts`` and ``refused``: what the queries read of it, its shards, its rejects.

    ``views`` names the views that there are: ``current_…`` ones leave out what is not in the dataset any more.
    """
    where = _where(bundle_id)
    rejects, shards = (f"current_{name}" if current and f"current_{name}" in views else name for name in ("rejects", "shards"))
    return f"""{findings_told(bundle_id, columns, current=current)}
CREATE OR REPLACE TEMP TABLE found AS
SELECT outcome, who, generated_probability, reason, format, least(width, height) AS side, jpeg_quality, resampled, shard,
       hash(image_id) AS image, {", ".join(_LATER)}
FROM findings_told;
CREATE OR REPLACE TEMP TABLE accounts AS SELECT * FROM {shards} {where};
CREATE OR REPLACE TEMP TABLE refused AS
SELECT stage, reason, detail, shard, member FROM {rejects} {where} OR slice_id IN (SELECT unnest(slice_ids) FROM accounts);"""  # noqa: S608 - the name of a bundle


def _where(bundle_id: str) -> str:
    return "WHERE bundle = '{}'".format(bundle_id.replace("'", "''"))
