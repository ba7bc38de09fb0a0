"""What the training commands do, once their arguments are values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console

from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.commands.show import as_json, show
from causalprint.pipelines.progress import duration, telling
from causalprint.pipelines.training.own_model import ModelTrainingConfig, Progress
from causalprint.pipelines.training.train import TrainConfig, train
from causalprint.pipelines.training.train_prior import train_prior


@dataclass(frozen=True, slots=True)
class PriorReport:
    """What ``train-prior --json`` prints: the model's folder, its card, the steps and seconds of the training."""

    output: str
    card: str
    steps: int
    seconds: float


def train_bundle(config: TrainConfig, session: Session) -> int:
    """Trains a bundle and shows it."""
    with telling(session.log) as tell:
        bundle = train(config, tell)
    if session.as_json:
        session.answer(as_json(bundle))
    else:
        show(bundle, session.out)
        session.out.print(f"next: causalprint audit INPUT --output OUT --bundle {config.output}", soft_wrap=True)
    return 0


def train_the_prior(config: ModelTrainingConfig, session: Session) -> int:
    """Trains the prior and says where it is."""

    def run(tell: Callable[[str], None]) -> PriorReport:
        trained = train_prior(config, lambda progress: tell(_sentence(progress)))
        return PriorReport(str(trained.output), str(trained.output / "card.md"), trained.steps, round(trained.seconds, 3))

    def show_prior(found: PriorReport, out: Console) -> None:
        out.print(f"{found.steps:,} steps in {duration(found.seconds)}; figures in {found.card}", soft_wrap=True)
        out.print(f"next: causalprint train INPUT --output DIR --residual denoise:{found.output}", soft_wrap=True)

    return session.present(run, show_prior)


def _sentence(progress: Progress) -> str:
    wanted = "" if progress.steps is None else f"/{progress.steps:,}"
    return f"step {progress.step:,}{wanted}, loss {progress.loss:.4f}, {duration(progress.seconds)}"
