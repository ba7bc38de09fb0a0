"""``causalprint trace``: what an audit holds that is most like given images, one image of it, or a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from causalprint.pipelines.embedded import Embedded, EmbeddedError, embedded
from causalprint.pipelines.fetch import Fetched, FetchError, Lost, fetch_first
from causalprint.pipelines.runners import run_pipeline

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from apache_beam import Pipeline
    from apache_beam.pvalue import PCollection

    from causalprint.models.bundles.gallery import Gallery
    from causalprint.pipelines.commands.trace import TraceConfig
    from causalprint.pipelines.open_audit import AuditTables
    from causalprint.transforms.find_nearest import Wanted

MANY = 4096
"""Images of a source, by digest, whose mean direction is looked for."""


class Query(NamedTuple):
    """What is looked for: its name in column ``query``, and fingerprints (N, 128), whose mean direction it is."""

    name: str
    fingerprints: npt.NDArray[np.floating]


class Find(NamedTuple):
    """A row of what ``trace`` writes; see :data:`~causalprint.schemas.finds.FINDS`."""

    query: str
    rank: int
    similarity: float
    false_match_rate: float | None
    image_id: str
    verdict: str | None
    source: str | None
    probability: float | None
    shard: str
    member: str
    offset: int
    slice_id: str
    url: str | None


class TraceReport(NamedTuple):
    """What ``trace --json`` prints.

    Attributes:
        output: the file that was written.
        rows: how many finds it has.
        embeddings: files that were searched.
        basis: where the false-match rate is from, or why there is none.
        finds: the first of each query, :data:`FIRST` at most.
        fetched, lost: images that were fetched, and those that could not be.
    """

    output: str
    rows: int
    embeddings: int
    basis: str
    finds: tuple[Find, ...]
    fetched: tuple[Fetched, ...] = ()
    lost: tuple[Lost, ...] = ()


FIRST = 10
"""Finds of a query that the report names."""


def trace_images(config: TraceConfig, report: Callable[[str], None] = lambda _: None) -> TraceReport:
    """Looks through all embeddings and writes what was found; fetches it where that was asked.

    Raises:
        EmbeddedError: the audit's embeddings cannot be used as asked.
        FetchError: an ``image_id`` is not in the audit, or no image is of the source.
        ImageError: an image given has no fingerprint.
    """
    import numpy as np

    from causalprint.models.statistics.nearest import directions
    from causalprint.pipelines.open_audit import open_audit
    from causalprint.transforms.find_nearest import Wanted, embedding_files, left_out

    where = embedded(config.audit, config.bundle, config.storage)
    gallery = _gallery(where)
    with open_audit(config.audit, storage_options=config.storage.options) as tables:
        queries = list(_queries(config, where, gallery, tables, report))
        current = {row["slice_id"] for row in tables.sql("SELECT DISTINCT slice_id FROM current_slices").rows()}
    means = np.stack([directions(query.fingerprints).mean(axis=0) for query in queries])
    if not means.any(axis=1).all():
        empty = queries[int(np.flatnonzero(~means.any(axis=1))[0])].name
        raise EmbeddedError(f"the fingerprint of {empty} is zero: a flat image carries no evidence, and nothing is like it")
    groups = list(embedding_files(where.output, current))
    report(f"looking through {sum(map(len, groups)):,} files of embeddings")
    job = _Job(config, tuple(query.name for query in queries), where.output.bundle_id, gallery)
    wanted = Wanted(directions(means), config.top, config.at_least, left_out(where.output, current))
    run_pipeline(config.runner, config.beam_options, lambda root: _build(root, groups, wanted, where, job))
    finds = _written(config)
    fetched, lost = _extracted(finds, config, report)
    ranked = tuple(find for find in finds if find.rank <= FIRST)
    return TraceReport(config.output, len(finds), sum(map(len, groups)), _basis(where, gallery), ranked, fetched, lost)


class _Job(NamedTuple):
    """What is written, for the worker that writes it."""

    config: TraceConfig
    names: tuple[str, ...]
    bundle_id: str
    gallery: Gallery | None


def _build(root: Pipeline, groups: list[tuple[str, ...]], wanted: Wanted, where: Embedded, job: _Job) -> PCollection[None]:
    import apache_beam as beam

    from causalprint.transforms.find_nearest import FindNearest

    found = root | "Files" >> beam.Create(groups) | FindNearest(wanted, where.output)
    return found | "Write" >> beam.Map(_write, job=job)


def _queries(
    config: TraceConfig, where: Embedded, gallery: Gallery | None, tables: AuditTables, report: Callable[[str], None]
) -> Iterator[Query]:
    import numpy as np

    if config.like:
        from causalprint.pipelines.open_bundle import OpenBundle

        if where.bundle is None:
            raise EmbeddedError(f"the bundle {where.output.bundle_id} is not where the audit had it; give it by --bundle")
        report(f"computing {len(config.like)} fingerprints")
        opened = OpenBundle(where.bundle, config.device)
        yield from (Query(name, row[None]) for name, row in zip(config.like, opened.fingerprint(config.like), strict=True))
    if config.image_id:
        begins = " OR ".join(f"starts_with(image_id, {_text(image_id)})" for image_id in config.image_id)
        stored = _stored(tables, where, begins)
        for image_id in config.image_id:
            found = [row for name, row in stored.items() if name.startswith(image_id)]
            if len(found) != 1:
                raise FetchError(
                    f"{len(found) or 'no'} images of {config.audit} that have a fingerprint have an image_id that begins with "
                    f"{image_id}; give the 64 digits of one, as column image_id has them"
                )
            yield Query(image_id, found[0][None])
    for source in config.source:
        if gallery is not None and (kept := gallery.source == source).any():
            yield Query(source, gallery.fingerprint[kept])
            continue
        chosen = f"SELECT image_id FROM findings WHERE verdict = 'known' AND source = {_text(source)}"  # noqa: S608 - quoted
        stored = _stored(tables, where, f"image_id IN ({chosen} ORDER BY image_id LIMIT {MANY})")
        if not stored:
            raise FetchError(
                f"{config.audit} names no image of source {source}, and the bundle keeps none; is it spelt otherwise?"
            )
        yield Query(source, np.stack([*stored.values()]))


def _stored(tables: AuditTables, where: Embedded, condition: str) -> dict[str, npt.NDArray[np.float32]]:
    """The fingerprint (128,) of each image for which ``condition`` holds, by its ``image_id``."""
    import numpy as np

    query = f"""
        SELECT DISTINCT image_id, fingerprint FROM embeddings
        WHERE bundle = {_text(where.output.bundle_id)} AND ({condition}) ORDER BY image_id
    """  # noqa: S608 - texts are quoted
    return {row["image_id"]: np.array(row["fingerprint"], np.float32) for row in tables.sql(query).rows()}


def _text(value: str) -> str:
    """As SQL has it."""
    return "'" + value.replace("'", "''") + "'"


def _write(found: pa.Table, job: _Job) -> None:
    """Writes the finds, each with its verdict and its URL."""
    import numpy as np
    import pyarrow as pa

    from causalprint.models.bundles.gallery import false_match_rates
    from causalprint.pipelines.open_audit import open_audit
    from causalprint.schemas.finds import FINDS
    from causalprint.transforms.tables.output import put
    from causalprint.transforms.tables.write_tables import encode

    config = job.config
    query = found.column("query").to_numpy()
    similarity = found.column("similarity").to_numpy()
    rates = None if job.gallery is None else false_match_rates(job.gallery, similarity)
    verdicts = {}
    if len(query):
        ids = ", ".join(sorted({_text(image_id) for image_id in found.column("image_id").to_pylist()}))
        with open_audit(config.audit, storage_options=config.storage.options) as tables:
            asked = f"""
                SELECT slice_id, member, "offset", verdict, source, probability,
                       json_extract_string(CASE WHEN json_valid(metadata) THEN metadata END, '$.url') AS url
                FROM findings WHERE image_id IN ({ids})
            """  # noqa: S608 - digests
            verdicts = {(row.pop("slice_id"), row.pop("member"), row.pop("offset")): row for row in tables.sql(asked).rows()}
    places = [tuple(row[name] for name in ("slice_id", "member", "offset")) for row in found.to_pylist()]
    said = [verdicts.get(place, {}) for place in places]
    columns: dict[str, Any] = {
        name: found.column(name) for name in ("similarity", "image_id", "shard", "member", "offset", "slice_id")
    }
    columns |= {name: [one.get(name) for one in said] for name in ("verdict", "source", "probability", "url")}
    columns["query"] = [job.names[place] for place in query.tolist()]
    columns["rank"] = np.arange(len(query)) - np.searchsorted(query, query) + 1
    columns["false_match_rate"] = [None] * len(query) if rates is None else rates
    schema = FINDS.with_metadata({**FINDS.metadata, b"bundle_id": job.bundle_id.encode()})
    table = pa.Table.from_arrays([pa.array(columns[field.name]).cast(field.type) for field in schema], schema=schema)
    folder, _, name = config.output.rpartition("/")
    put(folder or ("/" if config.output.startswith("/") else "."), name, encode(table), config.storage)


def _written(config: TraceConfig) -> list[Find]:

    from causalprint.transforms.tables.output import get
    from causalprint.transforms.tables.parquet_bytes import read_parquet

    folder, _, name = config.output.rpartition("/")
    data = get(folder or ".", name, config.storage)
    rows = read_parquet(data).to_pylist() if data else []
    return [Find(**row) for row in rows]


def _extracted(
    finds: list[Find], config: TraceConfig, report: Callable[[str], None]
) -> tuple[tuple[Fetched, ...], tuple[Lost, ...]]:
    """Each image once, from the first place that still gives it."""
    if config.extract is None:
        return (), ()
    places: dict[str, list[dict[str, Any]]] = {}
    for find in finds:
        places.setdefault(find.image_id, []).append(find._asdict())
    outcomes = []
    for number, (image_id, rows) in enumerate(places.items(), 1):
        report(f"fetching image {number} of {len(places)}")
        outcomes.append(fetch_first(image_id, rows, str(config.extract), config.storage))
    return (
        tuple(outcome for outcome in outcomes if isinstance(outcome, Fetched)),
        tuple(outcome for outcome in outcomes if isinstance(outcome, Lost)),
    )


def _gallery(where: Embedded) -> Gallery | None:
    from causalprint.models.bundles.gallery import read_gallery

    return None if where.bundle is None else read_gallery(where.bundle)


def _basis(where: Embedded, gallery: Gallery | None) -> str:
    if gallery is not None and len(set(gallery.source.tolist())) > 1:
        return (
            f"false matches: share of pairs of images of different sources, of the {len(gallery.source):,} that the bundle "
            "keeps, that are so similar; the bundle learned from them, so that others are alike more often"
        )
    bundle = where.output.bundle_id if where.bundle is None else where.bundle.bundle_id
    return f"false matches: not known, for {bundle} keeps no fingerprints of images of different sources"
