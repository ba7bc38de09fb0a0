"""What ``causalprint lab train-lens``, ``train-prior`` and ``cut-encoder`` are asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from causalprint.schemas.config import NO_OPTIONS, Device, LabelField, LabelledInputs, Resume, Seed, StorageOptions, Validation
from causalprint.schemas.options import RUNS, Command, Option, Stated, argument, output
from causalprint.schemas.places import Place

RESIDUAL, IMAGE = READINGS = ("residual", "image")


@dataclass(frozen=True, slots=True)
class LensConfig(Command):
    """One training of a lens. Without ``val``, one content in eight is held out."""

    NAME = "lab train-lens"

    inputs: LabelledInputs
    output: Annotated[str, output("Write the lens and its card to this folder.")]
    val: Validation = ()
    init: Annotated[str | None, Option("Begin from this lens, convolutional:FOLDER-OR-NAME.", "SPEC", usual="from scratch")] = (
        None
    )
    reading: Annotated[
        str, Option("Show the lens the residual of an image, or the image itself.", choices=READINGS, stated=Stated.ALWAYS)
    ] = RESIDUAL
    residual: Annotated[
        str | None, Option("Compute this residual, kind:path-or-hub-name.", "SPEC", usual="that of the package's bundle")
    ] = None
    # Keys of causalprint.research.training.lens.TRUNKS.
    channels: Annotated[
        str | None,
        Option(
            "Give the network this shape; lite0 is twice the work.", choices=("small", "lite0"), usual="small, or that of --init"
        ),
    ] = None
    epochs: Annotated[
        int,
        Option(
            "Train for so many epochs at most; the training stops when validation no more improves.",
            "N",
            least=1,
            stated=Stated.ALWAYS,
        ),
    ] = 30
    seed: Seed = 0
    device: Annotated[Device, Stated.ALWAYS] = "auto"
    resume: Resume = False
    label_field: LabelField = "source"
    storage: StorageOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTrainingConfig(Command):
    """One training of the prior. With neither ``steps`` nor ``minutes``, ``DEFAULT_STEPS`` are done."""

    NAME = "lab train-prior"

    inputs: Annotated[tuple[str, ...], argument("Shards or folders of photographs, beside those inside well-kept packages.")] = ()
    output: Annotated[str, output("Write the model, its card and its checkpoint to this folder.")]
    val: Validation = ()
    steps: Annotated[int | None, Option("Train up to this step.", "N", RUNS, least=1)] = None
    minutes: Annotated[float | None, Option("Stop after so many minutes.", "N", RUNS, least=0.001)] = None
    seed: Seed = 0
    device: Annotated[Device, Stated.ALWAYS] = "auto"
    resume: Resume = False


@dataclass(frozen=True, slots=True)
class CutConfig(Command):
    """A vision transformer in ONNX, cut after the last of its blocks that is read."""

    NAME = "lab cut-encoder"

    encoder: Annotated[Path, argument("An ONNX file, or a wheel or zip archive that holds one.", "FILE")]
    output: Annotated[str, output("Write the encoder, and the licences that lie beside it, to this folder.")]
    blocks: Annotated[
        tuple[int, ...],
        Option("Read the tokens after these blocks, from 1.", "N,N,…", least=1, commas=True, stated=Stated.ALWAYS),
    ] = (5, 7, 9)
    images: Annotated[
        tuple[str, ...],
        Option(
            "Even out the channels of an encoder in 8 bits by what these shards or folders show; may be given again.",
            "INPUT",
            place=Place.URL,
            usual="as it is",
        ),
    ] = ()
