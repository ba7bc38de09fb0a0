"""Learns the trunk of a convolutional lens: crops in, a trunk out whose channel statistics tell sources apart.

What is minimised: cross-entropy of a linear classifier on the standardised statistics, and the supervised contrastive loss of
:func:`causalprint.models.training.objectives.contrast` on a projection of them. Everything random derives from (seed, epoch).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from causalprint.models.lenses.base import magnified
from causalprint.models.lenses.convolutional import Trunk, TrunkConfig, statistics
from causalprint.models.residuals.base import Residual
from causalprint.models.statistics.metrics import macro_recall
from causalprint.models.training.objectives import contrast
from causalprint.models.training.progress import Progress, resume, save

TRUNKS: Mapping[str, TrunkConfig] = {
    "small": TrunkConfig(stem=24, stages=((1, 16, 3, 1, 1), (2, 24, 3, 2, 4), (2, 40, 5, 2, 4), (2, 64, 3, 2, 4))),
    "lite0": TrunkConfig(),
}
"""Shapes to choose from: a tenth of the weights and half of the work, and EfficientNet-Lite0's."""
PROJECTED = 128
MOMENTUM = 0.1
"""Of the running statistics. The first batches are averaged evenly instead, since what these begin with, a variance of 1, is far
from that of most channels' statistics and would be forgotten only after many steps."""

Show = Callable[[Tensor], Tensor]
"""From images (N, 3, C, C), 0 to 1, to what the trunk sees of them, of the same shape and range; without gradients."""


class CropBatch(NamedTuple):
    """N labelled crops.

    Attributes:
        pixels: uint8 (N, C, C, 3).
        labels: int64 (N,), below the number of sources.
        origins, contents: int64 (N,), equal where they are the same; the numbers mean nothing beyond the batch.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    origins: npt.NDArray[np.int64]
    contents: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LensTraining:
    """How a trunk is trained.

    Attributes:
        epochs: at most.
        batch: crops of a step.
        rate: AdamW's learning rate, falling to nought along a cosine.
        decay: its weight decay.
        patience: epochs without a better macro recall on validation after which training stops.
        contrast: weight of the contrastive loss beside the cross-entropy's 1.
        hard: how many times a hard pair counts in it: another origin of the source, another source of the content.
        crop: side of the crops in pixels, cut at native resolution.
        buffer: decoded crops from which batches are drawn; what bounds memory.
        seed: of the first weights, order and interventions.
    """

    epochs: int = 30
    batch: int = 32
    rate: float = 2e-3
    decay: float = 1e-2
    patience: int = 6
    contrast: float = 0.2
    hard: float = 2.0
    crop: int = 256
    buffer: int = 1024
    seed: int = 0


class LearnedTrunk(NamedTuple):
    """What came of a training: the trunk of the best epoch, on the CPU in evaluation mode, and the best macro recall.

    ``epochs`` and ``steps`` are those that were done, over every run that had a part in it.
    """

    trunk: Trunk
    recall: float
    epochs: int
    steps: int


class LensNetwork(nn.Module):
    """A trunk with what is learned beside it and then left: a classifier and a projection of its statistics."""

    def __init__(self, trunk: Trunk, classes: int) -> None:
        super().__init__()
        size = 2 * sum(trunk.config.channels)
        self.trunk = trunk
        self.standardise = nn.BatchNorm1d(size, affine=False)
        self.classifier = nn.Linear(size, classes)
        self.projection = nn.Linear(size, PROJECTED)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, 3, C, C), 0 to 1 -> scores (N, K) and projections (N, 128), float32."""
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=x.device.type == "cuda"):
            maps = self.trunk(x.contiguous(memory_format=torch.channels_last))
        values = self.standardise(statistics([one.float() for one in maps]))
        return self.classifier(values), self.projection(values)


