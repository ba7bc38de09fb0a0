"""Further tiers after an audit: other bundles on what those before them do not decide, and on a control share of all images.

A tier is planned when the one before has ended. What it computes goes to an output of its own below the audit's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from causalprint.pipelines.audit import Plan, compute, plan
from causalprint.pipelines.cascaded import TierRows, cascaded
from causalprint.pipelines.dataflow import resource_hints
from causalprint.pipelines.execution import run_to_manifest
from causalprint.pipelines.forecast import SAMPLED_IMAGES, SAMPLED_SHARDS, measure, threads_at_work
from causalprint.pipelines.open_audit import open_audit
from causalprint.schemas.cascade import TIERS, Disagreement, Tier, first_turns, turn_of
from causalprint.schemas.config import AuditConfig, Slicing
from causalprint.schemas.elements import Place
from causalprint.schemas.runs import RunManifest

if TYPE_CHECKING:
    import pyarrow as pa
    from apache_beam import Pipeline
    from apache_beam.pvalue import PCollection

    from causalprint.pipelines.forecast import Speed
    from causalprint.pipelines.open_audit import AuditTables
    from causalprint.schemas.elements import ImageSlice
    from causalprint.transforms.compute_chosen import Chosen

PLANNED = 0.8
"""Of a budget so much is planned for: a forecast may be 25 % too low."""
MEASURING = 0.05
"""Of a budget no more is spent on measuring, a few images apart."""

_REACHABLE = """
    CREATE TEMP TABLE reachable AS
    SELECT image_id, {turn} AS turn, min(row(shard, "offset", member)) AS place, bool_or(decided_by IS NULL) AS undecided
    FROM ({before}) SEMI JOIN asked ON shard = uri
    GROUP BY image_id HAVING undecided OR turn < '{first}'
"""
"""Different images that a tier is for, each with its first place."""
_WAITING = """
    CREATE TEMP TABLE waiting AS FROM reachable ANTI JOIN (
        SELECT image_id FROM {tier}.attributions WHERE bundle = '{bundle}'
        UNION ALL SELECT image_id FROM {tier}.rejects WHERE bundle = '{bundle}' AND image_id IS NOT NULL
    ) USING (image_id)
"""
_PLACES = """
    SELECT place[1] AS shard, list(place[3] ORDER BY place) AS members, list(place[2] ORDER BY place) AS offsets
    FROM ({images}) GROUP BY ALL ORDER BY shard
"""
_TAKEN = "({0}.verdict IN ('known', 'unknown'))"
_DISAGREEMENT = f"""
    WITH before AS (FROM ({{before}}) WHERE decided_by = {{number}} AND {{turn}} < '{{first}}'),
    sample AS (FROM {{rows}} SEMI JOIN before USING (image_id) WHERE verdict <> 'abstain')
    SELECT count(*) AS images,
           count(*) FILTER (t.verdict = 'abstain') AS abstains,
           count(*) FILTER (t.verdict <> 'abstain' AND (t.verdict, coalesce(t.source, t.family, ''))
                            <> (s.verdict, coalesce(s.source, s.family, ''))) AS differs,
           count(*) FILTER (t.verdict <> 'abstain' AND {_TAKEN.format("t")} <> {_TAKEN.format("s")}) AS crosses
    FROM sample s JOIN {{own}} t USING (image_id)
