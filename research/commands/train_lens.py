"""The command that learns a convolutional lens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.commands.train import RESUMES
from causalprint.research.training.config import LensConfig

if TYPE_CHECKING:
    from rich.console import Console


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


@command(LensConfig, RESUMES)
def train_lens(config: LensConfig, session: Session) -> int:
    """Train a convolutional lens, on the residual or on the image, at native resolution, from labelled images.

    Shards are streamed again in every epoch. With --val of other origins, what is kept is what carries over to them.
    """
    from causalprint.research.training.train_lens import CARD
    from causalprint.research.training.train_lens import train_lens as run

    def show(found: LensReport, out: Console) -> None:
        out.print(f"macro recall {found.recall:.3f} after {found.epochs} epochs; see {found.card}", soft_wrap=True)
        out.print(f'next: name it under lenses of a recipe: {{lens: "{found.lens}", reading: {config.reading}}}', soft_wrap=True)

    trained = session.watch(partial(run, config))
    card, recall = str(trained.output / CARD), round(trained.recall, 4)
    return session.present(LensReport(str(trained.output), card, trained.lens, trained.epochs, trained.steps, recall), show)
