"""How much of an audit's images is generated, and by whom, with what is not known about it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from causalprint.pipelines.shares.bundle import AuditBundle, audit_bundle
from causalprint.pipelines.shares.drawn import DrawnCells, drawn_cells
from causalprint.pipelines.shares.groups import Groups, find_groups
from causalprint.pipelines.shares.labelled import LabelledRows, labelled_rows
from causalprint.pipelines.shares.labels import Labels, read_labels
from causalprint.pipelines.shares.scores import batches
from causalprint.schemas.config import NO_OPTIONS, Storage
from causalprint.schemas.prevalence import ALL, FOLDER, PREVALENCE, Method, PrevalenceReport, PrevalenceRow, What
from causalprint.schemas.reasons import Abstention, Verdict

if TYPE_CHECKING:
    from causalprint.models.prevalence import ByShard, Calibration, Moments
    from causalprint.models.statistics.clusters import Clustered
    from causalprint.pipelines.open_audit import AuditTables
    from causalprint.schemas.arrays import Doubles

GENERATED, REAL, GRAPHIC = "generated", "real", "graphic"
NO_CALIBRATION = "nothing tells how often the bundle errs, so the interval counts sampling alone: give --evaluation, or --labels"


class PrevalenceError(ValueError):
    """These shares cannot be told; the message says why, and what to give."""


class Target(NamedTuple):
    """What a share is asked of: its name, and the sources that it is of; ``None`` are all generators."""

    what: What
    name: str
    members: tuple[str, ...] | None


def prevalence_of(
    output: str,
    storage: Storage = NO_OPTIONS,
    *,
    by: str = ALL,
    bundle: str | None = None,
    evaluation: str | None = None,
    labels: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> PrevalenceReport:
    """Shares of what is generated, of each source and each family, of all images and of each group.

    Args:
        output: root of the audit.
        storage: fsspec options.
        by: ``all``, ``shard``, ``domain``, ``year``, a column of view ``findings`` or a key of the sidecars.
        bundle: folder of the bundle whose verdicts they are; by default what the last run says.
        evaluation: output of ``causalprint evaluate``, whose images tell the bundle's errors in place of its own held-out ones.
        labels: file of labels, as ``causalprint sample`` writes it.
        report: told what is being done.

    Raises:
        PrevalenceError: there is nothing to estimate from, or what was given does not fit the audit.
        OpenAuditError: there is no audit.
    """
    from causalprint.pipelines.open_audit import open_audit

    asked = audit_bundle(output, storage, bundle, evaluation)
    truth = None if labels is None else read_labels(labels, storage)
    rows: list[PrevalenceRow] = []
    with open_audit(output, storage_options=storage.options) as tables:
        for each in (ALL,) if by == ALL else (ALL, by):
            report(f"shares by {each}")
            rows += _rows(tables, each, asked, truth)
    if not rows:
        raise PrevalenceError(f"no image of {output} has a score by {asked.bundle_id}, so that there is no share to tell")
    calibration = asked.calibration
    return PrevalenceReport(
        output,
        asked.bundle_id,
        None if calibration is None else calibration.digest,
        "nothing" if calibration is None else calibration.about,
        None if truth is None else truth.digest,
        tuple(rows),
    )


def write_prevalence(found: PrevalenceReport, root: str, storage: Storage = NO_OPTIONS) -> PrevalenceReport:
    """Puts the rows into ``prevalence/bundle=<id>/<by>.parquet`` below ``root``: the same bytes for the same rows."""
    import pyarrow.parquet as pq

    from causalprint.transforms.tables.output import put

    about = {"bundle_id": found.bundle, "calibration": found.calibration or "", "labels": found.labels or ""}
    schema = PREVALENCE.with_metadata({**PREVALENCE.metadata, **{key: value.encode() for key, value in about.items()}})
    columns = [pa.array([row[place] for row in found.rows], field.type) for place, field in enumerate(schema)]
    sink = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), sink, compression="zstd")
    by = found.rows[-1].group_by if found.rows else ALL
    plain = by if by.replace("_", "").replace("-", "").isalnum() else hashlib.sha256(by.encode()).hexdigest()[:12]
    path = f"{FOLDER}/bundle={found.bundle}/{plain}.parquet"
    put(root, path, sink.getvalue(), storage)
    return found._replace(file=f"{root.rstrip('/')}/{path}")


def _rows(tables: AuditTables, by: str, asked: AuditBundle, truth: Labels | None) -> Iterator[PrevalenceRow]:
    groups = find_groups(tables, by, asked.bundle_id)
    drawn = drawn_cells(tables, groups)
    counts = _counted(tables, groups, drawn)
    targets = _targets(asked, counts)
    scores = _scores(tables, groups, asked, drawn)
    labelled = None if truth is None else labelled_rows(tables, groups, asked, truth)
    answers = [_shares(target, groups, counts, scores, asked, labelled) for target in targets]
    for place in np.flatnonzero(counts.images).tolist():
        for rows in answers:
            yield rows[place]


class _Counts(NamedTuple):
    """Images of the groups, (G,): with scores, without, and by what a verdict says.

    ``said`` is of the cells, (P,), where shards were drawn.
    """

    images: Doubles
    unscored: Doubles
    said: Mapping[tuple[str, str], Doubles]
    drawn: DrawnCells | None

    def of(self, target: Target) -> Doubles:
        """Images of which a verdict says so."""
        said = self.said.get((target.what, target.name))
        if said is None:
            return np.zeros_like(self.images)
        return said if self.drawn is None else self.drawn.summed(said, len(self.images))

    def clustered(self, target: Target) -> Clustered | None:
        """How the share of those varies with the shards."""
        from causalprint.models.statistics.clusters import clustered

        if self.drawn is None:
            return None
        none = np.zeros_like(self.drawn.cells.images)
        return clustered(self.drawn.cells, self.said.get((target.what, target.name), none), len(self.images))


def _counted(tables: AuditTables, groups: Groups, drawn: DrawnCells | None) -> _Counts:
    size = len(groups.names)
    places = size if drawn is None else len(drawn.keys)
    images, unscored, said = np.zeros(size), np.zeros(size), dict[tuple[str, str], "Doubles"]()
    query = f"""
        SELECT {groups.place} AS place, verdict, source, family, reason, log_likelihood_ratio IS NOT NULL AS scored,
               {"NULL" if drawn is None else "shard"} AS shard, count(*) AS images
        FROM {groups.rows} GROUP BY ALL
    """  # noqa: S608 - names of groups are quoted
    rows = tables.sql(query).rows()
    cells = np.array([row["place"] for row in rows], np.int64)
    if drawn is not None:
        cells = drawn.of(cells, pa.array([row["shard"] for row in rows], pa.string()))
    for row, cell in zip(rows, cells.tolist(), strict=True):
        place, number = row["place"], row["images"]
        (images if row["scored"] else unscored)[place] += number
        if not row["scored"]:
            continue
        verdict = row["verdict"]
        keys = [(What.SOURCE, verdict)] if verdict in (REAL, GRAPHIC) else []
        if verdict in (Verdict.KNOWN, Verdict.UNKNOWN) or row["reason"] == Abstention.NO_SOURCE:
            keys.append((What.GENERATED, GENERATED))
        keys += [(What.SOURCE, row["source"])] if row["source"] else []
        keys += [(What.FAMILY, row["family"])] if row["family"] else []
        for key in keys:
            said.setdefault(key, np.zeros(places))[cell] += number
    return _Counts(images, unscored, said, drawn)


def _targets(asked: AuditBundle, counts: _Counts) -> list[Target]:
    """All generators, then photographs and graphics, then each generator that may be named, and each family."""
    targets = [Target(What.GENERATED, GENERATED, None)]
    manifest = asked.manifest
    if manifest is None:
        return [*targets, *(Target(What(what), name, ()) for what, name in sorted(counts.said) if what != What.GENERATED)]
    named = [name for name, registered in zip(manifest.sources, manifest.registered, strict=True) if registered]
    targets += [Target(What.SOURCE, name, (name,)) for name in (REAL, GRAPHIC) if name in manifest.sources]
    targets += [Target(What.SOURCE, name, (name,)) for name in (*named, *(one.name for one in manifest.enrolled))]
    return [*targets, *(Target(What.FAMILY, one.name, one.members) for one in manifest.families)]


class _Scored(NamedTuple):
    """What the bundle says of the groups' images, and of those of each shard where shards were drawn."""

    moments: Moments
    by_shard: ByShard | None


