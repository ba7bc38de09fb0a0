"""The command that splits labelled shards by origin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from causalprint.pipelines.commands.options import (
    Json,
    LabelField,
    LabelledInputs,
    Seed,
    StorageOptions,
    Verbose,
    parse_storage,
    session_of,
)
from causalprint.pipelines.commands.session import guarded

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.shards.split import SplitReport

RESUMES = "the same command begins again"


def split(
    context: typer.Context,
    inputs: LabelledInputs,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of fit and test; new, or empty.")],
    seed: Seed = 0,
    label_field: LabelField = "source",
    crop: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=16,
            help="Side of the central crop, in pixels, as compare takes it; smaller images are left out.",
        ),
    ] = 256,
    storage_options: StorageOptions = "{}",
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Split labelled shards by origin, as compare does for a seed: DIR/fit to train on, DIR/test of origins never seen."""
    session = session_of(context, as_json=as_json, verbose=verbose)
    storage = parse_storage(storage_options)

    def work() -> int:
        from causalprint.pipelines.shards.split import SplitConfig, split_shards

        config = SplitConfig(tuple(inputs), output, seed, label_field, crop, storage)
        return session.present(lambda tell: split_shards(config, tell), _print)

    return guarded(session, work, resumes=RESUMES)


def _print(found: SplitReport, out: Console) -> None:
    from causalprint.pipelines.report import new_table

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
