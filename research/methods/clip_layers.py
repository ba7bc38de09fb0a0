"""Few-shot CLIP layers: every image weighs the blocks of a CLIP-ViT for itself, and sources are prototypes.

Lee & Yi's adaptive integration: z = sum over blocks l of w_l(image) b_l, with b_l the class token after block l; low blocks hold
the colour and texture by which generators differ, high ones the content. The weights are learned on the first sources; a new
source is a prototype, the mean of its few images' z, and changes nothing of the others.

Chosen here: tokens standardised over the training images; w is a softmax over a network of one hidden layer of 64; z at length 1
against prototypes at length 1, by cosine at temperature 1/16; the prototypes that are learned with w give way to class means.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from causalprint.research.methods.base import Kit, Method, Predict, Training, UnavailableError
from causalprint.research.methods.cnn import judge, optimise, seeded, targets_of
from causalprint.research.methods.estimators import every_source
from causalprint.research.methods.images import each_tensor
from causalprint.research.methods.loaded import clip_of
from causalprint.schemas.arrays import Crops, Labels, Scores

HIDDEN = 64
SHARPNESS = 16.0
PASSES = 5
"""Epochs for each of the kit's: they cost next to nothing beside a convolutional network's."""


class Integration(nn.Module):
    """Weighs the blocks of each image: tokens float32 (N, L, D) -> z (N, D) at length 1."""

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        """Standardises by ``mean`` and ``scale`` (L, D)."""
        super().__init__()
        depth, width = mean.shape
        self.mean, self.scale = mean, scale
        self.weigh = nn.Sequential(nn.Flatten(), nn.Linear(depth * width, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, depth))

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        standardised = (tokens - self.mean) / self.scale
        weights = torch.softmax(self.weigh(standardised), dim=1)
        return functional.normalize((weights[:, :, None] * standardised).sum(dim=1), dim=1)


def features(crops: Crops, kit: Kit) -> npt.NDArray[np.float16]:
    """Class tokens after each block, float16 (N, L, D)."""
    lens = clip_of(kit)
    if lens.blocks is None:
        raise UnavailableError(f"lens {lens.name!r} has no transformer blocks: give a vision transformer")
    return each_tensor(crops, lens.blocks, kit.device).clip(-65504, 65504).astype(np.float16)


def fit(training: Training, kit: Kit) -> Predict:
    """Logits (M, K): cosines between z and the prototypes over the temperature."""
    known, rows, targets, weights = targets_of(training, kit.device)
    learned = _tensor(training.features, kit.device)[torch.from_numpy(rows)]
    mean, scale = learned.mean(dim=0), learned.std(dim=0, correction=0) + 1e-3
    integration = seeded(training.seed, lambda: Integration(mean, scale)).to(kit.device)

    def prototypes() -> Tensor:
        """The mean z of each source's images at length 1, (K', D)."""
        with torch.no_grad():
            means = [integration(learned[targets == target]).mean(dim=0) for target in range(len(known))]
            return functional.normalize(torch.stack(means), dim=1)

    directions = nn.Parameter(prototypes())
    network = nn.ModuleList([integration, nn.ParameterList([directions])])

    def loss(chosen: Labels, _: np.random.Generator) -> Tensor:
        cosines = integration(learned[torch.from_numpy(chosen)]) @ functional.normalize(directions, dim=1).T
        return functional.cross_entropy(SHARPNESS * cosines, targets[chosen], weights)

    def rule() -> Predict:
        chosen = prototypes()

        def predict(unknown: npt.NDArray[Any]) -> Scores:
            with torch.inference_mode():
                found = [SHARPNESS * (integration(_tensor(row[None], kit.device)) @ chosen.T) for row in unknown]
            return every_source(torch.cat(found).double().cpu().numpy(), known, training.classes)

        return predict

    judged = judge(lambda unknown: rule()(unknown), training)  # noqa: PLW0108 - of the epoch's prototypes
    optimise(network, loss, len(rows), PASSES * kit.epochs, training.seed, kit.device, judged)
    return rule()


def _tensor(tokens: npt.NDArray[Any], device: torch.device) -> Tensor:
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
