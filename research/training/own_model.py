"""Training one of the repository's own models: to the end of its budget, in steps or minutes, with checkpoints on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from causalprint.research.training.config import ModelTrainingConfig
from causalprint.schemas.rendering import render

if TYPE_CHECKING:
    import torch

    from causalprint.research.training.loop import Loss, TrainingConfig, TrainingState
    from causalprint.research.training.photographs import TrainingSplit

CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_SECONDS = 120
REPORT_STEPS = 50
DEFAULT_STEPS = 10_000


class TrainingProgress(NamedTuple):
    """Where a training is: steps done, steps wanted, seconds spent in all, and the mean loss since the last report."""

    step: int
    steps: int | None
    seconds: float
    loss: float


Report = Callable[[TrainingProgress], None]


@dataclass(frozen=True, slots=True)
class Trainee:
    """What is trained: how to build it, what it minimises, how it is written for others, and what tells it from others."""

    name: str
    build: Callable[[], torch.nn.Module]
    loss: Loss
    export: Callable[[torch.nn.Module, Path], None]


def fit(
    trainee: Trainee, training: TrainingConfig, config: ModelTrainingConfig, split: TrainingSplit, report: Report | None
) -> TrainingState:
    """Train until the budget is spent; the model and a checkpoint are in ``config.output`` every two minutes and at the end.

    An interrupted run, resumed, gives the weights of one that was not interrupted (on the same machine and thread count).

    Raises:
        FileExistsError: the output holds a checkpoint and ``resume`` was not asked for.
        FloatingPointError: the loss is no finite number any more.
        ValueError: the device is missing; the checkpoint is of another run.
    """
    from causalprint.models.features import pick_device
    from causalprint.research.training.loop import load_checkpoint, save_checkpoint, start, train_step
    from causalprint.schemas.elements import digest

    output = Path(config.output)
    checkpoint = output / CHECKPOINT
    if checkpoint.exists() and not config.resume:
        raise FileExistsError(f"{checkpoint} is there: go on with --resume, or choose another --output")
    state = start(trainee.build, training, pick_device(config.device))
    run = digest(trainee.name, training, split.digest)
    if checkpoint.exists():
        load_checkpoint(state, run, checkpoint)
    output.mkdir(parents=True, exist_ok=True)
    steps = config.steps if config.steps or config.minutes else DEFAULT_STEPS
    photographs = [photograph.pixels for photograph in split.training]

    def keep() -> None:
        save_checkpoint(state, run, checkpoint)
        trainee.export(state.average, output)

    before, began = state.seconds, time.monotonic()
    kept, losses = began, list[float]()
    while (steps is None or state.step < steps) and (config.minutes is None or time.monotonic() - began < 60 * config.minutes):
        losses.append(train_step(state, photographs, training, trainee.loss))
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss is {losses[-1]} at step {state.step}; resume from {checkpoint} with another seed")
        now = time.monotonic()
        state.seconds = before + now - began
        if report and state.step % REPORT_STEPS == 0:
            report(TrainingProgress(state.step, steps, state.seconds, sum(losses) / len(losses)))
            losses.clear()
        if now - kept >= CHECKPOINT_SECONDS:
            keep()
            kept = now
    keep()
    return state


def write_card(
    path: Path, title: str, about: str, command: str, state: TrainingState, split: TrainingSplit, figures: str
) -> None:
    """Write the model's card: what it is, what it was trained on and under which licences, how, and how good it is.

    Args:
        path: of the file, Markdown.
        title: the model's name.
        about: one paragraph.
        command: what trains it again.
        state: the finished training.
        split: its photographs.
        figures: Markdown.
    """
    import torch

    from causalprint.research.training.photographs import sources

    device = next(state.model.parameters()).device
    text = render(
        "research/training/model_card.md.j2",
        title=title,
        about=about,
        command=command,
        state=state,
        parameters=sum(parameter.numel() for parameter in state.model.parameters()),
        device=device.type,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        photographs=sources(split),
        losses=split.losses,
        figures=figures,
    )
    path.write_text(text, encoding="utf-8")
