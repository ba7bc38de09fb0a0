"""Lists of opt-outs, takedowns and known images joined to an audit: what of them it has, and what it says of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from causalprint.pipelines.lists import Listed, ListError, read_list
from causalprint.pipelines.near_hashes import MOST, near_pairs
from causalprint.transforms.tables.output import put

if TYPE_CHECKING:
    import pyarrow as pa

    from causalprint.pipelines.commands.match import MatchConfig
    from causalprint.pipelines.open_audit import AuditTables

_URL = "coalesce(metadata ->> '$.url', metadata ->> '$.URL', metadata ->> '$.image_url')"
_HOST = r"regexp_extract(lower(url), '^(?:(?:https?|ftp):)?//(?:[^/?#]*@)?([^/?#:]+)', 1)"
_IMAGES = f"""
    SELECT f.image_id, i.md5, i.phash, i.domain, {_URL.replace("metadata", "i.metadata")} AS url,
           f.verdict, f.source, f.probability, NULL::VARCHAR AS rejected, f.shard, f.member, f."offset"
    FROM findings f JOIN images i USING (slice_id, member, "offset")
    UNION ALL
    SELECT image_id, NULL, NULL, NULL, {_URL}, NULL, NULL, NULL, reason, shard, member, "offset" FROM current_rejects
"""  # noqa: S608
"""Whatever was met: what got no verdict is in the dataset too, and known by SHA-256 and URL where these were read."""
_NAMED = f"""
    hosted AS (SELECT *, {_HOST} AS seen, if(regexp_full_match(seen, '[a-z0-9._-]+'), seen, domain) AS host FROM met),
    hosts AS (SELECT DISTINCT host, string_split(host, '.') AS labels FROM hosted WHERE host IS NOT NULL),
    parents AS (
        SELECT host, unnest(list_transform(range(1, len(labels) + 1), lambda n: array_to_string(labels[n:], '.'))) AS value
        FROM hosts
    ),
    named AS (SELECT hosted.*, parents.value FROM hosted JOIN parents USING (host))
"""  # noqa: S608
"""Images under each name that their host is or is below; a host that is not in ASCII under those of its registered domain."""
_COLUMN = {"sha256": "image_id", "md5": "md5", "url": "url"}


class Matches(NamedTuple):
    """What ``match --json`` prints.

    Attributes:
        output: the file that was written.
        on: what images were matched by, and within how many bits.
        values: different values of the list; ``matched + unmatched``.
        unusable: entries of the list that are no such value.
        images: different images that matched, by their SHA-256.
        rows: of the file: an image lies in several places, and near several values.
    """

    output: str
    on: str
    within: int
    values: int
    matched: int
    unmatched: int
    unusable: int
    images: int
    rows: int


def match(config: MatchConfig, report: Callable[[str], None] = lambda _: None) -> Matches:
    """Joins a list to an audit, and writes what matched.

    The file has a row for every value and every image that it names: ``value`` (as the list has it), ``distance`` (bits, of
    phash), ``image_id``, ``verdict``, ``source``, ``probability``, ``rejected`` (why there is no verdict), ``shard``,
    ``member``, ``offset``, ``url``.

    Raises:
        ListError: the list cannot be used, or the options contradict each other.
        OpenAuditError: there is no audit.
    """
    from causalprint.pipelines.open_audit import open_audit

    if config.within and config.on != "phash":
        raise ListError(f"--within is a distance of perceptual hashes: give --on phash, not {config.on}")
    if config.within > MOST:
        raise ListError(f"--within {config.within} is too far: beyond {MOST} bits hashes are near by chance")
    report("reading the list")
    listed = read_list(config.list, config.on, config.column, config.storage)
    report(f"looking for {len(listed.values):,} values")
    with open_audit(config.audit, storage_options=config.storage.options) as tables:
        rows = _matched(tables, listed, config)
    _write(rows, config)
    matched = len(rows.column("value").unique())
    return Matches(
        output=config.output,
        on=config.on,
        within=config.within,
        values=len(listed.values),
        matched=matched,
        unmatched=len(listed.values) - matched,
        unusable=listed.unusable,
        images=len(rows.column("image_id").drop_null().unique()),
        rows=rows.num_rows,
    )


def _matched(tables: AuditTables, listed: Listed, config: MatchConfig) -> pa.Table:
    import pyarrow as pa

    values = pa.table({"value": pa.array(listed.values, pa.string()), "given": pa.array(listed.values.values(), pa.string())})
    tables.add("listed", values)
    distance, how = "NULL::INTEGER", f"JOIN met ON met.{_COLUMN.get(config.on)} = listed.value"
    before = f"WITH met AS ({_IMAGES})"
    if config.on == "phash":
        pairs = near_pairs(lambda query: tables.sql(query).to_arrow(), tables.add, _IMAGES, list(listed.values), config.within)
        tables.add("near", pairs)
        distance, how = "near.distance", "JOIN near ON near.listed = listed.value JOIN met ON met.phash = near.phash"
    elif config.on == "domain":
        before += f", {_NAMED}"
        how = "JOIN named met ON met.value = listed.value"
    return tables.sql(f"""
        {before}
        SELECT listed.given AS value, {distance} AS distance,
               met.image_id, met.verdict, met.source, met.probability, met.rejected, met.shard, met.member, met."offset", met.url
        FROM listed {how}
        ORDER BY value, distance, shard, member, "offset"
    """).to_arrow()  # noqa: S608


def _write(rows: pa.Table, config: MatchConfig) -> None:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd")
    root, _, name = config.output.rpartition("/")
    put(root or ("/" if config.output.startswith("/") else "."), name, buffer.getvalue(), config.storage)