def _scores(tables: AuditTables, groups: Groups, asked: AuditBundle, drawn: DrawnCells | None) -> _Scored | None:
    from causalprint.models.prevalence import ByShard, Moments

    if asked.manifest is None:
        return None
    names = asked.manifest.sources
    found = Moments.none(len(groups.names), len(names))
    by_shard = None if drawn is None else ByShard(drawn.cells, np.zeros((len(drawn.keys), len(names))))
    query = f"SELECT {groups.place} AS place, shard, log_likelihood_ratio, candidates FROM {groups.rows}"  # noqa: S608
    for batch, probabilities, scored in batches(tables, query, names, asked.prior):
        place = batch.column("place").to_numpy(zero_copy_only=False)[scored].astype(np.int64)
        found.add(probabilities, place)
        if drawn is not None and by_shard is not None:
            np.add.at(by_shard.total, drawn.of(place, batch.column("shard").filter(scored)), probabilities)
    return _Scored(found, by_shard)


def _shares(
    target: Target,
    groups: Groups,
    counts: _Counts,
    scores: _Scored | None,
    asked: AuditBundle,
    labelled: LabelledRows | None,
) -> list[PrevalenceRow]:
    """A row a group."""
    from causalprint.models.prevalence import FEW_IMAGES, FEW_ORIGINS, FEW_SHARDS, HALF_WIDTH, WIDE, estimate
    from causalprint.models.statistics.intervals import unified_count

    said, base = counts.of(target), np.maximum(counts.images, 1)
    calibration: Calibration | None = asked.calibration
    found = (
        None
        if calibration is None or scores is None
        else estimate(scores.moments, calibration, target.members, groups.origins, scores.by_shard)
    )
    clustered = counts.clustered(target)
    if found is None or not found.origins:
        share = said / base
        low, high = unified_count(share, base, clustered)
        method, needed = Method.COUNTED, [0] * len(base)
        unknown = f"the held-out images do not tell how {target.name} scores, so verdicts are counted, false ones too"
        why = [NO_CALIBRATION if found is None else unknown] * len(base)
    else:
        method, (share, low, high), needed = Method.CORRECTED, found[:3], found.labels.tolist()
        few = f"it rests on {found.origins} origin{'s' * (found.origins > 1)} of held-out images, fewer than {FEW_ORIGINS}"
        alike = f"its scores hardly tell {target.name} from all else" if found.weak else ""
        fine = alike or (few if found.origins < FEW_ORIGINS else "")
        why = ["its scores are such as no mixture of the held-out images has" if out else fine for out in found.outside]
    rows = []
    for place, name in enumerate(groups.names):
        row = PrevalenceRow(
            groups.by,
            name,
            target.what,
            target.name,
            int(counts.images[place]),
            int(counts.unscored[place]),
            0,
            round(float(said[place] / base[place]), 6),
            _rounded(share[place]),
            _rounded(low[place]),
            _rounded(high[place]),
            method,
            useless=False,
            why=why[place] or None,
            labels_needed=needed[place] or None,
        )
        if labelled is not None and scores is not None:
            row = _with_labels(row, target, place, labelled, scores, asked, counts.drawn)
        if clustered is not None and clustered.half_width[place] > HALF_WIDTH:
            row = row._replace(labels_needed=None)
        if row.why is None and row.images < FEW_IMAGES:
            row = row._replace(why=f"it has fewer than {FEW_IMAGES} images")
        if row.why is None and clustered is not None and clustered.largest[place] > 1 / FEW_SHARDS:
            row = row._replace(why=f"its images are of fewer than {FEW_SHARDS} drawn shards, were they alike")
        if row.why is None and row.high - row.low > WIDE:
            row = row._replace(why=f"the interval is wider than {WIDE}")
        rows.append(row._replace(useless=row.why is not None))
    return rows


