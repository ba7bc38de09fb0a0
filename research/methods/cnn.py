"""What the networks among the baselines share: random patches, training with early stopping, scores over a grid.

A network learns from random mirrored patches at native resolution (never resized) and scores a crop by the mean log-probability
over a grid of patches that covers it. Sources weigh alike in the loss; the epoch with the highest macro recall on the validation
rows is kept, and where there are none the last. Everything random follows from ``Training.seed``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from causalprint.models.statistics.metrics import macro_recall
from causalprint.research.methods.base import Kit, Predict, Training
from causalprint.research.methods.estimators import every_source
from causalprint.schemas.arrays import Labels, Pixels, Scores

ModuleT = TypeVar("ModuleT", bound=nn.Module)

BATCH = 32
LEAST_STEPS = 8
"""Batches in an epoch, however few the images."""
RATE, DECAY = 2e-3, 1e-3
PATCH = 128

Patches = npt.NDArray[Any]
"""uint8 (levels 0 to 255) or floating (taken as they are), (N, P, P, channels)."""
Augment = Callable[[Pixels, np.random.Generator], Pixels]
"""One patch (P, P, 3) and the source of its randomness -> the patch that is learned from, of the same shape."""


def learn(training: Training, kit: Kit, make: Callable[[int, int], nn.Module], augment: Augment | None = None) -> Predict:
    """Trains a network on the rows that are not for validation; features are uint8 or floating (N, C, C, channels).

    Args:
        training: the rows.
        kit: device and epochs.
        make: channels, sources -> a network from float32 (N, channels, P, P) to logits (N, sources).
        augment: of each patch of pixels.

    Returns:
        log-probabilities, one crop at a time, so that no row depends on another.
    """
    known, rows, targets, weights = targets_of(training, kit.device)
    network = seeded(training.seed, lambda: make(training.features.shape[-1], len(known))).to(kit.device)

    def loss(chosen: Labels, draw: np.random.Generator) -> Tensor:
        patches = random_patches(training.features, rows[chosen], PATCH, draw)
        if augment is not None:
            patches = np.stack([augment(patch, draw) for patch in patches])
        return functional.cross_entropy(network(to_images(patches, kit.device)), targets[chosen], weights)

    predict = predictor(network, training, known, PATCH, kit.device)
    optimise(network, loss, len(rows), kit.epochs, training.seed, kit.device, judge(predict, training))
    return predict


def targets_of(training: Training, device: torch.device) -> tuple[Labels, Labels, Tensor, Tensor]:
    """What is learned: sources with rows to learn from (K',), these rows (N',), targets 0 … K'-1 (N',), and weights (K',).

    Weights are such that sources weigh alike in a weighted mean.
    """
    rows = np.flatnonzero(~training.validation)
    known, targets, counts = np.unique(training.labels[rows], return_inverse=True, return_counts=True)
    weights = torch.tensor(len(rows) / (len(known) * counts), dtype=torch.float32, device=device)
    return known, rows, torch.tensor(targets, device=device), weights


def optimise(
    network: nn.Module,
    loss: Callable[[Labels, np.random.Generator], Tensor],
    count: int,
    epochs: int,
    seed: int,
    device: torch.device,
    judged: Callable[[], float] | None = None,
) -> None:
    """Trains ``network`` in place by AdamW over one cycle of rates (Smith & Topin, arXiv 1708.07120), bf16 on a GPU.

    In an epoch each row comes once before any comes again.

    Args:
        network: on ``device``; left in evaluation mode.
        loss: indices of the rows of a batch, each below ``count``, and the source of randomness -> the loss.
        count: rows.
        epochs: over them.
        seed: of order and augmentation.
        device: where.
        judged: figure of merit of the network as it is; the best epoch is kept, the later of equals, and training ends when
            half of the epochs (at least three) brought nothing better. ``None`` keeps the last.
    """
    draw = np.random.default_rng(seed)
    batch = min(BATCH, max(8, count // LEAST_STEPS))
    steps = max(count // batch, LEAST_STEPS)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * steps)
    best, kept, since = -np.inf, copy.deepcopy(network.state_dict()), 0
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        for _ in range(epochs):
            network.train()
            order = np.concatenate([draw.permutation(count) for _ in range(-(-steps * batch // count))])
            for rows in order[: steps * batch].reshape(steps, batch):
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    value = loss(rows, draw)
                optimiser.zero_grad()
                torch.autograd.backward(value)
                optimiser.step()
                schedule.step()
            network.eval()
            found = 0.0 if judged is None else judged()
            since = 0 if found >= best else since + 1
            if found >= best:
                best, kept = found, copy.deepcopy(network.state_dict())
            if since >= max(3, epochs // 2):
                break
    network.load_state_dict(kept)
    network.eval()


def predictor(network: nn.Module, training: Training, known: Labels, side: int, device: torch.device) -> Predict:
    """Scores by ``network`` as it then is: mean log-probabilities over a grid of patches, (M, K), one crop at a time."""

    def predict(crops: Patches) -> Scores:
        with torch.inference_mode():
            logits = (network(to_images(grid(crop, side), device)).double() for crop in crops)
            rows = torch.stack([functional.log_softmax(each, dim=1).mean(dim=0) for each in logits])
        return every_source(rows.cpu().numpy(), known, training.classes)

    return predict


def judge(predict: Predict, training: Training) -> Callable[[], float] | None:
    """Macro recall of ``predict`` on the validation rows; ``None`` where there are none."""
    if not training.validation.any():
        return None
    features, labels = training.features[training.validation], training.labels[training.validation]
    return lambda: macro_recall(labels, predict(features).argmax(axis=1))


def random_patches(crops: Patches, rows: Labels, side: int, draw: np.random.Generator) -> Patches:
    """A random patch, mirrored at random, of each of ``rows`` of ``crops`` (N, C, C, channels), as (len(rows), P, P, channels).

    P is ``side``, or C where that is smaller.
    """
    size = crops.shape[1]
    side = min(side, size)
    places = draw.integers(0, size - side + 1, (len(rows), 2))
    mirrored = draw.random(len(rows)) < 0.5
    patches = (crops[row, top : top + side, left : left + side] for row, (top, left) in zip(rows, places, strict=True))
    return np.stack([patch[:, ::-1] if mirror else patch for patch, mirror in zip(patches, mirrored, strict=True)])


def grid(crop: Patches, side: int) -> Patches:
    """The fewest evenly spaced patches of ``side`` that cover ``crop`` (C, C, channels)."""
    size = len(crop)
    side = min(side, size)
    starts = np.linspace(0, size - side, -(-size // side)).round().astype(int)
    return np.stack([crop[top : top + side, left : left + side] for top in starts for left in starts])


def to_images(patches: Patches, device: torch.device) -> Tensor:
    """Patches (N, P, P, channels) as float32 (N, channels, P, P) on ``device``; bytes as 0 to 1."""
    images = torch.tensor(patches, device=device).permute(0, 3, 1, 2)  # in memory the channels stay last, which is faster
    return images.float().div(255) if images.dtype == torch.uint8 else images.float()


def seeded(seed: int, make: Callable[[], ModuleT]) -> ModuleT:
    """A module whose random initial weights follow from ``seed`` and leave torch's own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def standardisation(channels: int) -> nn.Module:
    """The first layer: channels less their mean, over their deviation, in all training batches alike (residuals are tiny)."""
    return nn.BatchNorm2d(channels, affine=False, momentum=None)


def convolution(before: int, after: int, stride: int = 1, activation: nn.Module | None = None) -> nn.Sequential:
    """3 by 3 convolution, normalisation, and ReLU where no other activation is given."""
    last = activation or nn.ReLU(inplace=True)
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), last)


def trunk(channels: int) -> nn.Sequential:
    """Half a million weights: float32 (N, channels, P, P), standardised here -> features (N, 192)."""
    widths = ((channels, 32, 2), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 192, 2))
    layers = [convolution(*width) for width in widths]
    return nn.Sequential(standardisation(channels), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
