"""An audit, with its progress on standard error. Imported when a command runs, not when one asks for help."""

from __future__ import annotations

import time

from causalprint.pipelines.audit import Plan, execute, plan
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.progress import display, follow, watched
from causalprint.pipelines.report import AuditReport, report
from causalprint.pipelines.runners import RUNNERS, ships_package
from causalprint.schemas.config import AuditConfig


def run_audit(config: AuditConfig, session: Session) -> tuple[AuditReport, Plan]:
    """Runs an audit, with its progress on standard error; what it came to, and what was planned."""
    began = time.monotonic()
    local = RUNNERS[config.runner].local
    if not local and not ships_package(config.beam_options):
        hint = "workers must have causalprint installed; without an image that has it, add -- --setup_file=./setup.py"
        session.log.print(f"causalprint: {hint}", soft_wrap=True)
    with session.log.status("looking at the input"):
        planned = plan(config)
    with watched(planned.shards, local=local) as follower:
        manifest = follow(lambda: execute(planned), follower, display(session.log))
    return report(manifest, time.monotonic() - began), planned
