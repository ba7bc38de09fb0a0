"""The card of a convolutional lens."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causalprint.research.training.config import LensConfig
    from causalprint.research.training.lens import LearnedTrunk, LensTraining
    from causalprint.research.training.lens_data import Surveys


def lens_card(config: LensConfig, how: LensTraining, residual: str, found: LearnedTrunk, surveys: Surveys, device: str) -> str:
    """The card, Markdown: what the lens is, how it was learned and from what, and how good it is.

    Args:
        config: what was asked for.
        how: how it was trained.
        residual: its spec, up to the first space; empty where the image is read.
        found: what came of it.
        surveys: of the images.
        device: that trained it.
    """
    import torch

    from causalprint.research.training.lens_data import losses

    learned, held_out = surveys.learned.counts, surveys.held_out.counts
    classes = len(surveys.learned.sources)
    kinds = sorted(learned.keys() | held_out.keys())
    parameters = sum(value.numel() for value in found.trunk.parameters())
    sees = f"residuals of `{residual.partition(' ')[0]}`, magnified" if residual else "images as they are"
    begun = f"from `{config.init}`" if config.init else "from scratch"
    lines = [
        f"# {Path(config.output).name}",
        "",
        f"A convolutional lens, learned {begun} on {sees}: mean and standard deviation of each channel of a small convolutional",
        f"network, {2 * sum(found.trunk.config.channels)} numbers. It is for the reading `{config.reading}`.",
        "",
        f"{parameters:,} parameters, convolutions stored in float16.",
        "",
        "## Training",
        "",
        f"    {shlex.join(config.argv())}",
        "",
        f"{found.steps:,} steps of at most {how.batch} crops in {found.epochs} epochs on {device}, torch {torch.__version__}.",
        f"Crops of {how.crop} x {how.crop} pixels at native resolution, each time after other interventions on content and",
        "style. Sources weigh alike, and so do the origins of a source. The weights are those of the best epoch.",
        "",
        "## Images",
        "",
        "Held-out images share no content with those trained on.",
        "",
        "| source | origin | licence as stated | trained on | held out |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(kind)} | {learned.get(kind, 0)} | {held_out.get(kind, 0)} |" for kind in kinds),
        f"| all | | | {sum(learned.values())} | {sum(held_out.values())} |",
        *(f"\n{text[0].upper()}{text[1:]}." for text in losses(surveys)),
        "",
        "## Figures",
        "",
        f"Macro recall of a linear classifier on the lens, on the central crops of the held-out images: {found.recall:.3f}",
        f"({classes} sources; guessing gives {1 / classes:.3f}). The epoch was chosen by it, so that it flatters; and without",
        "inputs of other origins held out it rewards what an origin's images share.",
    ]
    return "\n".join(lines) + "\n"