"""  # noqa: S608 - words of ours


class _Counts(NamedTuple):
    """Images that a tier is for, of these the ones that this run is to compute, and those that it leaves."""

    undecided: int
    control: int
    chosen: int
    left: int


@dataclass(frozen=True, slots=True)
class TierPlan:
    """A tier that was found possible.

    Attributes:
        rows: its number and its bundle.
        audit: what is asked of its output, as of an audit's: which run, which bundle, where to.
        chosen: the images that it computes.
        counts: of them, and of others.
        seconds_an_image: as measured; ``None`` without a budget.
    """

    rows: TierRows
    audit: Plan
    chosen: Chosen
    counts: _Counts
    seconds_an_image: float | None


def execute_tier(tier: TierPlan) -> RunManifest:
    """Runs one tier to its end; raises as :func:`~causalprint.pipelines.execution.run_to_manifest` does."""
    try:
        return run_to_manifest(tier.audit.run, lambda root: build(root, tier))
    finally:
        tier.chosen.remove(tier.audit.output)


def cascade(planned: Plan, execute: Callable[[TierPlan], RunManifest] = execute_tier) -> tuple[Tier, ...]:
    """Computes the further tiers of an audit that has ended, one after another.

    Args:
        planned: the audit.
        execute: runs a tier.

    Raises:
        Exception: as :func:`~causalprint.pipelines.audit.plan` and ``execute`` do.
    """
    config = planned.config
    left = None if config.budget is None else config.budget.seconds(threads_at_work(config))
    tiers: list[Tier] = []
    for waiting in range(len(config.cascade), 0, -1):
        began = time.monotonic()
        allowed = None if left is None else left / waiting
        tier = plan_tier(planned, len(tiers) + 2, allowed)
        manifest = execute(tier)
        spent = time.monotonic() - began
        left = None if left is None else max(0.0, left - spent)
        tiers.append(_close(planned, tier, manifest, allowed, spent))
    return tuple(tiers)


def plan_tier(planned: Plan, number: int, allowed: float | None = None) -> TierPlan:
    """Chooses the images of tier ``number``, for no more than ``allowed`` seconds by the clock, this planning included."""
    from causalprint.transforms.compute_chosen import Chosen
    from causalprint.transforms.match_shards import Matched
    from causalprint.transforms.tables.packs import pack_ids
    from causalprint.transforms.tables.unpack import unpack
    from causalprint.transforms.tables.write_tables import write_empty

    began = time.monotonic()
    shards = tuple(replace(shard, was=()) for shard in planned.shards)
    audit = plan(_config(planned, number), Matched(shards, ()))
    rows = TierRows(number, audit.run.bundle_id)
    write_empty(audit.output, audit.output.tables)  # from now on it has a view
    with open_audit(planned.config.output, storage_options=planned.config.storage.options) as tables:
        _ask(tables, planned)
        _find(tables, planned.config, rows)
        most, seconds = None, None
        if allowed is not None and (speed := _speed(tables, audit, MEASURING * allowed)):
            seconds = speed.seconds / max(1, speed.images)
            left = PLANNED * allowed - (time.monotonic() - began) - speed.start_seconds  # once more, in the workers
            most = max(0, int(left / seconds))
        first = first_turns(planned.config.control)
        images = f"FROM waiting ORDER BY turn >= '{first}', turn {'' if most is None else f'LIMIT {most}'}"
        places = tables.sql(_PLACES.format(images=images)).to_arrow()
        counts = _counts(tables, places)
    if pack_ids(audit.output):  # the account of a shard that is to grow cannot stay in a pack
        wanted = {*places.column("shard").to_pylist()}
        unpack(audit.output, [shard.shard_id(rows.bundle_id) for shard in shards if shard.uri in wanted])
    return TierPlan(rows, audit, Chosen.of(shards, places, audit.output, audit.run.run_id), counts, seconds)


def build(root: Pipeline, tier: TierPlan) -> PCollection[RunManifest]:
    """Adds a tier to the pipeline ``root``; its one result is the manifest, once that is written."""
    from causalprint.transforms.compute_chosen import ComputeChosen
    from causalprint.transforms.tables.write_manifest import WriteManifest

    audit = tier.audit
    chosen = ComputeChosen(tier.chosen, audit.output, audit.slicing, compute(audit))
    return root | chosen.with_resource_hints(**resource_hints(audit.config)) | WriteManifest(audit.run)


def _config(planned: Plan, number: int) -> AuditConfig:
    """What is asked of a tier's output."""
    config = planned.config
    return replace(
        config,
        output=f"{config.output.rstrip('/')}/{TIERS}/{number}",
        bundle=config.cascade[number - 2],
        residual=None,
        cascade=(),
        budget=None,
        slice_images=planned.slicing.images,
        slice_bytes=planned.slicing.bytes,
        retry_rejects=None,
        same_as=(),
        fail_if=(),
        metrics_file=None,
        openlineage=None,
    )


def _ask(tables: AuditTables, planned: Plan) -> None:
    """Adds the table ``asked``: the shards of the audit that has just ended."""
    import pyarrow as pa

    tables.add("asked", pa.table({"uri": pa.array([shard.uri for shard in planned.shards], pa.string())}))


def _find(tables: AuditTables, config: AuditConfig, rows: TierRows) -> None:
    """Makes the tables ``reachable`` and ``waiting``: the images that the tier is for, and those that it has not computed."""
    before = cascaded([one for one in tables.tiers if one.tier < rows.tier])
    turn, first = turn_of("image_id", config.seed), first_turns(config.control)
    tables.sql(_REACHABLE.format(before=before, turn=turn, first=first))
    tables.sql(_WAITING.format(tier=rows.schema, bundle=rows.bundle_id))


