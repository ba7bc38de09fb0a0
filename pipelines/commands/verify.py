"""The command that compares an audit's output with what it says of itself, and signs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.console import new_table
from causalprint.pipelines.errors import ExitCode
from causalprint.schemas.config import NO_OPTIONS, PASSWORD_VARIABLE, StorageOptions
from causalprint.schemas.options import RUNS, Command, Option, OptionError, argument

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
    sign: Annotated[
        Path | None,
        Option(
            "Sign the manifest of the newest run by each bundle with this private key (PEM: Ed25519, ECDSA or RSA), once every "
            f"file was read and nothing is wrong. ${PASSWORD_VARIABLE} opens a key that has a password.",
            "KEY",
            RUNS,
        ),
    ] = None
    key: Annotated[
        tuple[Path, ...],
        Option(
            "Check signatures with this public key (PEM), and that every row was vouched for by it; may be given again.",
            "KEY",
            RUNS,
        ),
    ] = ()
    timestamp: Annotated[str | None, Option("With --sign, ask this server (RFC 3161) to state the time.", "URL", RUNS)] = None
    timestamp_root: Annotated[
        Path | None, Option("Check time stamps with the certificates in this file (PEM).", "FILE", RUNS)
    ] = None
    storage: StorageOptions = NO_OPTIONS

    def __post_init__(self) -> None:
        Command.__post_init__(self)  # super() finds no class that slots were added to
        if self.timestamp is not None and self.sign is None:
            raise OptionError("--timestamp is asked for a new signature: give --sign KEY with it")
        if self.sign is not None and self.repair:
            raise OptionError("--repair leaves something to compute again: sign once the next audit has done so")

    @property
    def reads_all(self) -> bool:
        """Whether every byte is compared: a signature vouches for all of them."""
        return bool(self.deep or self.sign or self.key)


@command(VerifyConfig, again="the same command begins again")
def verify(config: VerifyConfig, session: Session) -> int:
    """Check that an audit's output is what it says of itself: every file, its size, and with --deep its bytes.

    It names what is missing, damaged or left over, and exits with 3 where anything is. --sign and --key read every file.
    """
    from causalprint.pipelines.signing import sign_runs, trust_of
    from causalprint.transforms.tables import verify as tables

    with session.log.status("comparing"):
        found = tables.verify(config.output, config.storage, deep=config.reads_all, repair=config.repair, trust=trust_of(config))
        if config.sign is not None:
            found = sign_runs(config, found)
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
    for one in found.signatures:
        said = "its key was checked" if one.checked else "not checked: give --key with the public key"
        when = "" if one.time is None else f", at {one.time}" + ("" if one.time_checked else ", which no --timestamp-root proves")
        out.print(f"run {one.run_id} was signed by key {one.keyid[:16]}…{when}: {said}", soft_wrap=True)
    if found.removed:
        out.print("next: the same audit again, to compute what was removed", soft_wrap=True)
    elif any(one.kind != "unsigned" for one in found.findings):
        out.print(f"next: causalprint verify {found.output} --repair, and the same audit again", soft_wrap=True)
