"""The command that trains a bundle from labelled images."""

from __future__ import annotations

from typing import Annotated

import typer

from causalprint.pipelines.commands.options import (
    Device,
    DeviceName,
    Json,
    LabelField,
    LabelledInputs,
    Runner,
    Seed,
    StorageOptions,
    Threads,
    Verbose,
    parse_storage,
    session_of,
)
from causalprint.pipelines.commands.session import guarded

RESUMES = "the same command with --resume goes on"

Output = Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="Folder to write.")]
Validation = Annotated[list[str] | None, typer.Option("--val", metavar="INPUT", help="Inputs held out; may be given again.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what an interrupted training left.")]


def train(
    context: typer.Context,
    inputs: LabelledInputs,
    output: Output,
    val: Validation = None,
    recipe: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="What is learned and how: a YAML file, or a name.")
    ] = "default",
    lens: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="A further lens, read on the image: transformers:PATH-OR-HUB-NAME, onnx:PATH, …"),
    ] = None,
    label_field: LabelField = "source",
    residual: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="kind:path-or-hub-name", show_default="the recipe's, else the package's bundle's"),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Of the bundle; begins its id.")] = "trained",
    licence: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Licence of the bundle as a whole.", show_default="what its residual and lenses state"),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Of each image, at most: as it is, then one after each intervention of the recipe.",
            show_default="all",
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = DeviceName.AUTO,
    threads: Threads = None,
    resume: Resume = False,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Folder to keep features in, for other trainings too.",
            show_default="beside the output, till done",
        ),
    ] = None,
    runner: Runner = "direct",
    storage_options: StorageOptions = "{}",
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Train a bundle: the fingerprint and attribution over real and the sources of labelled images.

    Features are computed by Beam, whose options follow two dashes: causalprint train … -- --direct_num_workers=4
    """
    session = session_of(context, as_json=as_json, verbose=verbose)
    storage = parse_storage(storage_options)

    def work() -> int:
        from causalprint.pipelines.commands.training_actions import train_bundle
        from causalprint.pipelines.training.train import TrainConfig

        config = TrainConfig(
            inputs=tuple(inputs),
            output=output,
            validation=tuple(val or ()),
            recipe=recipe,
            lenses=tuple(lens or ()),
            label_field=label_field,
            residual=residual,
            name=name,
            licence=licence,
            views=views,
            seed=seed,
            device=device.value,
            threads=threads,
            resume=resume,
            features=features,
            runner=runner,
            beam_options=session.beam_options,
            storage=storage,
        )
        return train_bundle(config, session)

    return guarded(session, work, resumes=RESUMES)
