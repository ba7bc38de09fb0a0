"""``causalprint discover``: candidate generators among the images of an audit that are like no known source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from causalprint.pipelines.embedded import Embedded, EmbeddedError, embedded
from causalprint.pipelines.enroll import surroundings_of
from causalprint.pipelines.fetch import Lost, fetch_first

if TYPE_CHECKING:
    import pyarrow as pa

    from causalprint.models.candidates import Cluster
    from causalprint.pipelines.commands.discover import DiscoverConfig

CANDIDATES_FILE, MEMBERS_FILE, PAGE = "candidates.parquet", "members.parquet", "candidates.html"


class Candidate(NamedTuple):
    """A row of ``candidates.parquet``; see :data:`~causalprint.schemas.candidates.CANDIDATES`."""

    candidate: str
    images: int
    cohesion: float
    nearest: str
    distance: float
    medoid: str
    spectrum: tuple[float, ...] | None


class DiscoveryReport(NamedTuple):
    """What ``discover --json`` prints.

    Attributes:
        output: the folder that was written to.
        bundle: that enroll would extend.
        unknown: different images that are like no known source; ``looked_at`` of them were.
        in_candidates: how many of these are in a candidate.
        candidates: the candidates, largest first.
        extracted: images that were fetched.
        lost: those that could not be.
    """

    output: str
    bundle: str
    unknown: int
    looked_at: int
    in_candidates: int
    candidates: tuple[Candidate, ...]
    extracted: int = 0
    lost: tuple[Lost, ...] = ()


def discover_candidates(config: DiscoverConfig, report: Callable[[str], None] = lambda _: None) -> DiscoveryReport:
    """Groups what is unknown, and writes the groups and their images.

    Raises:
        EmbeddedError: the audit's embeddings cannot be used, or its bundle is not there.
    """
    import numpy as np

    from causalprint.models.candidates import clusters, named
    from causalprint.schemas.tables import FINGERPRINT_DIM

    where = embedded(config.audit, config.bundle, config.storage)
    if where.bundle is None:
        raise EmbeddedError(f"the bundle {where.output.bundle_id} is not where the audit had it; give it by --bundle")
    unknown, rows = _unknown(config, where)
    prints = np.array([row.pop("fingerprint") for row in rows], np.float32).reshape(-1, FINGERPRINT_DIM)
    report(f"grouping {len(rows):,} images")
    found = clusters(prints, surroundings_of(where.bundle), config.least)
    names = named([[rows[place]["image_id"] for place in one.members] for one in found], _earlier(config))
    members = _members(found, names, rows)
    spectra = {row["group_name"]: row for row in _spectra(config, members)}
    candidates = tuple(
        Candidate(name, len(one.members), one.cohesion, one.nearest, one.distance, medoid, _decibels(spectra.get(name)))
        for name, one, medoid in zip(names, found, (rows[one.members[0]]["image_id"] for one in found), strict=True)
    )
    _write(config, candidates, members)
    _write_page(config, candidates, spectra)
    chosen = [row for row in members if row["rank"] <= config.extract]
    outcomes = []
    for number, row in enumerate(chosen, 1):
        report(f"fetching image {number} of {len(chosen)}")
        outcomes.append(fetch_first(row["image_id"], [row], f"{config.output}/images/{row['candidate']}", config.storage))
    lost = tuple(outcome for outcome in outcomes if isinstance(outcome, Lost))
    counts = unknown, len(rows), len(members)
    return DiscoveryReport(config.output, str(where.bundle.directory), *counts, candidates, len(outcomes) - len(lost), lost)


def _unknown(config: DiscoverConfig, where: Embedded) -> tuple[int, list[dict[str, Any]]]:
    """How many different images are unknown, and of those to look at the fingerprint and a place."""
    from causalprint.pipelines.open_audit import open_audit

    condition = "verdict = 'unknown'" + (" OR (verdict = 'abstain' AND reason = 'no-source')" if config.no_source else "")
    bundle = where.output.bundle_id.replace("'", "''")
    with open_audit(config.audit, storage_options=config.storage.options) as tables:
        ((count,),) = tables.sql(f"SELECT count(DISTINCT image_id) FROM findings WHERE {condition}").relation.fetchall()  # noqa: S608
        query = f"""
            WITH chosen AS (
                SELECT image_id, arg_min(slice_id, (shard, member, "offset")) AS slice_id,
                       min((shard, member, "offset")) AS place, any_value(metadata) AS metadata
                FROM findings WHERE {condition} GROUP BY image_id ORDER BY image_id LIMIT {config.most}
            )
            SELECT c.image_id, e.fingerprint, e.shard, e.member, e."offset", e.slice_id,
                   json_extract_string(CASE WHEN json_valid(c.metadata) THEN c.metadata END, '$.url') AS url
            FROM chosen c JOIN embeddings e
            ON e.bundle = '{bundle}' AND e.slice_id = c.slice_id AND (e.shard, e.member, e."offset") = c.place
            ORDER BY c.image_id
        """  # noqa: S608 - an id of ours
        return count, tables.sql(query).rows()


def _spectra(config: DiscoverConfig, members: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean spectra of the candidates, and of what the audit cleared as photographs; rows of :func:`mean_spectra`."""
    import pyarrow as pa

    from causalprint.pipelines.html_report.spectra import PHOTOGRAPHS, mean_spectra
    from causalprint.pipelines.open_audit import open_audit
    from causalprint.schemas.candidates import MEMBERS

    place = 'slice_id, member, "offset"'
    groups = f"""SELECT candidate AS group_name, {place} FROM members
        UNION ALL SELECT '{PHOTOGRAPHS}', {place} FROM findings WHERE verdict = 'real'"""  # noqa: S608 - words of ours
    with open_audit(config.audit, storage_options=config.storage.options) as tables:
        tables.add("members", pa.Table.from_pylist(list(members), MEMBERS))
        return tables.sql(mean_spectra(groups)).rows()


