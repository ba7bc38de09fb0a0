"""``causalprint lab train-prior``: a small diffusion model of photographs, the embedded default of the residuals."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from causalprint.models.residuals.prior import load_prior
from causalprint.pipelines.labelled.reader import Report
from causalprint.research.generators.denoising import judge
from causalprint.research.generators.prior import PriorConfig, VelocityLoss, build_prior, build_scheduler, export_prior
from causalprint.research.training.config import ModelTrainingConfig
from causalprint.research.training.loop import TrainingConfig
from causalprint.research.training.own_model import TrainedModel, Trainee, train_model
from causalprint.schemas.arrays import Pixels
from causalprint.schemas.model_spec import ResidualSpec
from causalprint.schemas.rendering import render

SHIPPED, TRAINING = PriorConfig(), TrainingConfig(learning_rate=4e-3)
"""The prior inside the package, and how it was trained."""
JUDGED = 32

ABOUT = """\
A diffusion model of photographs: a U-Net without attention (diffusers `UNet2DModel`) that predicts `v` under DDPM's linear
schedule of 1,000 steps. It is made for one-step denoising at low noise, where generators leave their fingerprints; most of its
training was there. `DDPMPipeline.from_pretrained` and `DDIMPipeline.from_pretrained` load it. It knows textures, not objects."""


def train_prior(
    config: ModelTrainingConfig,
    report: Report = lambda _: None,
    prior: PriorConfig = SHIPPED,
    training: TrainingConfig = TRAINING,
) -> TrainedModel:
    """Trains the prior; as :func:`~causalprint.research.training.own_model.train_model`. ``prior`` is its shape and its noise."""
    trainee = Trainee(
        f"prior {prior}",
        "causalprint-prior",
        ABOUT,
        partial(build_prior, prior),
        VelocityLoss(prior, build_scheduler()),
        lambda average, directory: export_prior(average, prior, directory),
        _measure,
        lambda again: shlex.join(again.argv()),
    )
    return train_model(trainee, training, config, report)


def _measure(output: Path, held_out: Sequence[Pixels]) -> str:
    written = load_prior(ResidualSpec("denoise", str(output)), "cpu")
    side = min(256, *(min(pixels.shape[:2]) // written.factor * written.factor for pixels in held_out))
    figures = judge(written, held_out[:: -(-len(held_out) // JUDGED)], side=side)
    return render("research/training/prior_figures.md.j2", figures=figures, side=side, judged=JUDGED)
