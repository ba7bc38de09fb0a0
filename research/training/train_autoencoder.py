"""Trains the two small autoencoders whose decoders the demo and the aligned track tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from causalprint.models.sampling import reconstruct
from causalprint.pipelines.labelled.reader import Report
from causalprint.research.generators.autoencoders import Decoder, build_autoencoder, export_autoencoder, reconstruction_loss
from causalprint.research.training.config import ModelTrainingConfig
from causalprint.research.training.loop import TrainingConfig
from causalprint.research.training.own_model import TrainedModel, Trainee, train_model
from causalprint.schemas.arrays import Pixels

ABOUT = {
    "nearest": """\
A small convolutional autoencoder (diffusers `AutoencoderTiny`): 8 latent channels at a quarter of the side. Its decoder doubles
the resolution by repeating pixels and convolving.""",
    "pixelshuffle": """\
A small residual autoencoder (diffusers `AutoencoderDC`): 8 latent channels at a quarter of the side. Its decoder doubles the
resolution by convolving to four times the channels and rearranging those into pixels.""",
}
TRAINING = TrainingConfig(ema_decay=0.999)
"""The average may reach back less far than the prior's: a reconstruction has little noise in its gradients."""


def train_autoencoder(
    config: ModelTrainingConfig, decoder: Decoder, report: Report = lambda _: None, training: TrainingConfig = TRAINING
) -> TrainedModel:
    """Trains one of the two; as :func:`~causalprint.research.training.own_model.train_model`."""
    trainee = Trainee(
        f"autoencoder {decoder}",
        f"autoencoder-{decoder}",
        ABOUT[decoder],
        partial(build_autoencoder, decoder),
        reconstruction_loss,
        lambda average, directory: export_autoencoder(average, decoder, directory),
        _measure,
        lambda again: f"train_autoencoder({again}, {decoder!r})",
    )
    return train_model(trainee, training, config, report)


def _measure(output: Path, held_out: Sequence[Pixels]) -> str:
    side = min(256, *(min(pixels.shape[:2]) for pixels in held_out))
    originals = np.stack([pixels[:side, :side] for pixels in held_out])
    errors = np.square(reconstruct(output, originals).astype(np.float32) - originals).mean(axis=(1, 2, 3))
    psnr = float(np.mean(20 * np.log10(255) - 10 * np.log10(errors)))
    return f"Mean PSNR of `D(E(x))` on the held-out photographs, 8 bits in and out: {psnr:.2f} dB."
