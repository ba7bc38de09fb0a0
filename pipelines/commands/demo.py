"""The command that audits what it makes itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.schemas.options import Command, output

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.demo import TruthRow
    from causalprint.pipelines.report import AuditReport


@dataclass(frozen=True, slots=True)
class DemoConfig(Command):
    """One demo."""

    NAME = "demo"

    output: Annotated[Path, output("Write the demo's shards and its tables to this folder.")] = Path("demo")


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What ``demo --json`` prints: the audit, and its verdicts beside the truth, a row a true source."""

    audit: AuditReport
    truth: tuple[TruthRow, ...]


@command(DemoConfig)
def demo(config: DemoConfig, session: Session) -> int:
    """Audit real photographs and images that real generative models make on the spot; show the verdicts beside the truth."""
    from causalprint.pipelines.commands.actions import run_audit
    from causalprint.pipelines.demo import compare, demo_config
    from causalprint.pipelines.shards.demo import build_shards

    asked = demo_config(config.output)
    with session.log.status("making images"):
        build_shards(Path(asked.inputs[0]))
    found, _ = run_audit(asked, session)
    session.present(DemoReport(found, tuple(compare(Path(found.output), found.bundle_id))), _print)
    return found.exit_code


def _print(found: DemoReport, out: Console) -> None:
    from causalprint.pipelines.demo import print_truth
    from causalprint.pipelines.report import print_report

    print_report(found.audit, out)
    print_truth(found.truth, out)
