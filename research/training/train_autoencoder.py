"""Trains the two small autoencoders whose decoders the demo and the aligned track tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from causalprint.research.training.config import ModelTrainingConfig
from causalprint.research.training.own_model import Report, Trainee, fit, write_card

if TYPE_CHECKING:
    from causalprint.research.generators.autoencoders import Decoder
    from causalprint.research.training.loop import TrainingConfig

ABOUT = {
    "nearest": """\
A small convolutional autoencoder (diffusers `AutoencoderTiny`): 8 latent channels at a quarter of the side. Its decoder doubles
the resolution by repeating pixels and convolving.""",
    "pixelshuffle": """\
A small residual autoencoder (diffusers `AutoencoderDC`): 8 latent channels at a quarter of the side. Its decoder doubles the
resolution by convolving to four times the channels and rearranging those into pixels.""",
}


class TrainedAutoencoder(NamedTuple):
    """What came of a training.

    Attributes:
        output: the model's folder, in diffusers format with ``card.md`` beside it.
        steps: done in all.
        seconds: spent on them.
        psnr: mean over held-out photographs, in dB.
    """

    output: Path
    steps: int
    seconds: float
    psnr: float


def train_autoencoder(
    config: ModelTrainingConfig, decoder: Decoder, report: Report | None = None, training: TrainingConfig | None = None
) -> TrainedAutoencoder:
    """Train an autoencoder, measure it on held-out photographs and write its card.

    Args:
        config: what was asked for.
        decoder: which of the two.
        report: called every 50 steps.
        training: patches and optimizer; its seed gives way to ``config.seed``.

    Raises:
        FileExistsError: the output holds a checkpoint and ``resume`` was not asked for.
        ValueError: the device is missing, there are too few photographs, or the checkpoint is of another run.
    """
    from dataclasses import replace
    from functools import partial

    import numpy as np

    from causalprint.models.sampling import reconstruct
    from causalprint.research.generators.autoencoders import build_autoencoder, export_autoencoder, reconstruction_loss
    from causalprint.research.training.loop import TrainingConfig
    from causalprint.research.training.photographs import split_photographs

    # The average may reach back less far than the prior's: a reconstruction has little noise in its gradients.
    training = replace(training or TrainingConfig(ema_decay=0.999), seed=config.seed)
    split = split_photographs(config.inputs, config.val, max(side for side, _ in training.patches))
    trainee = Trainee(
        f"autoencoder {decoder}",
        partial(build_autoencoder, decoder),
        reconstruction_loss,
        lambda average, directory: export_autoencoder(average, decoder, directory),
    )
    state = fit(trainee, training, config, split, report)

    output = Path(config.output)
    side = min(256, *(min(photograph.pixels.shape[:2]) for photograph in split.held_out))
    originals = np.stack([photograph.pixels[:side, :side] for photograph in split.held_out])
    errors = np.square(reconstruct(output, originals).astype(np.float32) - originals).mean(axis=(1, 2, 3))
    psnr = float(np.mean(20 * np.log10(255) - 10 * np.log10(errors)))
    write_card(
        output / "card.md",
        f"autoencoder-{decoder}",
        ABOUT[decoder],
        f"train_autoencoder({replace(config, steps=state.step, minutes=None, resume=False)}, {decoder!r})",
        state,
        split,
        f"Mean PSNR of `D(E(x))` on the held-out photographs, 8 bits in and out: {psnr:.2f} dB.",
    )
    return TrainedAutoencoder(output, state.step, state.seconds, psnr)
