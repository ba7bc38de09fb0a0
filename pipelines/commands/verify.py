"""The command that compares an audit's output with what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.console import new_table
from causalprint.pipelines.errors import ExitCode
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import RUNS, Command, Option, argument

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.transforms.tables.verify import Verification

SHOWN = 100
"""Findings that are printed; --json has them all."""


@dataclass(frozen=True, slots=True)
class VerifyConfig(Command):
    """One comparison."""

    NAME = "verify"

    output: Annotated[str, argument("An audit's output: a folder, s3://… or gs://… No audit may be writing to it.", "OUT")]
    deep: Annotated[bool, Option("Read every file, and compare its digest and its number of rows.", panel=RUNS)] = False
    repair: Annotated[
        bool,
        Option(
            "Remove what is damaged and what no audit wrote, so that the next audit computes it again; sound files stay.",
            panel=RUNS,
        ),
    ] = False
    storage: StorageOptions = NO_OPTIONS


@command(VerifyConfig, again="the same command begins again")
def verify(config: VerifyConfig, session: Session) -> int:
    """Check that an audit's output is what it says of itself: every file, its size, and with --deep its bytes.

    It names what is missing, damaged or left over, and exits with 3 where anything is.
    """
    from causalprint.transforms.tables import verify as tables

    with session.log.status("comparing"):
        found = tables.verify(config.output, config.storage, deep=config.deep, repair=config.repair)
    session.present(found, show)
    return ExitCode.INCOMPLETE if tables.needs_audit(found) else ExitCode.COMPLETE


def show(found: Verification, out: Console) -> None:
    """Prints what was found."""
    if found.findings:
        table = new_table("what", "file", "why")
        for finding in found.findings[:SHOWN]:
            table.add_row(finding.kind, finding.path, finding.detail)
        out.print(table)
    if len(found.findings) > SHOWN:
        out.print(f"and {len(found.findings) - SHOWN:,} more; --json names them all", soft_wrap=True)
    for path in found.removed:
        out.print(f"removed {path}", soft_wrap=True)
    if found.unverified:
        out.print(f"{found.unverified:,} files by an earlier version hold no digest of themselves: not verified", soft_wrap=True)
    compared = "digests, rows, sizes and counts" if found.deep else "sizes and counts"
    out.print(
        f"{found.files:,} files of {found.slices:,} slices, {found.shards:,} shards and {found.runs:,} runs: compared "
        f"{compared}, {len(found.findings):,} found wrong",
        soft_wrap=True,
    )
    if found.slices and not found.runs:
        out.print(
            "no run has finished here, or its manifest was removed, so what should be there is known of slices and shards alone; "
            "the same audit again writes one",
            soft_wrap=True,
        )
    if found.removed:
        out.print("next: the same audit again, to compute what was removed", soft_wrap=True)
    elif found.findings:
        out.print(f"next: causalprint verify {found.output} --repair, and the same audit again", soft_wrap=True)
