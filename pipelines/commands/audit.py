"""The command that audits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.schemas.config import AuditConfig

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.report import AuditReport


@command(AuditConfig)
def audit(config: AuditConfig, session: Session) -> int:
    """Audit image shards: write who made each image, with the evidence, to Parquet tables.

    The same command resumes an audit that was stopped, and reads only what is new in one that was finished. Options for Beam
    follow two dashes: causalprint audit … -- --direct_num_workers=4. An audit of fewer than 50 images prints a row an image.
    """
    from causalprint.pipelines.commands.actions import run_audit
    from causalprint.pipelines.few_images import FEW, image_rows, print_images
    from causalprint.pipelines.open_audit import open_audit
    from causalprint.pipelines.report import print_report

    report, planned = run_audit(config, session)

    def show(report: AuditReport, out: Console) -> None:
        if 0 < report.seen < FEW:
            with open_audit(config.output, storage_options=config.storage.options) as tables:
                print_images(image_rows(tables, planned.shards, report.bundle_id), out)
        print_report(report, out)

    session.present(report, show)
    return report.exit_code
