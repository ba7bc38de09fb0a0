"""The command that trains the diffusion prior from photographs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from causalprint.pipelines.commands.options import Device, DeviceName, Json, Seed, Verbose, session_of
from causalprint.pipelines.commands.session import Session, guarded
from causalprint.pipelines.commands.train import RESUMES, Output, Resume, Validation

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.research.training.own_model import ModelTrainingConfig, TrainingProgress


@dataclass(frozen=True, slots=True)
class PriorReport:
    """What ``train-prior --json`` prints: the model's folder, its card, the steps and seconds of the training."""

    output: str
    card: str
    steps: int
    seconds: float


def train_prior(
    context: typer.Context,
    output: Output,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT…", help="Shards or folders of photographs, beside those inside well-kept packages."),
    ] = None,
    val: Validation = None,
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Train up to this step.")] = None,
    minutes: Annotated[float | None, typer.Option(metavar="N", min=0.01, help="Stop after so many minutes.")] = None,
    seed: Seed = 0,
    device: Device = DeviceName.AUTO,
    resume: Resume = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Train the diffusion prior, the residual that ships inside the package, on photographs."""
    session = session_of(context, as_json=as_json, verbose=verbose)

    def work() -> int:
        from causalprint.research.training.own_model import ModelTrainingConfig

        config = ModelTrainingConfig(
            inputs=tuple(inputs or ()),
            output=output,
            val=tuple(val or ()),
            steps=steps,
            minutes=minutes,
            seed=seed,
            device=device.value,
            resume=resume,
        )
        return _train(config, session)

    return guarded(session, work, resumes=RESUMES)


def _train(config: ModelTrainingConfig, session: Session) -> int:
    """Trains the prior and says where it is."""
    from causalprint.pipelines.progress import duration
    from causalprint.research.training.train_prior import train_prior as train

    def run(tell: Callable[[str], None]) -> PriorReport:
        trained = train(config, lambda progress: tell(_sentence(progress)))
        return PriorReport(str(trained.output), str(trained.output / "card.md"), trained.steps, round(trained.seconds, 3))

    def show_prior(found: PriorReport, out: Console) -> None:
        out.print(f"{found.steps:,} steps in {duration(found.seconds)}; figures in {found.card}", soft_wrap=True)
        out.print(f"next: causalprint train INPUT --output DIR --residual denoise:{found.output}", soft_wrap=True)

    return session.present(run, show_prior)


def _sentence(progress: TrainingProgress) -> str:
    from causalprint.pipelines.progress import duration

    wanted = "" if progress.steps is None else f"/{progress.steps:,}"
    return f"step {progress.step:,}{wanted}, loss {progress.loss:.4f}, {duration(progress.seconds)}"
