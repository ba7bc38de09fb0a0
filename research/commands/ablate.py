"""The command that takes a recipe apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from causalprint.pipelines.commands.options import (
    Device,
    DeviceName,
    Json,
    LabelField,
    LabelledInputs,
    Seed,
    StorageOptions,
    Threads,
    Verbose,
    parse_storage,
    session_of,
)
from causalprint.pipelines.commands.session import guarded

AGAIN = "the same command begins again, and keeps the features"


def ablate(
    context: typer.Context,
    inputs: LabelledInputs,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the table and RESULTS.md.")],
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE", help="What is taken apart: a YAML file, or a name.")] = "default",
    features: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Folder that train --features keeps features in.", show_default="features in the output"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Trainings of each row; each tests other origins.")] = 3,
    seed: Seed = 0,
    label_field: LabelField = "source",
    device: Device = DeviceName.AUTO,
    threads: Threads = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="ROW,…", help="Only these rows beside the recipe as it is; an unknown one lists all.", show_default="all"
        ),
    ] = None,
    storage_options: StorageOptions = "{}",
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Train and test a recipe without each of its parts, and each lens alone: one table with intervals."""
    session = session_of(context, as_json=as_json, verbose=verbose)
    storage = parse_storage(storage_options)

    def work() -> int:
        from causalprint.research.ablation.ablate import AblateConfig
        from causalprint.research.ablation.ablate import ablate as run
        from causalprint.research.ablation.report import summary

        config = AblateConfig(
            inputs=tuple(inputs),
            output=output,
            recipe=recipe,
            features=features,
            seeds=seeds,
            seed=seed,
            label_field=label_field,
            device=device.value,
            threads=threads,
            only=tuple(name.strip() for name in (only or "").split(",") if name.strip()),
            storage=storage,
        )
        return session.present(
            lambda tell: run(config, tell),
            lambda found, out: out.print(f"{summary(found)}\nnext: {output / 'RESULTS.md'}", soft_wrap=True),
        )

    return guarded(session, work, resumes=AGAIN)
