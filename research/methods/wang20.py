"""Wang20: a residual network on pixels, each patch blurred and compressed at random while it learns.

The paper's augmentation "Blur+JPEG (0.5)": with probability one half a Gaussian blur of a deviation from 0 to 3 pixels, with
probability one half JPEG of a quality from 30 to 100. Chosen here: a residual network of ResNet's basic blocks that two cores can
train from nothing.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torch.nn import functional

from causalprint.models.encodings import recompress
from causalprint.research.methods.base import Method
from causalprint.research.methods.cnn import convolution, learn, standardisation
from causalprint.research.methods.images import pixels
from causalprint.schemas.arrays import Pixels

CHANCE = 0.5
LARGEST_BLUR = 3.0
QUALITIES = (30, 100)


class _Block(nn.Module):
    """ResNet's basic block: two convolutions and a shortcut, half the side."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        second = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))
        self.body = nn.Sequential(convolution(before, after, 2), second)
        self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, 2, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


def network(channels: int, sources: int) -> nn.Module:
    """A residual network of 0.7 million weights."""
    blocks = [_Block(before, after) for before, after in ((24, 48), (48, 96), (96, 160))]
    return nn.Sequential(
        standardisation(channels),
        convolution(channels, 24, 2),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(160, sources),
    )


def blur_and_compress(patch: Pixels, draw: np.random.Generator) -> Pixels:
    """The paper's augmentation of one patch uint8 (P, P, 3)."""
    image = Image.fromarray(patch)
    if draw.random() < CHANCE:
        image = image.filter(ImageFilter.GaussianBlur(draw.uniform(0, LARGEST_BLUR)))
    if draw.random() < CHANCE:
        return recompress(np.asarray(image), int(draw.integers(QUALITIES[0], QUALITIES[1] + 1)))
    return np.asarray(image)


WANG20 = Method(
    name="wang20",
    title="Wang20",
    reference="Wang, Wang, Zhang, Owens, Efros: CNN-generated images are surprisingly easy to spot, CVPR 2020, arXiv 1912.11035",
    published="accuracy 81.9 % on four generators of GM-GenImage without a real class (as rerun by arXiv 2509.15406)",
    differs="a small residual network from scratch instead of an ImageNet ResNet50, few crops, other publishers in the test",
    features=pixels,
    fit=partial(learn, make=network, augment=blur_and_compress),
)
