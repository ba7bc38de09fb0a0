"""The command that audits."""

from __future__ import annotations

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.schemas.config import AuditConfig


@command(AuditConfig)
def audit(config: AuditConfig, session: Session) -> int:
    """Audit image shards: write who made each image, with the evidence, to Parquet tables.

    The same command resumes an audit that was stopped, and reads only what is new in one that was finished. Options for Beam
    follow two dashes: causalprint audit … -- --direct_num_workers=4
    """
    from causalprint.pipelines.commands.actions import run_audit
    from causalprint.pipelines.report import print_report

    found = run_audit(config, session)
    session.present(found, print_report)
    return found.exit_code
