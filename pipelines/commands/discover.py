"""The command that looks for new generators among what is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.errors import ExitCode
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import DATA, Command, Option, argument, output

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.discover import DiscoveryReport


@dataclass(frozen=True, slots=True)
class DiscoverConfig(Command):
    """The audit to look through, and where candidates go."""

    NAME = "discover"

    audit: Annotated[str, argument("Root of the audit's output.", "OUT")]
    output: Annotated[
        str,
        output(
            "Write candidates.parquet, members.parquet and candidates.html to this folder; what an earlier run named there keeps "
            "its name."
        ),
    ]
    least: Annotated[int, Option("Call no fewer images a candidate.", "N", DATA, least=2)] = 8
    most: Annotated[
        int, Option("Look at no more images: of more, those of the least digests, a random sample.", "N", DATA, least=2)
    ] = 50_000
    no_source: Annotated[
        bool, Option("Look at images too of which it is sure that a generator made them and not which (no-source).", panel=DATA)
    ] = False
    extract: Annotated[
        int,
        Option("Fetch so many images of each candidate into OUTPUT/images/CANDIDATE, as enroll takes them.", "N", DATA, least=0),
    ] = 0
    bundle: Annotated[
        str | None, Option("The audit's bundle, or one of the same fingerprint.", "BUNDLE", usual="where the audit had it")
    ] = None
    storage: StorageOptions = NO_OPTIONS


@command(DiscoverConfig, "the same command begins again")
def discover(config: DiscoverConfig, session: Session) -> int:
    """Group the images of unknown generators by their fingerprints: candidates, each of which enroll may make a source.

    Images of one generator with different histories may be several candidates, and generators of one history one.
    """
    from causalprint.pipelines.discover import discover_candidates

    report = session.watch(partial(discover_candidates, config))
    session.present(report, _print)
    return ExitCode.INCOMPLETE if report.lost else ExitCode.COMPLETE


def _print(report: DiscoveryReport, out: Console) -> None:
    from causalprint.pipelines.console import new_table
    from causalprint.pipelines.discover import PAGE

    table = new_table("candidate", "nearest source", "most central image", numbers=("images", "cohesion", "distance"))
    for one in report.candidates:
        numbers = f"{one.images:,}", f"{one.cohesion:.2f}", f"{one.distance:.1f}"
        table.add_row(one.candidate, one.nearest, one.medoid[:12], *numbers)
    out.print(table)
    looked = "" if report.looked_at == report.unknown else f", {report.looked_at:,} of which were looked at"
    out.print(f"{report.unknown:,} images are like no known source{looked}; {report.in_candidates:,} of them are in candidates")
    if report.candidates:
        out.print(f"to read: {report.output}/{PAGE}", soft_wrap=True)
    if report.candidates and report.extracted:
        images = f"{report.output}/images/{report.candidates[0].candidate}"
        out.print(f"next: causalprint enroll {report.bundle} {images} --name NAME --output DIR", soft_wrap=True)
    for lost in report.lost:
        out.print(f"not fetched: {lost.image_id}: {lost.reason}", soft_wrap=True)
