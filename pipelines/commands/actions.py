"""An audit, with its progress on standard error. Imported when a command runs, not when one asks for help."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace

from causalprint.pipelines.audit import execute, plan
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.progress import Follower, display, follow
from causalprint.pipelines.report import AuditReport, report
from causalprint.pipelines.runners import RUNNERS, ships_package
from causalprint.schemas.config import AuditConfig


def run_audit(config: AuditConfig, session: Session) -> AuditReport:
    """Runs an audit, with its progress on standard error."""
    began = time.monotonic()
    local = RUNNERS[config.runner].local
    if not local and not ships_package(config.beam_options):
        hint = "workers must have causalprint installed; without an image that has it, add -- --setup_file=./setup.py"
        session.log.print(f"causalprint: {hint}", soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="causalprint-", ignore_cleanup_errors=True) as folder:
        with session.log.status("looking at the input"):
            planned = plan(replace(config, progress=folder if local else None))
        follower = Follower(folder, len(planned.shards), planned.shard_bytes)
        manifest = follow(lambda: execute(planned), follower, display(session.log))
    return report(manifest, time.monotonic() - began)
