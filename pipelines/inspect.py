"""``causalprint inspect``: what an audit's output, a bundle or a shard holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from causalprint.pipelines.report import NAMED
from causalprint.schemas.accounts import RejectCount, VerdictCount, summed
from causalprint.schemas.config import Sample, Slicing, Storage
from causalprint.schemas.losses import LeftOut
from causalprint.schemas.reasons import TAKEN
from causalprint.schemas.runs import IncompleteShard, RunManifest, Work

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle
    from causalprint.pipelines.open_audit import AuditTables
    from causalprint.schemas.elements import Shard
    from causalprint.transforms.tables.output import Output
    from causalprint.transforms.tables.settings import Settings

MEMBERS = 10
"""Members of a shard that are listed."""
FIRST = 5
"""Shards and web sites that are named."""
_MOST = f"GROUP BY 1 HAVING taken > 0 AND name IS NOT NULL ORDER BY taken DESC, images, name LIMIT {FIRST}"
_SLICING = Slicing(images=256, bytes=32 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class TableSummary:
    """One table of one bundle: its files, their bytes and rows."""

    table: str
    files: int
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class PartitionSummary:
    """What one bundle has written into an output.

    Attributes:
        bundle_id: the bundle.
        tables: each table.
        verdicts: images by verdict and source.
        rejects: images by stage and reason.
        shards, complete: closed accounts, and those of them of which nothing is missing.
        incomplete_shards: the first of the others.
        scored: the bundle whose embeddings got these verdicts, where its audit did not give them; in its partition are the tables
            that this one lacks.
    """

    bundle_id: str
    tables: tuple[TableSummary, ...]
    verdicts: tuple[VerdictCount, ...]
    rejects: tuple[RejectCount, ...]
    shards: int
    complete: int
    incomplete_shards: tuple[IncompleteShard, ...]
    scored: str = ""


class Place(NamedTuple):
    """A shard or a web site, its images, and how many of them are taken for generated."""

    name: str
    images: int
    taken: int


class Estimate(NamedTuple):
    """An estimated share, 0 to 1, and the ends of its 95 % interval."""

    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Now:
    """What an audit has now, as view ``findings`` says: what to look at first.

    Attributes:
        images, taken: all of them, and those that are taken for generated.
        conflicts: those of which the file says the contrary of the verdict.
        shards, domains: with the most that is taken for generated, :data:`FIRST` at most.
        estimate: the share of what is generated and its 95 % interval, where ``prevalence`` has told them.
    """

    images: int
    taken: int
    conflicts: int
    shards: tuple[Place, ...]
    domains: tuple[Place, ...]
    estimate: Estimate | None = None


@dataclass(frozen=True, slots=True)
class OutputSummary:
    """An audit's output: its settings, its finished runs, what the last left out and did, its bundles, and what it has now."""

    output: str
    slicing: Slicing
    limit: int | None
    sample: Sample | None
    runs: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    bundles: tuple[PartitionSummary, ...]
    work: Work | None = None
    now: Now | None = None


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """One shard, read to its end and not decoded.

    Attributes:
        uri, format, size, generation: as of :class:`causalprint.schemas.elements.Shard`.
        images: that could be read; ``image_bytes`` in all.
        rejects: that could not.
        skipped: members that are no images.
        members: names of the first images.
        damage: what is missing; ``None`` where nothing is.
    """

    uri: str
    format: str
    size: int
    generation: str
    images: int
    image_bytes: int
    rejects: tuple[RejectCount, ...]
    skipped: int
    members: tuple[str, ...]
    damage: str | None


@dataclass(frozen=True, slots=True)
class InputSummary:
    """Shards, and by kind what lies beside them and is none."""

    shards: tuple[ShardSummary, ...]
    left_out: tuple[LeftOut, ...]


def summarise(what: str, storage: Storage) -> OutputSummary | Bundle | InputSummary:
    """Finds out what lies at ``what`` and sums it up.

    Raises:
        ValueError: it is neither an output, nor a bundle, nor shards; or it is a damaged one.
        OSError: it cannot be read.
    """
    from causalprint.transforms.tables.settings import read_settings

    if "://" not in what and (Path(what) / "bundle.json").is_file():
        from causalprint.models.bundles.bundle import load_bundle

        return load_bundle(what)
    settings = None if "://" not in what and Path(what).is_file() else read_settings(what, storage)
    if settings is not None:
        return summarise_output(what, settings, storage)
    from causalprint.transforms.match_shards import match_inputs

    matched = match_inputs((what,), storage)
    return InputSummary(tuple(summarise_shard(shard, storage) for shard in matched.shards), matched.left_out)


def summarise_shard(shard: Shard, storage: Storage) -> ShardSummary:
    """Reads ``shard`` to its end, a few images at a time."""
    from causalprint.transforms.formats.slices import read_slices

    members: list[str] = []
    rejects: tuple[RejectCount, ...] = ()
    images = image_bytes = skipped = 0
    damage: str | None = None
    for part in read_slices(shard, "inspect", _SLICING, storage):
        images += len(part.images)
        image_bytes += sum(len(image.data) for image in part.images)
        skipped += part.skipped
        rejects = summed((*rejects, *(RejectCount(reject.stage, reject.reason, 1) for reject in part.rejects)))
        members += [image.member for image in part.images[: MEMBERS - len(members)]]
        damage = part.damage or damage
    return ShardSummary(
        uri=shard.uri,
        format=shard.format,
        size=shard.size,
        generation=shard.generation,
        images=images,
        image_bytes=image_bytes,
        rejects=rejects,
        skipped=skipped,
        members=tuple(members),
        damage=damage,
    )


