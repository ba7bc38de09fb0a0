"""Yu19: the attribution network, a plain convolutional network on pixels whose image fingerprint is its last layer's input.

The paper's network goes from 128 pixels down by convolutions and average pooling, with leaky ReLU. Chosen here: the first
convolution strides by two and batches are normalised, so that two cores can train it; patches of 128 pixels, the paper's size.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from torch import nn

from causalprint.research.methods.base import Method
from causalprint.research.methods.cnn import convolution, learn, standardisation
from causalprint.research.methods.images import pixels

SLOPE = 0.2
WIDTHS = (24, 40, 80, 128)


def network(channels: int, sources: int) -> nn.Module:
    """A plain network of 130 thousand weights."""
    layers: list[nn.Module] = [standardisation(channels), convolution(channels, WIDTHS[0], 2, nn.LeakyReLU(SLOPE))]
    for before, after in pairwise(WIDTHS):
        layers += [convolution(before, after, 1, nn.LeakyReLU(SLOPE)), nn.AvgPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], sources))


YU19 = Method(
    name="yu19",
    title="Yu19",
    reference="Yu, Davis, Fritz: Attributing fake images to GANs, ICCV 2019, arXiv 1811.08180",
    published="accuracy 64.4 % on four generators of GM-GenImage without a real class (as rerun by arXiv 2509.15406)",
    differs="a smaller network, few epochs on a few thousand crops of many contents, other publishers in the test",
    features=pixels,
    fit=partial(learn, make=network),
)
