"""The command that splits labelled shards by origin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.schemas.config import NO_OPTIONS, Crop, LabelField, LabelledInputs, Seed, StorageOptions
from causalprint.schemas.options import Command, output

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.shards.split import SplitReport


@dataclass(frozen=True, slots=True)
class SplitConfig(Command):
    """One split. Near-duplicates are found by the central crop, as ``compare`` takes it."""

    NAME = "split"

    inputs: LabelledInputs
    output: Annotated[Path, output("Write the folders fit and test into this one; it is new, or empty.")]
    seed: Seed = 0
    label_field: LabelField = "source"
    crop: Crop = 256
    storage: StorageOptions = NO_OPTIONS


@command(SplitConfig, "the same command begins again")
def split(config: SplitConfig, session: Session) -> int:
    """Split labelled shards by origin, as compare does for a seed: DIR/fit to train on, DIR/test of origins never seen."""
    from causalprint.pipelines.shards.split import split_shards

    return session.present(session.watch(partial(split_shards, config)), _print)


def _print(found: SplitReport, out: Console) -> None:
    from causalprint.pipelines.console import new_table

    table = new_table("source", numbers=("fit: origins", "images", "test: origins", "images"))
    for source in found.sources:
        sides = (source.fit, source.test)
        table.add_row(source.source, *(f"{count:,}" for side in sides for count in (len(side.origins), side.images)))
    out.print(table)
    out.print(f"{found.images:,} images: {found.fit:,} in fit, {found.test:,} in test", soft_wrap=True)
    for reason in found.left_out:
        out.print(f"left out: {reason.images:,}: {reason.why}", soft_wrap=True)
    for damage in found.damage:
        out.print(f"damaged, and split as far as it can be read: {damage}", soft_wrap=True)
    out.print(
        f"next: causalprint train {found.output}/fit --output BUNDLE; "
        f"causalprint evaluate {found.output}/test --bundle BUNDLE --output EVIDENCE",
        soft_wrap=True,
    )