def _decibels(row: Mapping[str, Any] | None) -> tuple[float, ...] | None:
    return None if row is None else tuple(row["decibels"])


def _earlier(config: DiscoverConfig) -> dict[str, list[str]]:
    """Images of each candidate of an earlier run into the same folder."""
    from causalprint.transforms.tables.output import get
    from causalprint.transforms.tables.parquet_bytes import read_parquet

    data = get(config.output, MEMBERS_FILE, config.storage)
    found: dict[str, list[str]] = {}
    for row in [] if data is None else read_parquet(data, ["candidate", "image_id"]).to_pylist():
        found.setdefault(row["candidate"], []).append(row["image_id"])
    return found


def _members(found: Sequence[Cluster], names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"candidate": name, "rank": rank, "likeness": likeness, **rows[place]}
        for name, one in zip(names, found, strict=True)
        for rank, (place, likeness) in enumerate(zip(one.members.tolist(), one.likeness.tolist(), strict=True), 1)
    ]


def _write(config: DiscoverConfig, candidates: Sequence[Candidate], members: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa

    from causalprint.schemas.candidates import CANDIDATES, MEMBERS
    from causalprint.transforms.tables.output import put
    from causalprint.transforms.tables.write_tables import encode

    tables: tuple[tuple[str, pa.Table], ...] = (
        (CANDIDATES_FILE, pa.Table.from_pylist([one._asdict() for one in candidates], CANDIDATES)),
        (MEMBERS_FILE, pa.Table.from_pylist(list(members), MEMBERS)),
    )
    for name, table in tables:
        put(config.output, name, encode(table), config.storage)


def _write_page(config: DiscoverConfig, candidates: Sequence[Candidate], spectra: Mapping[str, Mapping[str, Any]]) -> None:
    from causalprint.pipelines.html_report.page import render
    from causalprint.transforms.tables.output import put

    page = render("candidates.html.j2", manifest=None, config=config, candidates=candidates, rows=spectra)
    put(config.output, PAGE, page.encode(), config.storage)
