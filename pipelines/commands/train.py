"""The command that trains a bundle from labelled images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.inspect import as_json, show
from causalprint.pipelines.commands.session import Session
from causalprint.schemas.config import (
    NO_OPTIONS,
    Device,
    ImageColumn,
    LabelField,
    LabelledInputs,
    Resume,
    Runner,
    Seed,
    StorageOptions,
    Threads,
    Validation,
)
from causalprint.schemas.options import DATA, Command, Option, output
from causalprint.schemas.places import Place

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.models.bundles.bundle import Bundle

RESUMES = "the same command with --resume goes on"


@dataclass(frozen=True, slots=True)
class TrainConfig(Command):
    """One training. Without ``validation``, temperature and limits are set by cross-validation of the inputs by origin."""

    NAME = "train"

    inputs: LabelledInputs
    output: Annotated[str, output("Write the bundle to this folder.")]
    validation: Validation = ()
    recipe: Annotated[str, Option("Learn as this recipe says: a YAML file, or the name of one in the package.", "NAME|FILE")] = (
        "default"
    )
    lenses: Annotated[
        tuple[str, ...],
        Option(
            "Read the image by this lens too: transformers:PATH-OR-HUB-NAME, onnx:PATH, …; may be given again.",
            "SPEC",
            names=("--lens",),
            place=Place.MODEL,
        ),
    ] = ()
    label_field: LabelField = "source"
    image_column: ImageColumn = ()
    # The files of a local path are copied into the bundle.
    residual: Annotated[
        str | None,
        Option(
            "Compute this residual, kind:path-or-hub-name.",
            "SPEC",
            usual="the recipe's, else the package's bundle's",
            place=Place.MODEL,
        ),
    ] = None
    name: Annotated[str, Option("Name the bundle; its id begins so.", "NAME", DATA)] = "trained"
    licence: Annotated[
        str | None,
        Option("State this licence for the bundle as a whole.", "TEXT", DATA, usual="what its residual and lenses state"),
    ] = None
    views: Annotated[
        int,
        Option(
            "Analyse up to so many crops of an image in an audit: the central one, and those around it with most texture. "
            "Figures and limits stay those of the central one.",
            "N",
            least=1,
        ),
    ] = 1
    interventions: Annotated[
        int | None,
        Option(
            "Learn from each image as it is, and after at most so many interventions of the recipe.",
            "N",
            least=0,
            usual="all",
        ),
    ] = None
    seed: Seed = 0
    device: Device = "auto"
    threads: Threads = None
    resume: Resume = False
    features: Annotated[
        str | None,
        Option(
            "Keep features in this folder, for other trainings too; workers on other machines must reach it.",
            "URL",
            DATA,
            usual="beside the output, till done",
            place=Place.URL,
        ),
    ] = None
    runner: Runner = "direct"
    beam_options: tuple[str, ...] = ()
    storage: StorageOptions = NO_OPTIONS


@command(TrainConfig, RESUMES)
def train(config: TrainConfig, session: Session) -> int:
    """Train a bundle: the fingerprint and attribution over real and the sources of labelled images.

    Features are computed by Beam, whose options follow two dashes: causalprint train … -- --direct_num_workers=4
    """
    from causalprint.pipelines.training.train import train as run

    def show_bundle(bundle: Bundle, out: Console) -> None:
        show(bundle, out)
        out.print(f"next: causalprint audit INPUT --output OUT --bundle {config.output}", soft_wrap=True)

    return session.present(session.watch(partial(run, config)), show_bundle, as_json)
