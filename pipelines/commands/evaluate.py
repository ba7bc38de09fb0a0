"""The command that measures bundles on labelled images."""

from __future__ import annotations

from typing import Annotated

import typer

from causalprint.pipelines.commands.options import (
    Device,
    DeviceName,
    Json,
    LabelField,
    StorageOptions,
    TrackName,
    Verbose,
    parse_storage,
    session_of,
)
from causalprint.pipelines.commands.session import guarded

AGAIN = "the same command begins anew"


def evaluate(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT…", help="Shards or folders of images whose source is known, `real` ones among them."),
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for RESULTS.md, its figures, JSON and Parquet."),
    ],
    bundle: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR",
            help="Bundle to measure; again for more, side by side with differences to the first.",
            show_default="the one in the package",
        ),
    ] = None,
    track: Annotated[
        TrackName,
        typer.Option(
            help="Encoding that every image gets alike: none; JPEG 95, 4:4:4; none, and versions of a content are compared."
        ),
    ] = TrackName.PNG,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also measure what JPEG, resizing, cropping, blur and noise cost.")
    ] = False,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Draws of random perturbations, and thousands of bootstrap resamples.")
    ] = 3,
    label_field: LabelField = "source",
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Read at most so many images in all.")] = None,
    device: Device = DeviceName.AUTO,
    storage_options: StorageOptions = "{}",
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Measure bundles on labelled images: accuracy, detection, calibration, open set, shortcuts, with 95 % intervals."""
    session = session_of(context, as_json=as_json, verbose=verbose)
    storage = parse_storage(storage_options)

    def work() -> int:
        from causalprint.pipelines.evaluation.evaluate import EvaluateConfig
        from causalprint.pipelines.evaluation.evaluate import evaluate as run
        from causalprint.pipelines.evaluation.text import print_evaluation

        config = EvaluateConfig(
            inputs=tuple(inputs),
            output=output,
            bundles=tuple(bundle or ()),
            track=track.value,
            robustness=robustness,
            seeds=seeds,
            label_field=label_field,
            limit=limit,
            device=device.value,
            storage=storage,
        )
        return session.present(lambda tell: run(config, tell), lambda found, out: print_evaluation(found, output, out))

    return guarded(session, work, resumes=AGAIN)
