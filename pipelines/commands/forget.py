"""The command that erases rows from an audit's output."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.console import new_table
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import DATA, RUNS, Command, Option, OptionError, argument

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.forget import ForgetReport

SHOWN = 10
"""Removed files that are printed; --json has them all."""


@dataclass(frozen=True, slots=True)
class ForgetConfig(Command):
    """What is to be erased."""

    NAME = "forget"

    output: Annotated[str, argument("An audit's output: a folder, s3://… or gs://… No audit may be writing to it.", "OUT")]
    shard: Annotated[
        tuple[str, ...],
        Option("Forget all images of this shard, as column `shard` names it; may be given again.", "URI", DATA),
    ] = ()
    image_id: Annotated[
        tuple[str, ...],
        Option(
            "Forget the image with this SHA-256, wherever it lies; @LIST forgets those of a file as match takes it. May be given "
            "again.",
            "ID",
            DATA,
        ),
    ] = ()
    bundle: Annotated[
        str | None,
        Option("Forget all that this bundle, by its id as `inspect` shows it, wrote: verdicts, runs, accounts.", "ID", DATA),
    ] = None
    dry_run: Annotated[bool, Option("Only say what would go.", panel=RUNS)] = False
    storage: StorageOptions = NO_OPTIONS

    def __post_init__(self) -> None:
        Command.__post_init__(self)  # super() finds no class that slots were added to
        if bool(self.bundle) == bool(self.shard or self.image_id):
            raise OptionError("give --shard or --image-id, or --bundle alone: one of them says what is to be forgotten")
        for one in self.image_id:
            if not re.fullmatch("[0-9a-f]{64}|@.+", one):
                raise OptionError(
                    f"--image-id is a SHA-256 in lower-case hex, 64 digits, as column image_id has it, or @LIST, not {one!r}"
                )


@command(ForgetConfig, again="the same command finishes it")
def forget(config: ForgetConfig, session: Session) -> int:
    """Erase images from an audit's output: their rows in all tables, with the accounts still closed.

    The same command finishes what was stopped. A shard that changes is read again as another version, and its images come back.
    """
    from causalprint.pipelines import forget as audits

    with session.log.status("forgetting"):
        found = audits.forget(config)
    return session.present(found, show)


def show(found: ForgetReport, out: Console) -> None:
    """Prints what went, and what is left to do."""
    bundles = [each for one in (found, *found.tiers) for each in one.bundles]
    if bundles:
        table = new_table("bundle", numbers=("shards", "slices", "images"))
        for each in bundles:
            table.add_row(each.bundle_id, f"{each.shards:,}", f"{each.slices:,}", f"{each.images:,}")
        out.print(table)
    for line in told(found):
        out.print(line, soft_wrap=True)


def told(found: ForgetReport) -> Iterator[str]:
    """The same in words."""
    went, are = ("would go", "would be") if found.dry_run else ("gone", "are")
    if found.bundles:
        yield f"their rows {are} erased from all tables"
    elif not found.removed:
        yield "nothing of it is in the tables"
    yield from (f"{went}: {path}" for path in found.removed[:SHOWN])
    if len(found.removed) > SHOWN:
        yield f"and {len(found.removed) - SHOWN:,} more files; --json names them all"
    if found.elsewhere:
        yield (
            f"images of these shards lie in {len(found.elsewhere):,} more as well, {', '.join(found.elsewhere[:3])}"
            f"{' …' if len(found.elsewhere) > 3 else ''}: they are left there; give these as --shard, too"
        )
    if found.unknown:
        yield f"{len(found.unknown):,} of the digests are of no row"
    if found.again:
        yield (
            f"{found.again:,} slices were not committed or are not finished: the next audit computes them, images and all; "
            "forget again after it"
        )
    if found.signed and (found.bundles or found.removed):
        yield f"signed runs tell of the accounts as they were: sign again with causalprint verify {found.output} --sign KEY"
    if found.bundles:
        yield (
            "A shard that changes is read again as another version, and its images come back. Reports, lists, pictures and "
            "copies elsewhere, and versions that a store keeps, are not reached from here."
        )
