"""What each command does, once its arguments are values. Imported when a command runs, not when one asks for help."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from causalprint.pipelines.audit import execute, plan
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.commands.show import as_json, show
from causalprint.pipelines.demo import TruthRow, compare, demo_config, print_truth
from causalprint.pipelines.inspect import summarise
from causalprint.pipelines.progress import display, follow, watched
from causalprint.pipelines.report import AuditReport, print_report, report
from causalprint.pipelines.runners import RUNNERS, ships_package
from causalprint.schemas.config import AuditConfig, Storage
from causalprint.schemas.records import to_json


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What ``demo --json`` prints: the audit, and its verdicts beside the truth, a row a true source."""

    audit: AuditReport
    truth: tuple[TruthRow, ...]


def audit(config: AuditConfig, session: Session) -> int:
    """Runs an audit and reports on it; returns its exit code."""
    found = run_audit(config, session)
    if session.as_json:
        session.answer(to_json(found))
    else:
        print_report(found, session.out)
    return found.exit_code


def demo(output: Path, session: Session) -> int:
    """Builds the demo's shards where they are not there yet, audits them, and sets the verdicts beside the truth."""
    from causalprint.pipelines.shards.demo import build_shards

    config = demo_config(output)
    with session.log.status("making images"):
        build_shards(Path(config.inputs[0]))
    found = run_audit(config, session)
    truth = compare(Path(found.output), found.bundle_id)
    if session.as_json:
        session.answer(to_json(DemoReport(found, tuple(truth))))
    else:
        print_report(found, session.out)
        print_truth(truth, session.out)
    return found.exit_code


def inspect(what: str, storage: Storage, session: Session) -> int:
    """Shows what lies at ``what``."""
    found = summarise(what, storage)
    if session.as_json:
        session.answer(as_json(found))
    else:
        show(found, session.out)
    return 0


def run_audit(config: AuditConfig, session: Session) -> AuditReport:
    """Runs an audit, with its progress on standard error."""
    began = time.monotonic()
    local = RUNNERS[config.runner].local
    if not local and not ships_package(config.beam_options):
        hint = "workers must have causalprint installed; without an image that has it, add -- --setup_file=./setup.py"
        session.log.print(f"causalprint: {hint}", soft_wrap=True)
    with session.log.status("looking at the input"):
        planned = plan(config)
    with watched(planned.shards, local=local) as follower:
        manifest = follow(lambda: execute(planned), follower, display(session.log))
    return report(manifest, time.monotonic() - began)
