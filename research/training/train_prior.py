"""``causalprint lab train-prior``: a small diffusion model of photographs, the embedded default of the residuals."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from causalprint.research.training.config import ModelTrainingConfig
from causalprint.research.training.own_model import Report, Trainee, fit, write_card
from causalprint.schemas.rendering import render

if TYPE_CHECKING:
    from causalprint.research.generators.denoising import DenoisingFigure
    from causalprint.research.generators.prior import PriorConfig
    from causalprint.research.training.loop import TrainingConfig

JUDGED = 32

ABOUT = """\
A diffusion model of photographs: a U-Net without attention (diffusers `UNet2DModel`) that predicts `v` under DDPM's linear
schedule of 1,000 steps. It is made for one-step denoising at low noise, where generators leave their fingerprints; most of its
training was there. `DDPMPipeline.from_pretrained` and `DDIMPipeline.from_pretrained` load it. It knows textures, not objects."""


class TrainedPrior(NamedTuple):
    """What came of a training.

    Attributes:
        output: the model's folder, a diffusers pipeline with ``card.md`` beside it.
        steps: done in all.
        seconds: spent on them.
        figures: how the model does on held-out photographs, a row a noise level.
    """

    output: Path
    steps: int
    seconds: float
    figures: tuple[DenoisingFigure, ...]


def train_prior(
    config: ModelTrainingConfig,
    report: Report | None = None,
    prior: PriorConfig | None = None,
    training: TrainingConfig | None = None,
) -> TrainedPrior:
    """Train the prior, judge it on held-out photographs and write its card.

    Args:
        config: what was asked for.
        report: called every 50 steps.
        prior: architecture and noise; the defaults are those of the model that ships.
        training: patches and optimizer, likewise; its seed gives way to ``config.seed``.

    Raises:
        FileExistsError: the output holds a checkpoint and ``resume`` was not asked for.
        ValueError: the device is missing, there are too few photographs, or the checkpoint is of another run.
    """
    from dataclasses import replace
    from functools import partial

    from causalprint.models.residuals.prior import load_prior
    from causalprint.research.generators.denoising import judge
    from causalprint.research.generators.prior import PriorConfig, VelocityLoss, build_prior, build_scheduler, export_prior
    from causalprint.research.training.loop import TrainingConfig
    from causalprint.research.training.photographs import split_photographs
    from causalprint.schemas.model_spec import ResidualSpec

    prior = prior or PriorConfig()
    training = replace(training or TrainingConfig(), seed=config.seed)
    split = split_photographs(config.inputs, config.val, max(side for side, _ in training.patches))
    trainee = Trainee(
        f"prior {prior}",
        partial(build_prior, prior),
        VelocityLoss(prior, build_scheduler()),
        lambda average, directory: export_prior(average, prior, directory),
    )
    state = fit(trainee, training, config, split, report)

    # What was written is judged, not what is in memory: float16 storage is part of the model.
    output = Path(config.output)
    written = load_prior(ResidualSpec("denoise", config.output), "cpu")
    held_out = [photograph.pixels for photograph in split.held_out]
    side = min(256, *(min(pixels.shape[:2]) // written.factor * written.factor for pixels in held_out))
    figures = judge(written, held_out[:: -(-len(held_out) // JUDGED)], side=side)
    command = shlex.join(replace(config, steps=state.step, minutes=None).argv())
    told = render("research/training/prior_figures.md.j2", figures=figures, side=side, judged=JUDGED)
    write_card(output / "card.md", "causalprint-prior", ABOUT, command, state, split, told)
    return TrainedPrior(output, state.step, state.seconds, figures)
