"""The command that trains the diffusion prior from photographs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.commands.train import RESUMES
from causalprint.research.training.config import ModelTrainingConfig

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.research.training.own_model import TrainingProgress


@dataclass(frozen=True, slots=True)
class PriorReport:
    """What ``train-prior --json`` prints: the model's folder, its card, the steps and seconds of the training."""

    output: str
    card: str
    steps: int
    seconds: float


@command(ModelTrainingConfig, RESUMES)
def train_prior(config: ModelTrainingConfig, session: Session) -> int:
    """Train the diffusion prior, the residual that ships inside the package, on photographs."""
    from causalprint.research.training.train_prior import train_prior as run

    trained = session.watch(lambda tell: run(config, lambda progress: tell(_sentence(progress))))
    card, seconds = str(trained.output / "card.md"), round(trained.seconds, 3)
    return session.present(PriorReport(str(trained.output), card, trained.steps, seconds), _print)


def _print(found: PriorReport, out: Console) -> None:
    from causalprint.pipelines.progress import duration

    out.print(f"{found.steps:,} steps in {duration(found.seconds)}; figures in {found.card}", soft_wrap=True)
    out.print(f"next: causalprint train INPUT --output DIR --residual denoise:{found.output}", soft_wrap=True)


def _sentence(progress: TrainingProgress) -> str:
    from causalprint.pipelines.progress import duration

    wanted = "" if progress.steps is None else f"/{progress.steps:,}"
    return f"step {progress.step:,}{wanted}, loss {progress.loss:.4f}, {duration(progress.seconds)}"
