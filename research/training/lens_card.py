"""The card of a convolutional lens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from causalprint.schemas.rendering import render

if TYPE_CHECKING:
    from causalprint.research.training.lens import LearnedTrunk, LensTraining
    from causalprint.research.training.lens_data import LensConfig, Surveys


def lens_card(config: LensConfig, how: LensTraining, residual: str, learned: LearnedTrunk, surveys: Surveys, device: str) -> str:
    """The card, Markdown: what the lens is, how it was learned and from what, and how good it is.

    Args:
        config: what was asked for.
        how: how it was trained.
        residual: its spec, up to the first space; empty where the image is read.
        learned: what came of it.
        surveys: of the images.
        device: that trained it.
    """
    import torch

    counts, held_out = surveys.learned.counts, surveys.held_out.counts
    return render(
        "research/training/lens_card.md.j2",
        name=Path(config.output).name,
        config=config,
        how=how,
        residual=residual.partition(" ")[0],
        learned=learned,
        parameters=sum(value.numel() for value in learned.trunk.parameters()),
        classes=len(surveys.learned.sources),
        kinds=sorted(counts.keys() | held_out.keys()),
        counts=counts,
        held_out=held_out,
        command=command_line(config),
        device=device,
        torch=torch.__version__,
    )


def command_line(config: LensConfig) -> str:
    """The command that repeats a training."""
    words = ["causalprint lab train-lens", *config.inputs, f"--output {config.output}"]
    words += [f"--val {val}" for val in config.val]
    options = {"init": config.init, "residual": config.residual, "channels": config.channels}
    words += [f"--{name} {value}" for name, value in options.items() if value]
    words += [f"--reading {config.reading}", f"--epochs {config.epochs}", f"--seed {config.seed}", f"--device {config.device}"]
    words += [f"--label-field {config.label_field}"] if config.label_field != "source" else []
    return " ".join(words)
