"""The card of a convolutional lens."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from causalprint.schemas.rendering import render

if TYPE_CHECKING:
    from causalprint.research.training.config import LensConfig
    from causalprint.research.training.lens import LearnedTrunk, LensTraining
    from causalprint.research.training.lens_data import Surveys


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

    from causalprint.research.training.lens_data import losses

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
        losses=losses(surveys),
        command=shlex.join(config.argv()),
        device=device,
        torch=torch.__version__,
    )