def _counts(tables: AuditTables, places: pa.Table) -> _Counts:
    ((undecided, control),) = tables.sql(
        "SELECT count(*) FILTER (undecided), count(*) FILTER (NOT undecided) FROM reachable"
    ).relation.fetchall()
    ((waiting,),) = tables.sql("SELECT count(*) FROM waiting").relation.fetchall()
    chosen = sum(map(len, places.column("members")))
    return _Counts(undecided, control, chosen, waiting - chosen)


def _speed(tables: AuditTables, audit: Plan, seconds: float) -> Speed | None:
    """Of the tier's bundle on a few of the images that wait; ``None`` where none does."""
    heads = list(_heads(tables, audit))
    return measure(audit, heads, threads_at_work(audit.config), seconds) if heads else None


def _heads(tables: AuditTables, audit: Plan) -> Iterator[ImageSlice]:
    from causalprint.transforms.formats.slices import read_slices

    shards = {shard.uri: shard for shard in audit.shards}
    some = f"SELECT DISTINCT place[1] AS uri FROM waiting ORDER BY sha256(uri) LIMIT {SAMPLED_SHARDS}"  # noqa: S608 - a number
    several = f"FROM waiting SEMI JOIN ({some}) ON place[1] = uri"
    rows = tables.sql(_PLACES.format(images=several)).rows()
    for row in rows:
        few = ceil(SAMPLED_IMAGES / len(rows))
        only = tuple(map(Place, row["members"][:few], row["offsets"][:few]))
        yield next(read_slices(shards[row["shard"]], audit.output.bundle_id, Slicing(few), audit.config.storage, only=only))


def _close(planned: Plan, tier: TierPlan, manifest: RunManifest, allowed: float | None, spent: float) -> Tier:
    """What a tier came to, which its manifest then says too."""
    from causalprint.pipelines.report import not_computed
    from causalprint.transforms.tables.write_manifest import add_tier

    rows, audit = tier.rows, tier.audit
    with open_audit(planned.config.output, storage_options=planned.config.storage.options) as tables:
        _ask(tables, planned)
        own = f"({cascaded([one for one in tables.tiers if one.tier <= rows.tier])})"
        asked = f"FROM {own} SEMI JOIN asked ON shard = uri WHERE decided_by = {rows.tier}"
        ((decided,),) = tables.sql(f"SELECT count(DISTINCT image_id) {asked}").relation.fetchall()
        disagreements = tuple(_disagreement(tables, planned, rows, number) for number in range(1, rows.tier))
    found = Tier(
        tier=rows.tier,
        bundle_id=rows.bundle_id,
        output=audit.config.output,
        run_id=audit.run.run_id,
        **tier.counts._asdict(),
        decided=decided,
        incomplete=manifest.totals.incomplete + bool(not_computed(manifest.totals.reasons)),
        seconds_an_image=tier.seconds_an_image,
        allowed_seconds=allowed,
        spent_seconds=round(spent, 3),
        disagreements=disagreements,
    )
    add_tier(manifest, found, planned.config.storage)
    return found


def _disagreement(tables: AuditTables, planned: Plan, rows: TierRows, number: int) -> Disagreement:
    """With tier ``number``, of which the images that were drawn from all are a random sample."""
    import numpy as np

    from causalprint.models.statistics.intervals import unified_count

    before = [one for one in tables.tiers if one.tier < rows.tier]
    earlier = next((one.rows for one in before if one.tier == number), "(SELECT DISTINCT ON (image_id) * FROM findings)")
    query = _DISAGREEMENT.format(
        before=f"FROM ({cascaded(before)}) SEMI JOIN asked ON shard = uri",
        number=number,
        turn=turn_of("image_id", planned.config.seed),
        first=first_turns(planned.config.control),
        rows=earlier,
        own=rows.rows,
    )
    ((images, abstains, differs, crosses),) = tables.sql(query).relation.fetchall()
    if not images:
        return Disagreement(number, 0, 0, 0, 0)
    share = differs / images
    low, high = unified_count(np.array([share]), np.array([float(images)]))
    return Disagreement(number, images, abstains, differs, crosses, share, float(low[0]), float(high[0]))
