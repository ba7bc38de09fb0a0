"""An audit of a few images, image by image: what a person who asks about a photograph wants to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from causalprint.pipelines.report import new_table
from causalprint.schemas.elements import Shard

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.open_audit import AuditTables

FEW = 50
"""An audit of fewer images than this is shown image by image."""


class ImageRow(NamedTuple):
    """What came of one image: a verdict with its best candidate, or why it was rejected.

    Attributes:
        member: its name within the shard.
        verdict: a value of :class:`causalprint.schemas.reasons.Verdict`, or ``rejected``.
        candidate: the most probable source, whatever the verdict; ``None`` where nothing was computed.
        probability: of the candidate, calibrated.
        reason: why it abstained or was rejected.
    """

    member: str
    verdict: str
    candidate: str | None
    probability: float | None
    reason: str | None


def image_rows(tables: AuditTables, shards: Sequence[Shard], bundle_id: str) -> list[ImageRow]:
    """The images of ``shards``, in the versions given, as one bundle's rows have them; by shard and place in it."""
    names = ", ".join(f"'{shard.shard_id(bundle_id)}'" for shard in shards)
    query = f"""
        WITH slices AS (SELECT unnest(slice_ids) AS slice_id FROM shards WHERE shard_id IN ({names})),
             everything AS (
                 SELECT shard, "offset", member, verdict, candidates[1].source AS candidate, probability, reason, slice_id
                 FROM attributions
                 UNION ALL
                 SELECT shard, "offset", member, 'rejected', NULL, NULL, reason, slice_id FROM rejects
             )
        SELECT member, verdict, candidate, probability, reason
        FROM everything SEMI JOIN slices USING (slice_id)
        ORDER BY shard, "offset", member
    """  # noqa: S608 - digests
    return [ImageRow(**row) for row in tables.sql(query).rows()]


def print_images(rows: Sequence[ImageRow], console: Console) -> None:
    """A row an image."""
    table = new_table("image", "verdict", "most likely", numbers=("prob.",))
    table.columns[2].no_wrap = True  # the other two can be folded and still be read
    for row in rows:
        verdict = row.verdict if row.reason is None else f"{row.verdict}: {row.reason}"
        table.add_row(row.member, verdict, row.candidate or "", "" if row.probability is None else f"{row.probability:.2f}")
    console.print(table)
