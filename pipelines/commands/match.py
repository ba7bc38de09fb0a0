"""The command that looks for the images of a list in an audit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import DATA, Command, Option, argument, output

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.match import Matches


@dataclass(frozen=True, slots=True)
class MatchConfig(Command):
    """Which list is looked for in which audit."""

    NAME = "match"

    audit: Annotated[str, argument("Root of the audit's output.", "OUT")]
    list: Annotated[
        str,
        argument("The list: Parquet, CSV, TSV or JSON lines with a column of values, or plain text with a value a line.", "LIST"),
    ]
    on: Annotated[
        str,
        Option(
            "What the list names images by. A domain names all hosts below it too.",
            panel=DATA,
            choices=("sha256", "md5", "phash", "url", "domain"),
        ),
    ]
    output: Annotated[str, output("Write the images that match to this Parquet file.", "FILE")]
    within: Annotated[int, Option("Of phash: as many of the 64 bits may differ, up to 11.", "BITS", DATA, least=0)] = 0
    column: Annotated[
        str | None, Option("The list's column of values.", "NAME", DATA, usual="the one that is named so, or the only one")
    ] = None
    storage: StorageOptions = NO_OPTIONS


@command(MatchConfig, "the same command begins again")
def match(config: MatchConfig, session: Session) -> int:
    """Look for the images of a list (opt-outs, takedowns, known images) in an audit, by digest, perceptual hash, URL or domain.

    Of perceptual hashes, those within a distance are found, all of them: copies that were resized or compressed.
    """
    from causalprint.pipelines.match import match as matched

    return session.present(session.watch(partial(matched, config)), _print)


def _print(found: Matches, out: Console) -> None:
    out.print(f"{found.matched:,} of {found.values:,} values name {found.images:,} images; {found.unmatched:,} name none")
    if found.unusable:
        out.print(f"{found.unusable:,} entries of the list are no {found.on}", soft_wrap=True)
    out.print(f"{found.rows:,} rows in {found.output}", soft_wrap=True)
