"""The command that compares two audits, or two runs of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.console import new_table
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import DATA, Command, Option, argument

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.diff import Diff


@dataclass(frozen=True, slots=True)
class DiffConfig(Command):
    """One comparison."""

    NAME = "diff"

    audits: Annotated[tuple[str, ...], argument("The outputs of two audits, the earlier first; or one, with --runs.", "OUT")]
    runs: Annotated[
        tuple[str, ...],
        Option("Compare an audit as it was after this run with it after that run; give it twice.", "RUN", DATA),
    ] = ()
    output: Annotated[
        str | None,
        Option("Write every image that differs to this file: .parquet, .csv or .json.", "FILE", DATA, ("--output", "-o")),
    ] = None
    storage: StorageOptions = NO_OPTIONS


@command(DiffConfig, "the same command begins again")
def diff(config: DiffConfig, session: Session) -> int:
    """Compare two audits, or two runs of one: images that are new, gone, or of which something else is said.

    Images are told by their SHA-256, wherever they lie; rejected ones count too.
    """
    from causalprint.pipelines import diff as audits

    with session.log.status("comparing"):
        found = audits.diff(config)
    return session.present(found, show)


def show(found: Diff, out: Console) -> None:
    """Prints how many images differ, and how."""
    if found.divided:
        table = new_table("", "before", "after", numbers=("images",))
        for each in found.divided:
            table.add_row(each.difference, each.before or "", each.after or "", f"{each.images:,}")
        out.print(table)
    out.print(f"{found.new:,} images are new, {found.gone:,} gone, {found.changed:,} changed", soft_wrap=True)
    if found.output is not None:
        out.print(f"images: {found.output}", soft_wrap=True)