def summarise_output(root: str, settings: Settings, storage: Storage) -> OutputSummary:
    """Counts the rows of every table, by DuckDB, which holds some 10 KB a file and not its rows."""
    from causalprint.pipelines.open_audit import open_audit
    from causalprint.transforms.tables.committed import bundle_ids, run_ids
    from causalprint.transforms.tables.output import Output

    bundles = bundle_ids(root, storage)
    partitions: tuple[PartitionSummary, ...] = ()
    now = None
    if bundles:
        with open_audit(root, storage_options=storage.options) as tables:
            tables.spare()
            found = {name: _by_bundle(tables, query) for name, query in _COUNTED.items()}
            partitions = tuple(_summarise_partition(found, Output(root, one, "", storage)) for one in bundles)
            now = _now(tables, root, storage)
    runs = tuple(run_ids(root, storage))
    last = _last(root, runs, storage)
    return OutputSummary(
        now=now,
        output=root,
        slicing=settings.slicing,
        limit=settings.limit,
        sample=settings.sample,
        runs=runs,
        left_out=last.run.left_out if last else (),
        work=last.work if last else None,
        bundles=partitions,
    )


def _now(tables: AuditTables, root: str, storage: Storage) -> Now:
    counts = f"count(*) AS images, count(*) FILTER ({TAKEN}) AS taken"
    (told,) = tables.sql(f"SELECT {counts}, count(*) FILTER (conflict) AS conflicts FROM findings").rows()  # noqa: S608 - ours
    shards, domains = (
        tuple(Place(**row) for row in tables.sql(f"SELECT {name} AS name, {counts} FROM findings {_MOST}").rows())  # noqa: S608
        for name in ("shard", "domain")
    )
    bundles = [row["bundle"] for row in tables.sql("SELECT DISTINCT bundle FROM findings").rows()]
    estimate = _share(root, bundles[0], storage) if len(bundles) == 1 else None
    return Now(**told, shards=shards, domains=domains, estimate=estimate)


def _share(root: str, bundle_id: str, storage: Storage) -> Estimate | None:

    from causalprint.schemas.prevalence import ALL, FOLDER, Method, What
    from causalprint.transforms.tables.output import get
    from causalprint.transforms.tables.parquet_bytes import read_parquet

    data = get(root, f"{FOLDER}/bundle={bundle_id}/{ALL}.parquet", storage)
    rows = [] if data is None else read_parquet(data).to_pylist()
    of_all = (row for row in rows if (row["group_by"], row["what"]) == (ALL, What.GENERATED) and row["method"] != Method.COUNTED)
    return next((Estimate(row["share"], row["low"], row["high"]) for row in of_all), None)


def _last(root: str, runs: tuple[str, ...], storage: Storage) -> RunManifest | None:
    from causalprint.transforms.tables.manifests import read_manifest

    try:
        return read_manifest(root, runs[-1], storage) if runs else None
    except ValueError:  # of another version
        return None


_COUNTED = {
    "images": "SELECT bundle, count(*) AS images FROM images GROUP BY ALL",
    "embeddings": "SELECT bundle, count(*) AS images FROM embeddings GROUP BY ALL",
    "attributions": "SELECT bundle, verdict, coalesce(source, family) AS source, reason, count(*) AS images "
    "FROM attributions GROUP BY ALL",
    "rejects": "SELECT bundle, stage, reason, count(*) AS images FROM rejects GROUP BY ALL",
    "shards": "SELECT bundle, complete, count(*) AS images FROM shards GROUP BY ALL",
    "incomplete": "SELECT bundle, uri, coalesce(damage, '') AS damage, retryable FROM shards WHERE NOT complete "  # noqa: S608
    f"QUALIFY row_number() OVER (PARTITION BY bundle ORDER BY uri) <= {NAMED} ORDER BY uri",
}
"""What is asked of each table, and which shards are named."""


def _by_bundle(tables: AuditTables, query: str) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in tables.sql(query).rows():
        rows.setdefault(row.pop("bundle"), []).append(row)
    return rows


def _summarise_partition(found: Mapping[str, Mapping[str, list[dict[str, Any]]]], output: Output) -> PartitionSummary:
    from causalprint.schemas.tables import TABLES
    from causalprint.transforms.tables.committed import scored_by
    from causalprint.transforms.tables.output import listed

    mine = {name: rows.get(output.bundle_id, []) for name, rows in found.items()}
    sizes = {name: _parquet(listed(output.root, f"{name}/bundle={output.bundle_id}", output.storage)) for name in TABLES}
    counts = {name: sum(row["images"] for row in mine[name]) for name in TABLES}
    return PartitionSummary(
        bundle_id=output.bundle_id,
        tables=tuple(TableSummary(name, len(files), sum(files), counts[name]) for name, files in sizes.items()),
        verdicts=summed(VerdictCount(**row) for row in mine["attributions"]),
        rejects=summed(RejectCount(**row) for row in mine["rejects"]),
        shards=counts["shards"],
        complete=sum(row["images"] for row in mine["shards"] if row["complete"]),
        incomplete_shards=tuple(IncompleteShard(**row) for row in mine["incomplete"]),
        scored=scored_by(output),
    )


def _parquet(files: Mapping[str, int | None]) -> list[int]:
    """Bytes of the tables' files in a folder."""
    return [size for name, size in files.items() if name.endswith(".parquet") and size is not None]
