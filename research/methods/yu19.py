"""Yu19: the attribution network, a plain convolutional network on pixels whose image fingerprint is its last layer's input.

The paper's network goes from 128 pixels down by convolutions and average pooling, with leaky ReLU. Chosen here: the first
convolution strides by two and batches are normalised, so that two cores can train it; patches of 128 pixels, the paper's size.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from causalprint.research.methods.base import Crops, Kit, Method, Predict, Training
from causalprint.research.methods.cnn import Mean, learn, standardisation

SLOPE = 0.2
WIDTHS = (24, 40, 80, 128)


def network(channels: int, sources: int) -> nn.Module:
    """A plain network of 130 thousand weights."""
    layers: list[nn.Module] = [standardisation(channels), _convolution(channels, WIDTHS[0], 2)]
    for before, after in pairwise(WIDTHS):
        layers += [_convolution(before, after, 1), nn.AvgPool2d(2)]
    return nn.Sequential(*layers, Mean(), nn.Linear(WIDTHS[-1], sources))


def _convolution(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE))


def features(crops: Crops, kit: Kit) -> Crops:
    """The crops themselves."""
    return crops


def fit(training: Training, kit: Kit) -> Predict:
    """Log-probabilities (M, K) of the network."""
    return learn(training, kit, network)


YU19 = Method(
    name="yu19",
    title="Yu19",
    reference="Yu, Davis, Fritz: Attributing fake images to GANs, ICCV 2019, arXiv 1811.08180",
    published="accuracy 64.4 % on four generators of GM-GenImage without a real class (as rerun by arXiv 2509.15406)",
    differs="a smaller network, few epochs on a few thousand crops of many contents, other publishers in the test",
    features=features,
    fit=fit,
)
