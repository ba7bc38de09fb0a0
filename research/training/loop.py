"""A training loop whose every step can be repeated: shared by the diffusion prior and the autoencoders.

Everything random in step ``n`` derives from ``(seed, n)`` alone. An interrupted run that goes on from its last
checkpoint therefore gives the weights of a run that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from causalprint.models.training.progress import optimizer_tensors, part_of, read_checkpoint, restore_optimizer, write_checkpoint
from causalprint.schemas.arrays import Pixels

Loss = Callable[[torch.nn.Module, torch.Tensor, np.random.Generator], torch.Tensor]
"""From a model, images (n, 3, side, side) in [-1, 1] and the step's generator to a scalar."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained, whatever it computes.

    Attributes:
        patches: ``(side in pixels, patches per step)`` pairs that the steps take in turn. Several sides, so that the
            statistics of larger images are no surprise to the model.
        learning_rate: peak of the schedule ``min(step / warmup, sqrt(warmup / step))``, which has no horizon: a run
            can be prolonged without having been planned so.
        warmup: steps until the peak.
        ema_decay: decay per step of the exponential moving average of the weights, which is what gets exported.
        bfloat16: autocast to bfloat16; the weights stay in float32.
        seed: seeds the first weights and everything drawn later.
    """

    patches: tuple[tuple[int, int], ...] = ((64, 16), (128, 4))
    learning_rate: float = 2e-3
    warmup: int = 500
    ema_decay: float = 0.9995
    bfloat16: bool = True
    seed: int = 0


@dataclass
class TrainingState:
    """What a checkpoint holds.

    Attributes:
        model: the weights as the last step left them.
        average: their moving average, which is what gets exported.
        optimizer: of ``model``.
        step: steps done.
        seconds: time spent on them, over every run that had a part in it.
    """

    model: torch.nn.Module
    average: torch.nn.Module
    optimizer: torch.optim.Adam
    step: int
    seconds: float = 0.0


def start(build: Callable[[], torch.nn.Module], config: TrainingConfig, device: torch.device) -> TrainingState:
    """A fresh state at step 0, its first weights seeded. The global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = build().to(device)
        average = build().to(device).requires_grad_(False)
    average.load_state_dict(model.state_dict())
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
    return TrainingState(model, average, optimizer, 0)


def draw_patches(photographs: Sequence[Pixels], side: int, count: int, rng: np.random.Generator) -> Pixels:
    """``count`` square crops at native resolution, each flipped and turned at random: uint8 (count, side, side, 3).

    No photograph may be shorter than ``side``; each is as likely as any other.
    """
    patches = np.empty((count, side, side, 3), dtype=np.uint8)
    for patch in patches:
        photograph = photographs[int(rng.integers(len(photographs)))]
        top = rng.integers(photograph.shape[0] - side + 1)
        left = rng.integers(photograph.shape[1] - side + 1)
        crop = photograph[top : top + side, left : left + side]
        if rng.integers(2):
            crop = crop[:, ::-1]
        # Photographs stand upright, but any orientation of a patch is as good an example of fine structure.
        patch[:] = np.rot90(crop, int(rng.integers(4)))
    return patches


def train_step(state: TrainingState, photographs: Sequence[Pixels], config: TrainingConfig, loss: Loss) -> float:
    """One optimizer step on fresh patches of uint8 (height, width, 3) each; advances ``state`` in place and returns the loss."""
    rng = np.random.default_rng((config.seed, state.step))
    side, count = config.patches[state.step % len(config.patches)]
    device = next(state.model.parameters()).device
    patches = torch.from_numpy(draw_patches(photographs, side, count, rng)).to(device)
    images = patches.permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1

    state.step += 1
    for group in state.optimizer.param_groups:
        group["lr"] = config.learning_rate * min(state.step / config.warmup, (config.warmup / state.step) ** 0.5)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.bfloat16):
        value = loss(state.model, images, rng)
    state.optimizer.zero_grad()
    value.backward()
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
    state.optimizer.step()

    # The average forgets the first weights quickly, then reaches back about 1 / (1 - ema_decay) steps.
    decay = min(config.ema_decay, state.step / (state.step + 10))
    with torch.no_grad():
        for averaged, current in zip(state.average.parameters(), state.model.parameters(), strict=True):
            averaged.lerp_(current, 1 - decay)
    return float(value.detach())


def save_checkpoint(state: TrainingState, run: str, path: Path) -> None:
    """Writes everything that the next step depends on; a kill at any moment leaves the old file or the new.

    ``run`` says what must be the same when the run goes on: a digest of the configuration and of the photographs.
    """
    tensors = {f"model.{name}": tensor for name, tensor in state.model.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in state.average.state_dict().items()}
    tensors |= optimizer_tensors(state.optimizer)
    metadata = {"step": str(state.step), "seconds": repr(state.seconds), "run": run}
    write_checkpoint(path, tensors, metadata)


def load_checkpoint(state: TrainingState, run: str, path: Path) -> None:
    """Bring ``state``, fresh from :func:`start`, to where :func:`save_checkpoint` left off.

    Raises:
        ValueError: the checkpoint is of another run.
    """
    metadata, tensors = read_checkpoint(path, run, "photographs, another seed or another configuration", "use another folder")
    state.model.load_state_dict(part_of(tensors, "model."))
    state.average.load_state_dict(part_of(tensors, "average."))
    restore_optimizer(state.optimizer, tensors)
    state.step, state.seconds = int(metadata["step"]), float(metadata["seconds"])
