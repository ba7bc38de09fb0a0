"""The command that rewrites an output's many small files into few large ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.console import new_table
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import DATA, RUNS, Command, Option, argument

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.compact import CompactReport


@dataclass(frozen=True, slots=True)
class CompactConfig(Command):
    """What is to be rewritten, and how."""

    NAME = "compact"

    output: Annotated[str, argument("An audit's output: a folder, s3://… or gs://… No audit may be writing to it.", "OUT")]
    pack_bytes: Annotated[int, Option("Let the files of a pack have so many bytes together.", "N", DATA, least=1)] = 256 * 1024**2
    keep_seconds: Annotated[
        float, Option("Keep replaced files so long, for whoever has listed or opened them.", "S", RUNS, least=0)
    ] = 60.0
    storage: StorageOptions = NO_OPTIONS


@command(CompactConfig, again="the same command goes on from there")
def compact(config: CompactConfig, session: Session) -> int:
    """Rewrite an audit's committed slices into few large files, sorted by shard, with all receipts and accounts kept.

    Views show every row once all the while. The same command finishes what was stopped.
    """
    from causalprint.pipelines import compact as outputs

    with session.log.status("compacting") as status:
        found = outputs.compact(config, status.update)
    return session.present(found, show)


def show(found: CompactReport, out: Console) -> None:
    """Prints how many files there were and are."""
    table = new_table("bundle", numbers=("files before", "now", "packs written"))
    for each in found.bundles:
        table.add_row(each.bundle_id, f"{each.before:,}", f"{each.after:,}", f"{each.packs:,}")
    out.print(table)
    if found.signed:
        out.print(
            f"signed runs do not vouch for the packs: sign again with causalprint verify {found.output} --sign KEY",
            soft_wrap=True,
        )
