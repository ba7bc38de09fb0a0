"""A small trunk of the convolutional lens, with random weights and lived-in normalisation."""

from __future__ import annotations

from pathlib import Path

import torch

from causalprint.models.lenses.convolutional import Trunk, TrunkConfig, open_trunk
from causalprint.schemas.model_spec import LensSpec

TINY = TrunkConfig(stem=4, stages=((1, 4, 3, 1, 1), (2, 8, 5, 2, 2)))


def tiny_trunk(seed: int = 0) -> Trunk:
    """In evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = Trunk(TINY)
        for part in trunk.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.get_buffer("running_mean").normal_(0, 0.2)
                part.get_buffer("running_var").uniform_(0.3, 2)
                torch.nn.init.uniform_(part.weight, 0.5, 1.5)
                torch.nn.init.normal_(part.bias, 0.5, 0.2)
    return trunk.eval()


def trunk_in(folder: Path) -> Trunk:
    """The one that was saved there."""
    return open_trunk(LensSpec("convolutional", str(folder)))[0]
