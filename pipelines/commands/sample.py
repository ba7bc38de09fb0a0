"""The command that draws images of an audit for people to label."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.errors import ExitCode
from causalprint.schemas.config import NO_OPTIONS, Seed, StorageOptions
from causalprint.schemas.options import DATA, Command, Option, argument, output

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.shares.draw import SampleReport


@dataclass(frozen=True, slots=True)
class SampleConfig(Command):
    """How many images are drawn, and where they go."""

    NAME = "sample"

    audit: Annotated[str, argument("Root of the audit's output.", "OUT")]
    for_labels: Annotated[int, Option("Draw so many images to be labelled.", "N", DATA, least=1)]
    output: Annotated[Path, output("Write labels.csv, to fill in, and index.html, to look at, to this folder.")]
    bundle: Annotated[
        str | None, Option("The bundle whose scores make the strata.", "BUNDLE", DATA, usual="that of the last run")
    ] = None
    side: Annotated[int, Option("Show pictures of at most so many pixels a side.", "N", DATA, least=16)] = 512
    seed: Seed = 0
    storage: StorageOptions = NO_OPTIONS


@command(SampleConfig, again="the same command draws the same images")
def sample(config: SampleConfig, session: Session) -> int:
    """Draw images of an audit at random, to be labelled by people, for `causalprint prevalence --labels`.

    Strata are by generated_probability; from each, images are drawn at random, and column `weight` says one over the chance that
    an image had. The page shows no verdict. Pictures are fetched again from the shards, each checked against its SHA-256.
    """
    from causalprint.pipelines.shares.draw import draw_sample

    found = session.watch(partial(draw_sample, config))
    session.present(found, _print)
    return ExitCode.INCOMPLETE if found.lost else ExitCode.COMPLETE


def _print(found: SampleReport, out: Console) -> None:
    for lost in found.lost:
        out.print(f"no picture of {lost.image_id}: {lost.reason}", soft_wrap=True)
    out.print(
        f"{found.images:,} images drawn from {found.drawn_from:,}: look at {found.sheet}, fill in {found.labels}", soft_wrap=True
    )
    out.print(f"next: causalprint prevalence OUT --labels {found.labels}", soft_wrap=True)
