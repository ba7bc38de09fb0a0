"""Few-shot CLIP layers: every image weighs the blocks of a CLIP-ViT for itself, and sources are prototypes.

Lee & Yi's adaptive integration: z = sum over blocks l of w_l(image) b_l, with b_l the class token after block l; low blocks hold
the colour and texture by which generators differ, high ones the content. The weights are learned on the first sources; a new
source is a prototype, the mean of its few images' z, and changes nothing of the others.

Chosen here: tokens standardised over the training images; w is a softmax over a network of one hidden layer of 64; z at length 1
against prototypes at length 1, by cosine at temperature 1/16; the prototypes that are learned with w give way to class means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from causalprint.research.methods.base import Crops, Kit, Method, Predict, Training, UnavailableError
from causalprint.research.methods.cnn import judge, optimise, seeded, targets_of
from causalprint.research.methods.estimators import every_source
from causalprint.research.methods.images import each_tensor
from causalprint.research.methods.loaded import clip_of
from causalprint.schemas.model_spec import LensError

HIDDEN = 64
SHARPNESS = 16.0
PASSES = 5
"""Epochs for each of the kit's: they cost next to nothing beside a convolutional network's."""

Tokens = npt.NDArray[Any]
"""Class tokens after each block, (N, L, D)."""


class Integration(nn.Module):
    """Weighs the blocks of each image: tokens float32 (N, L, D) -> z (N, D) at length 1."""

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        """Standardises by ``mean`` and ``scale`` (L, D)."""
        super().__init__()
        depth, width = mean.shape
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.weigh = nn.Sequential(nn.Flatten(), nn.Linear(depth * width, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, depth))

    def weights(self, tokens: Tensor) -> Tensor:
        """w, (N, L), each row positive with sum 1."""
        logits: Tensor = self.weigh(self._standardise(tokens))
        return torch.softmax(logits, dim=1)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        weighted = self.weights(tokens)[:, :, None] * self._standardise(tokens)
        return functional.normalize(weighted.sum(dim=1), dim=1)

    def _standardise(self, tokens: Tensor) -> Tensor:
        standardised: Tensor = (tokens - self.get_buffer("mean")) / self.get_buffer("scale")
        return standardised


@dataclass(frozen=True, slots=True)
class Prototypes:
    """Sources as directions in the space of z.

    Attributes:
        integration: learned on the first sources, fixed since.
        directions: (K, D), each of length 1.
    """

    integration: Integration
    directions: Tensor

    def scores(self, tokens: Tensor) -> Tensor:
        """Logits (N, K) of tokens (N, L, D): cosines over the temperature."""
        cosines: Tensor = self.integration(tokens) @ self.directions.T
        return SHARPNESS * cosines


def prototype(integration: Integration, tokens: Tensor) -> Tensor:
    """The mean z of images of one source, tokens (N, L, D), at length 1: (1, D)."""
    with torch.no_grad():
        return functional.normalize(integration(tokens).mean(dim=0, keepdim=True), dim=1)


def features(crops: Crops, kit: Kit) -> npt.NDArray[np.float16]:
    """Class tokens after each block, float16 (N, L, D)."""
    lens = clip_of(kit)
    if lens.blocks is None:
        raise UnavailableError(f"lens {lens.name!r} has no transformer blocks: give a vision transformer")
    try:
        return each_tensor(crops, lens.blocks, kit.device).clip(-65504, 65504).astype(np.float16)
    except LensError as error:
        raise UnavailableError(str(error)) from error


def fit(training: Training, kit: Kit) -> Predict:
    """Logits (M, K)."""
    known, rows, targets, weights = targets_of(training, kit.device)
    tokens = _tensor(training.features, kit.device)
    learned = tokens[torch.from_numpy(rows)]
    scale = learned.std(dim=0, correction=0) + 1e-3
    integration = seeded(training.seed, lambda: Integration(learned.mean(dim=0), scale)).to(kit.device)
    assert isinstance(integration, Integration)

    def prototypes() -> Prototypes:
        of_each = [prototype(integration, learned[targets == target]) for target in range(len(known))]
        return Prototypes(integration, torch.cat(of_each))

    directions = nn.Parameter(prototypes().directions)
    network = nn.ModuleList([integration, nn.ParameterList([directions])])

    def loss(chosen: npt.NDArray[np.int64], _: np.random.Generator) -> Tensor:
        current = Prototypes(integration, functional.normalize(directions, dim=1))
        return functional.cross_entropy(current.scores(learned[torch.from_numpy(chosen)]), targets[chosen], weights)

    def rule(current: Prototypes) -> Predict:
        def predict(unknown: Tokens) -> npt.NDArray[np.float64]:
            with torch.inference_mode():
                found = [current.scores(_tensor(row[None], kit.device)).double().cpu().numpy() for row in unknown]
            return every_source(np.concatenate([np.zeros((0, len(known))), *found]), known, training.classes)

        return predict

    judged = judge(lambda unknown: rule(prototypes())(unknown), training)  # noqa: PLW0108 - of the epoch's prototypes
    optimise(network, loss, len(rows), PASSES * kit.epochs, training.seed, kit.device, judged)
    return rule(prototypes())


def _tensor(tokens: Tokens, device: torch.device) -> Tensor:
    return torch.tensor(tokens, device=device).float()


CLIP_LAYERS = Method(
    name="clip_layers",
    title="CLIP layers, few-shot",
    reference="Lee, Yi: Few-shot class-incremental model attribution using learnable representation from "
    "CLIP-ViT features, 2025, arXiv 2503.08148",
    published="not comparable: accuracy over sessions in which sources join one after another",
    differs="all sources at once; the kit's encoder (by default ViT-B/16 in 8 bits), other publishers in the test",
    features=features,
    fit=fit,
)
