"""The command that audits; every image of a small audit is shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from causalprint.pipelines.audit import Plan, execute, plan, write_template
from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.console import new_table
from causalprint.pipelines.dataflow import template_location
from causalprint.pipelines.forecast import forecast
from causalprint.pipelines.forecast import show as show_forecast
from causalprint.pipelines.importing import import_at_once
from causalprint.pipelines.outside import told_outside
from causalprint.pipelines.progress import Elsewhere, display, follow, watched
from causalprint.pipelines.report import AuditReport, print_report, report
from causalprint.pipelines.runners import RUNNERS, RunnerError
from causalprint.schemas.config import AuditConfig
from causalprint.schemas.elements import Shard

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.open_audit import AuditTables
    from causalprint.schemas.cascade import Tier
    from causalprint.schemas.runs import RunManifest

FEW = 50
"""An audit of fewer images than this is shown image by image."""


class WrittenTemplate(NamedTuple):
    """The object that ``audit --json`` prints where it had a template of Dataflow written."""

    template: str

    def __str__(self) -> str:
        return f"the template is written, and nothing runs yet: {self.template}"


@command(AuditConfig)
def audit(config: AuditConfig, session: Session) -> int:
    """Audit image shards: write who made each image, with the evidence, to Parquet tables.

    The same command resumes an audit that was stopped, and reads only what is new in one that was finished. Options for Beam
    follow two dashes: causalprint audit … -- --direct_num_workers=4. An audit of fewer than 50 images prints a row an image.
    """
    if RUNNERS[config.runner].local:
        import_at_once("apache_beam", "causalprint.transforms.compute_fingerprints", "causalprint.transforms.process_shards")
    if config.dry_run:
        with session.log.status("computing a few images"):
            foreseen = forecast(plan(config))
        return session.present(foreseen, show_forecast)
    if location := template_location(config):
        if config.cascade:
            raise RunnerError("a template holds one job: leave out --cascade, whose tiers are planned when the audit has ended")
        write_template(plan(config))
        return session.present(WrittenTemplate(location), lambda found, out: out.print(str(found), soft_wrap=True))
    with told_outside(config, session.warn) as tell:
        found, planned = run_audit(config, session)
        tell(found)

    def show(found: AuditReport, out: Console) -> None:
        from causalprint.pipelines.open_audit import open_audit

        if 0 < found.seen < FEW:
            with open_audit(config.output, storage_options=config.storage.options) as tables:
                _print_images(tables, planned.shards, out)
        print_report(found, out)

    session.present(found, show)
    return found.exit_code


def run_audit(config: AuditConfig, session: Session) -> tuple[AuditReport, Plan]:
    """Runs an audit and its further tiers, with progress on standard error; what it came to, and what was planned."""
    began = time.monotonic()
    with session.log.status("looking at the input"):
        planned = plan(config)

    manifest = _watched(planned, lambda: execute(planned), session)
    tiers: tuple[Tier, ...] = ()
    if config.cascade:
        from causalprint.pipelines.cascade import cascade, execute_tier

        tiers = cascade(planned, lambda tier: _watched(tier.audit, lambda: execute_tier(tier), session))
    from causalprint.pipelines.audit_views import audit_now

    return report(manifest, audit_now(config.output, config.storage), time.monotonic() - began, tiers), planned


def _watched(planned: Plan, run: Callable[[], RunManifest], session: Session) -> RunManifest:
    """What a run ends with, whose progress is shown."""
    config = planned.config
    elsewhere = None if RUNNERS[config.runner].local else Elsewhere(config.output, planned.run.run_id, config.storage)
    with watched(planned.shards, elsewhere) as follower, display(session.log) as show:
        return follow(run, follower, show, session.warn)


def _print_images(tables: AuditTables, shards: Sequence[Shard], out: Console) -> None:
    """A row for every image of ``shards``, as the audit has them now, by shard and place in it.

    It says the verdict, or that the image was rejected, with the reason; and the likeliest source, whatever the verdict.
    """
    uris = ", ".join("'{}'".format(shard.uri.replace("'", "''")) for shard in shards)
    query = f"""
        WITH everything AS (
                 SELECT shard, "offset", member, verdict, candidates[1].source AS candidate, probability, reason
                 FROM current_attributions
                 UNION ALL
                 SELECT shard, "offset", member, 'rejected', NULL, NULL, reason FROM current_rejects
             )
        SELECT member, concat_ws(': ', verdict, reason) AS verdict, coalesce(candidate, '') AS candidate, probability
        FROM everything
        WHERE shard IN ({uris})
        ORDER BY shard, "offset", member
    """  # noqa: S608 - quoted
    table = new_table("image", "verdict", "most likely", numbers=("prob.",))
    table.columns[2].no_wrap = True  # the other two can be folded and still be read
    for row in tables.sql(query).rows():
        probability = "" if row["probability"] is None else f"{row['probability']:.2f}"
        table.add_row(row["member"], row["verdict"], row["candidate"], probability)
    out.print(table)
