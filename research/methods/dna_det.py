"""DNA-Det: a network that first learns to tell transformations of images, then sources, patches of a class being drawn together.

Traces of an architecture are the same all over an image and resemble those of image processing, so the network learns from small
patches: first which transformation a patch went through, then which source made it, each with cross-entropy and a supervised
contrastive loss between patches (Khosla et al., arXiv 2004.11362; temperature 0.07).

Chosen here: 13 transformations in four families, applied to the training images themselves; three patches of 64 pixels an image;
both losses with weight 1; a third as many epochs on transformations as on sources.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torch.nn import functional

from causalprint.models.encodings import recompress
from causalprint.research.methods import cnn
from causalprint.research.methods.base import Kit, Method, Predict, Training
from causalprint.research.methods.images import pixels
from causalprint.schemas.arrays import Labels, Pixels

SIDE = 64
PATCHES = 3
TEMPERATURE = 0.07


def compress(quality: int, crop: Pixels, draw: np.random.Generator) -> Pixels:
    """JPEG of ``quality``."""
    return recompress(crop, quality)


def blur(deviation: float, crop: Pixels, draw: np.random.Generator) -> Pixels:
    """A Gaussian of ``deviation`` pixels."""
    return np.asarray(Image.fromarray(crop).filter(ImageFilter.GaussianBlur(deviation)))


def resample(factor: float, crop: Pixels, draw: np.random.Generator) -> Pixels:
    """Resized by ``factor`` and back."""
    image = Image.fromarray(crop)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC).resize(image.size, Image.Resampling.BICUBIC))


def add_noise(deviation: float, crop: Pixels, draw: np.random.Generator) -> Pixels:
    """Gaussian noise of ``deviation`` grey levels."""
    noisy = crop + draw.normal(0, deviation, crop.shape)
    return noisy.round().clip(0, 255).astype(np.uint8)


TRANSFORMATIONS: tuple[cnn.Augment, ...] = (
    lambda crop, _: crop,
    *(partial(compress, quality) for quality in (90, 70, 50)),
    *(partial(blur, deviation) for deviation in (0.5, 1.0, 2.0)),
    *(partial(resample, factor) for factor in (0.5, 0.75, 1.5)),
    *(partial(add_noise, deviation) for deviation in (2.0, 5.0, 10.0)),
)


class _Network(nn.Module):
    """A trunk, a projection for the contrast, and a linear layer for the classes."""

    def __init__(self, body: nn.Module, classes: int) -> None:
        super().__init__()
        self.body, self.projection, self.classes = body, nn.Linear(192, 64), nn.Linear(192, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classes(self.body(x))
        return logits

    def loss(self, x: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Cross-entropy and contrast of patches (N, 3, P, P) of classes ``targets`` (N,)."""
        found = self.body(x)
        return functional.cross_entropy(self.classes(found), targets, weights) + contrast(self.projection(found), targets)


def contrast(values: Tensor, targets: Tensor) -> Tensor:
    """Supervised contrastive loss (arXiv 2004.11362, equation 2) of (N, D) with classes (N,); 0 where no two share one."""
    unit = functional.normalize(values.float(), dim=1)
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    chances = functional.log_softmax((unit @ unit.T / TEMPERATURE).masked_fill(itself, -torch.inf), dim=1)
    alike = (targets[:, None] == targets) & ~itself
    among = alike.sum(dim=1)
    pulled = chances.masked_fill(~alike, 0).sum(dim=1)[among > 0] / among[among > 0]
    return -pulled.mean() if len(pulled) else values.sum() * 0


def fit(training: Training, kit: Kit) -> Predict:
    """Log-probabilities (M, K) of the network."""
    known, rows, targets, weights = cnn.targets_of(training, kit.device)
    crops = training.features
    body = cnn.seeded(training.seed, lambda: cnn.trunk(crops.shape[-1])).to(kit.device)

    def of_transformations(chosen: Labels, draw: np.random.Generator) -> Tensor:
        kinds = draw.integers(0, len(TRANSFORMATIONS), len(chosen))
        regions = cnn.random_patches(crops, rows[chosen], cnn.PATCH, draw)
        changed = np.stack([TRANSFORMATIONS[kind](region, draw) for kind, region in zip(kinds, regions, strict=True)])
        patches = cnn.random_patches(changed, np.repeat(np.arange(len(chosen)), PATCHES), SIDE, draw)
        return first.loss(cnn.to_images(patches, kit.device), torch.tensor(np.repeat(kinds, PATCHES), device=kit.device))

    def of_sources(chosen: Labels, draw: np.random.Generator) -> Tensor:
        each = np.repeat(chosen, PATCHES)
        patches = cnn.random_patches(crops, rows[each], SIDE, draw)
        return second.loss(cnn.to_images(patches, kit.device), targets[each], weights)

    first, second = (
        cnn.seeded(training.seed, partial(_Network, body, count)).to(kit.device) for count in (len(TRANSFORMATIONS), len(known))
    )
    cnn.optimise(first, of_transformations, len(rows), max(1, kit.epochs // 3), training.seed, kit.device)
    predict = cnn.predictor(second, training, known, SIDE, kit.device)
    cnn.optimise(second, of_sources, len(rows), kit.epochs, training.seed, kit.device, cnn.judge(predict, training))
    return predict


DNA_DET = Method(
    name="dna_det",
    title="DNA-Det",
    reference="Yang, Huang, Cao, Li, Li: Deepfake network architecture attribution, AAAI 2022, arXiv 2202.13843",
    published="not comparable: architectures of GANs trained on CelebA and LSUN, across seeds, losses and data sets",
    differs="a smaller network, 13 transformations instead of 170, few epochs, diffusion models, other publishers in the test",
    features=pixels,
    fit=fit,
)
