"""The command that finds what is like given images among all that audits computed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.errors import ExitCode
from causalprint.schemas.config import NO_OPTIONS, Device, Runner, StorageOptions
from causalprint.schemas.options import DATA, Command, Option, OptionError, argument, output
from causalprint.schemas.places import Place

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.trace import TraceReport

SHOWN = 20


@dataclass(frozen=True, slots=True)
class TraceConfig(Command):
    """What is looked for in an audit, and where the finds go."""

    NAME = "trace"

    audit: Annotated[str, argument("Root of the audit's output.", "OUT")]
    output: Annotated[str, output("Write the finds to this Parquet file: a path, s3://… or gs://…", "FILE")]
    like: Annotated[tuple[str, ...], Option("Find what is like this image file. May be given again.", "IMAGE", DATA)] = ()
    source: Annotated[
        tuple[str, ...],
        Option(
            "Find what is like the images of this source: those that the bundle keeps, else those that the audit names "
            "so. May be given again.",
            "NAME",
            DATA,
        ),
    ] = ()
    image_id: Annotated[
        tuple[str, ...],
        Option("Find what is like the image of the audit whose SHA-256 begins so. May be given again.", "ID", DATA),
    ] = ()
    top: Annotated[int, Option("Find at most so many images for each.", "K", DATA, least=1)] = 100
    at_least: Annotated[
        float, Option("Find only what is so similar: 1 is the same fingerprint, 0 is like nothing.", "SIMILARITY", DATA)
    ] = -1.0
    extract: Annotated[
        Path | None, Option("Fetch the finds into this folder, each proved by its SHA-256.", "DIR", DATA, usual="none is fetched")
    ] = None
    bundle: Annotated[
        str | None,
        Option(
            "The audit's bundle, or one of the same fingerprint.", "BUNDLE", usual="where the audit had it", place=Place.BUNDLE
        ),
    ] = None
    device: Device = "auto"
    storage: StorageOptions = NO_OPTIONS
    runner: Runner = "direct"
    beam_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Command.__post_init__(self)
        if not (self.like or self.source or self.image_id):
            raise OptionError("say what to look for: --like IMAGE, --source NAME or --image-id ID")


@command(TraceConfig, "the same command begins again")
def trace(config: TraceConfig, session: Session) -> int:
    """Find the images of an audit that are most like given ones, by their fingerprints.

    No image is opened but those given, and those fetched with --extract. Likeness of fingerprints is a reason to look, not proof:
    column false_match_rate tells how often images of different sources are so alike, where the bundle knows it.
    """
    from causalprint.pipelines.trace import trace_images

    report = session.watch(partial(trace_images, config))
    session.present(report, _print)
    return ExitCode.INCOMPLETE if report.lost else ExitCode.COMPLETE


def _print(report: TraceReport, out: Console) -> None:
    from causalprint.pipelines.console import new_table

    table = new_table("like", "image", "verdict", "in", numbers=("rank", "similarity", "false matches"))
    for find in report.finds[:SHOWN]:
        rate = "not known" if find.false_match_rate is None else f"{find.false_match_rate:.2g}"
        said = find.verdict if find.source is None else f"{find.verdict}: {find.source}"
        where = f"{find.member} of {find.shard}"
        table.add_row(find.query, find.image_id[:12], said, where, f"{find.rank}", f"{find.similarity:.4f}", rate)
    out.print(table)
    out.print(f"{report.rows:,} finds among {report.embeddings:,} files of embeddings: {report.output}", soft_wrap=True)
    out.print(report.basis, soft_wrap=True)
    for lost in report.lost:
        out.print(f"not fetched: {lost.image_id}: {lost.reason}", soft_wrap=True)
