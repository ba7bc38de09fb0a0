"""The command that fetches images of an audit again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.errors import ExitCode
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import DATA, Command, Option, Stated, argument, output

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.fetch import FetchReport


@dataclass(frozen=True, slots=True)
class FetchConfig(Command):
    """Which images of an audit are fetched, and where to."""

    NAME = "fetch"

    audit: Annotated[str, argument("Root of the audit's output.", "OUT")]
    output: Annotated[Path, output("Write the images to this folder, each named by its image_id.")]
    image_ids: Annotated[
        tuple[str, ...], argument("SHA-256 of the images, as column image_id has it, or its first digits.", "IMAGE_ID")
    ] = ()
    where: Annotated[
        str | None,
        Option(
            "Fetch the images for which this condition in SQL holds, over the columns of images, attributions and rejects: "
            "\"verdict = 'known' AND probability > 0.9\".",
            "SQL",
            DATA,
        ),
    ] = None
    limit: Annotated[int | None, Option("Fetch at most so many images.", "N", DATA, least=1)] = None
    signed: Annotated[
        tuple[str, ...],
        Option(
            "Read a shard by this URL, with a fresh signature; tables hold URLs without. May be given again.",
            "URL",
            DATA,
            stated=Stated.NEVER,
        ),
    ] = ()
    storage: StorageOptions = NO_OPTIONS


@command(FetchConfig, "the same command fetches the rest")
def fetch(config: FetchConfig, session: Session) -> int:
    """Fetch images of an audit again from the shards that they were found in, and prove each by its SHA-256."""
    from causalprint.pipelines.fetch import fetch_images

    report = session.watch(partial(fetch_images, config))
    session.present(report, _print)
    return ExitCode.INCOMPLETE if report.lost else ExitCode.COMPLETE


def _print(report: FetchReport, out: Console) -> None:
    for image in report.images:
        out.print(f"{image.file}: {image.member} of {image.shard}", soft_wrap=True)
    for lost in report.lost:
        out.print(f"not fetched: {lost.image_id}: {lost.reason}", soft_wrap=True)
    out.print(f"{len(report.images):,} images fetched into {report.output}, {len(report.lost):,} not", soft_wrap=True)