def _with_labels(
    row: PrevalenceRow,
    target: Target,
    place: int,
    labelled: LabelledRows,
    scores: _Scored,
    asked: AuditBundle,
    drawn: DrawnCells | None,
) -> PrevalenceRow:
    """The row by labels, where its group has some and they say what is asked."""
    from causalprint.models.bundles.manifest import are_generators
    from causalprint.models.prevalence import HALF_WIDTH
    from causalprint.models.statistics.prediction_powered import Labelled, LabelledShards, labelled_share

    assert asked.manifest is not None
    moments = scores.moments
    names = np.array(asked.manifest.sources)
    mine = labelled.place == place
    label = labelled.label[mine]
    made = np.array(are_generators(label.tolist()))
    unnamed = target.members is not None and not {REAL, GRAPHIC} & set(target.members) and (label == GENERATED).any()
    if mine.sum() < LEAST_LABELLED or unnamed:
        return row
    members = np.array(are_generators(names.tolist())) if target.members is None else np.isin(names, target.members)
    sample = Labelled(
        made if target.members is None else np.isin(label, target.members),
        labelled.probabilities[mine] @ members.astype(np.float64),
        labelled.weight[mine],
        labelled.stratum[mine],
        float(moments.total[place] @ members) / max(int(moments.images[place]), 1),
        int(moments.images[place]),
    )
    shards = None
    if drawn is not None and scores.by_shard is not None:
        cells, kept = drawn.within(place)
        of_all = drawn.of(labelled.place[mine], pa.array(labelled.shard[mine].tolist(), pa.string()))
        shards = LabelledShards(cells, scores.by_shard.total[kept] @ members, np.searchsorted(kept, of_all))
    found = labelled_share(sample, shards)
    width = (found.high - found.low) / 2
    more = None if width <= HALF_WIDTH else int(np.ceil(len(label) * (width / HALF_WIDTH) ** 2 / 10) * 10)
    return row._replace(
        labelled=len(label),
        share=_rounded(found.value),
        low=_rounded(found.low),
        high=_rounded(found.high),
        method=Method.LABELLED,
        why=None,
        labels_needed=more,
    )


LEAST_LABELLED = 20
"""Labelled images of a group with which labels say more than the bundle."""


def _rounded(value: float) -> float:
    return round(float(value), 6)
