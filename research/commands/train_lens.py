"""The command that learns a convolutional lens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from causalprint.pipelines.commands.options import (
    Device,
    DeviceName,
    Json,
    LabelField,
    LabelledInputs,
    Seed,
    StorageOptions,
    Verbose,
    parse_storage,
    session_of,
)
from causalprint.pipelines.commands.session import Session, guarded
from causalprint.pipelines.commands.train import RESUMES, Output, Resume, Validation

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.research.training.lens_data import LensConfig


class Reading(StrEnum):
    """What ``--reading`` takes."""

    RESIDUAL = "residual"
    IMAGE = "image"


class Channels(StrEnum):
    """What ``--channels`` takes: keys of ``causalprint.research.training.lens.TRUNKS``."""

    SMALL = "small"
    LITE0 = "lite0"


@dataclass(frozen=True, slots=True)
class LensReport:
    """What ``train-lens --json`` prints.

    Attributes:
        output, card: the lens's folder, and its card in it.
        lens: its spec, for a recipe.
        epochs, steps: of the training.
        recall: macro recall on what was held out.
    """

    output: str
    card: str
    lens: str
    epochs: int
    steps: int
    recall: float


def train_lens(
    context: typer.Context,
    inputs: LabelledInputs,
    output: Output,
    val: Validation = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Lens to begin from, convolutional:FOLDER-OR-NAME.", show_default="from scratch"),
    ] = None,
    reading: Annotated[Reading, typer.Option(help="What the lens sees.")] = Reading.RESIDUAL,
    residual: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="kind:path-or-hub-name", show_default="that of the package's bundle"),
    ] = None,
    channels: Annotated[
        Channels | None,
        typer.Option(help="Shape of the network; lite0 is twice the work.", show_default="small, or that of --init"),
    ] = None,
    epochs: Annotated[int, typer.Option(metavar="N", min=1, help="At most; it stops when validation no more improves.")] = 30,
    seed: Seed = 0,
    device: Device = DeviceName.AUTO,
    resume: Resume = False,
    label_field: LabelField = "source",
    storage_options: StorageOptions = "{}",
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Train a convolutional lens, on the residual or on the image, at native resolution, from labelled images.

    Shards are streamed again in every epoch. With --val of other origins, what is kept is what carries over to them.
    """
    session = session_of(context, as_json=as_json, verbose=verbose)
    storage = parse_storage(storage_options)

    def work() -> int:
        from causalprint.research.training.lens_data import LensConfig

        config = LensConfig(
            inputs=tuple(inputs),
            output=output,
            val=tuple(val or ()),
            init=init,
            reading=reading.value,
            residual=residual,
            channels=None if channels is None else channels.value,
            epochs=epochs,
            seed=seed,
            device=device.value,
            resume=resume,
            label_field=label_field,
            storage=storage,
        )
        return _train(config, session)

    return guarded(session, work, resumes=RESUMES)


def _train(config: LensConfig, session: Session) -> int:
    from causalprint.research.training.train_lens import CARD, train_lens

    def run(tell: Callable[[str], None]) -> LensReport:
        trained = train_lens(config, tell)
        card = str(trained.output / CARD)
        return LensReport(str(trained.output), card, trained.lens, trained.epochs, trained.steps, round(trained.recall, 4))

    def show(found: LensReport, out: Console) -> None:
        out.print(f"macro recall {found.recall:.3f} after {found.epochs} epochs; see {found.card}", soft_wrap=True)
        out.print(f'next: name it under lenses of a recipe: {{lens: "{found.lens}", reading: {config.reading}}}', soft_wrap=True)

    return session.present(run, show)