def build_network(shape: TrunkConfig | Trunk, classes: int, seed: int) -> LensNetwork:
    """A network to train: of that shape with random weights that follow from ``seed``, or from the weights of that trunk."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LensNetwork(shape if isinstance(shape, Trunk) else Trunk(shape), classes)
    return network.requires_grad_().train()


def show_residual(residual: Residual) -> Show:
    """Shows residuals as a learned lens is shown them."""

    def show(x: Tensor) -> Tensor:
        # On a CPU one at a time, which bounds memory and is how a residual is used.
        parts = x.split(1 if x.device.type == "cpu" else len(x))
        return torch.cat([magnified(residual(part).residual) for part in parts])

    return show


def learn_trunk(
    network: LensNetwork,
    show: Show,
    learned: Callable[[int], Iterable[CropBatch]],
    held_out: Callable[[], Iterable[CropBatch]],
    steps: int,
    config: LensTraining,
    device: torch.device,
    checkpoint: Path | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> LearnedTrunk:
    """Trains ``network`` until there are epochs enough, or none has been better for long; on a GPU in bfloat16.

    Args:
        network: of :func:`build_network`; changed in place.
        show: what the trunk sees of a crop.
        learned: from an epoch, from 0, to its batches, of at least two crops each; the same for the same epoch.
        held_out: batches never learned from; the epoch with the best macro recall on them is kept.
        steps: about how many batches an epoch has, for the learning rate.
        config: how.
        device: where.
        checkpoint: file that is written after every epoch, and gone on from where it is there.
        report: told after every epoch, when its checkpoint is written.

    Raises:
        FloatingPointError: the loss is no finite number any more.
        ValueError: an epoch has no batch.
    """
    network.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=config.decay)
    progress = Progress(0, -math.inf, {}, 0)
    if checkpoint is not None and checkpoint.exists():
        progress = resume(checkpoint, network, optimizer)
    while progress.epoch < config.epochs and progress.waited < config.patience:
        loss = _learn(network, optimizer, show, learned(progress.epoch), steps, progress.epoch, config)
        progress = progress.after(judge(network, show, held_out()), network)
        if checkpoint is not None:
            save(checkpoint, progress, network, optimizer)
        report(f"epoch {progress.epoch}/{config.epochs}, loss {loss:.4f}, validation {progress.last:.4f}")
    network.load_state_dict(progress.best)
    done = next(iter(optimizer.state.values()))["step"]
    return LearnedTrunk(network.trunk.to("cpu").eval(), progress.score, progress.epoch, int(done))


def judge(network: LensNetwork, show: Show, batches: Iterable[CropBatch]) -> float:
    """Macro recall of the classifier, in evaluation mode; the network is left in training mode."""
    device = network.classifier.weight.device
    labels, answers = [], []
    network.eval()
    with torch.no_grad():
        for batch in batches:
            labels.append(batch.labels)
            answers.append(network(show(_images(batch, device)))[0].argmax(dim=1).cpu().numpy())
    network.train()
    return macro_recall(np.concatenate(labels), np.concatenate(answers))


def _learn(
    network: LensNetwork,
    optimizer: torch.optim.Optimizer,
    show: Show,
    batches: Iterable[CropBatch],
    steps: int,
    epoch: int,
    config: LensTraining,
) -> float:
    """One epoch; returns the mean loss."""
    device = network.classifier.weight.device
    losses = []
    for step, batch in enumerate(batches):
        done = (epoch + min(step / steps, 1)) / config.epochs
        for group in optimizer.param_groups:
            group["lr"] = config.rate * (1 + math.cos(math.pi * done)) / 2
        labels, origins, contents = (torch.from_numpy(values).to(device) for values in batch[1:])
        _follow(network, MOMENTUM if epoch else max(MOMENTUM, 1 / (step + 1)))
        with torch.no_grad():
            seen = show(_images(batch, device))
        scores, projection = network(seen)
        loss = cross_entropy(scores, labels)
        loss = loss + config.contrast * contrast(projection, labels, origins, contents, config.hard)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.detach())
    if not losses:
        raise ValueError("an epoch has no batch of two crops to learn from; give more images")
    mean = float(torch.stack(losses).mean())
    if not math.isfinite(mean):
        raise FloatingPointError(f"the loss is {mean} in epoch {epoch + 1}; train with another seed, or from another --init")
    return mean


def _follow(network: nn.Module, momentum: float) -> None:
    """Lets running statistics follow those of the next batch by that share."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = momentum


def _images(batch: CropBatch, device: torch.device) -> Tensor:
    return torch.from_numpy(batch.pixels).to(device).permute(0, 3, 1, 2).float().div(255).contiguous()
