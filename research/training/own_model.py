"""Training one of the repository's own models: to the end of its budget, in steps or minutes, with checkpoints on the way."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from causalprint.models.features import pick_device
from causalprint.pipelines.labelled.reader import Report
from causalprint.pipelines.progress import duration
from causalprint.research.training.config import ModelTrainingConfig
from causalprint.research.training.loop import (
    Loss,
    TrainingConfig,
    TrainingState,
    load_checkpoint,
    save_checkpoint,
    start,
    train_step,
)
from causalprint.research.training.photographs import TrainingSplit, split_photographs
from causalprint.schemas.arrays import Pixels
from causalprint.schemas.elements import digest
from causalprint.schemas.rendering import render

CARD = "card.md"
CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_SECONDS = 120
REPORT_STEPS = 50
DEFAULT_STEPS = 10_000


class TrainedModel(NamedTuple):
    """What ``train-prior --json`` prints: the model's folder, its card, the steps and seconds of the training."""

    output: str
    card: str
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Trainee:
    """What is trained.

    Attributes:
        name: what tells it from others.
        title, about: of its card: the model's name, and one paragraph.
        build: makes it, untrained.
        loss: what it minimises.
        export: writes it for others, into a folder.
        measure: the figures of its card, Markdown, of the model in a folder and the held-out photographs.
        command: what trains it again.
    """

    name: str
    title: str
    about: str
    build: Callable[[], torch.nn.Module]
    loss: Loss
    export: Callable[[torch.nn.Module, Path], None]
    measure: Callable[[Path, Sequence[Pixels]], str]
    command: Callable[[ModelTrainingConfig], str]


def train_model(trainee: Trainee, training: TrainingConfig, config: ModelTrainingConfig, report: Report) -> TrainedModel:
    """Trains a model, measures it on held-out photographs and writes its card: what it is, made of what, and how good.

    ``report`` is told every 50 steps how far it is. What was written is measured, not what is in memory: float16 storage is part
    of the model. The seed of ``training`` gives way to that of ``config``.

    Raises:
        FileExistsError: the output holds a checkpoint and ``resume`` was not asked for.
        FloatingPointError: the loss is no finite number any more.
        ValueError: the device is missing, there are too few photographs, or the checkpoint is of another run.
    """
    training = replace(training, seed=config.seed)
    output = Path(config.output)
    split = split_photographs(config.inputs, config.val, max(side for side, _ in training.patches))
    state = _fit(trainee, training, config, split, report)
    learned, held_out = (Counter((one.label.origin, one.label.licence) for one in part) for part in split[:2])
    text = render(
        "research/training/model_card.md.j2",
        trainee=trainee,
        command=trainee.command(replace(config, steps=state.step, minutes=None, resume=False)),
        state=state,
        parameters=sum(parameter.numel() for parameter in state.model.parameters()),
        device=next(state.model.parameters()).device.type,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        learned=learned,
        held_out=held_out,
        losses=split.losses,
        figures=trainee.measure(output, [photograph.pixels for photograph in split.held_out]),
    )
    card = output / CARD
    card.write_text(text, encoding="utf-8")
    return TrainedModel(str(output), str(card), state.step, round(state.seconds, 3))


def _fit(
    trainee: Trainee, training: TrainingConfig, config: ModelTrainingConfig, split: TrainingSplit, report: Report
) -> TrainingState:
    """Trains until the budget is spent; the model and a checkpoint are in ``config.output`` every two minutes and at the end.

    An interrupted run, resumed, gives the weights of one that was not interrupted (on the same machine and thread count).
    """
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
    wanted = "" if steps is None else f"/{steps:,}"
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
        if state.step % REPORT_STEPS == 0:
            mean = sum(losses) / len(losses)
            report(f"step {state.step:,}{wanted}, loss {mean:.4f}, {duration(state.seconds)}")
            losses.clear()
        if now - kept >= CHECKPOINT_SECONDS:
            keep()
            kept = now
    keep()
    return state
