"""All that is trained together, so that one optimiser and one checkpoint hold it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from causalprint.models.attention import attention_scores, attention_shapes
from causalprint.models.network.fusion import FingerprintNetwork
from causalprint.models.training.recipe import Recipe
from causalprint.models.training.sample import CONTENT_DIM
from causalprint.schemas.tables import FINGERPRINT_DIM

HIDDEN = 128


class AttentionAttributor(nn.Module):
    """A transformer over the parts of a fingerprint, for K classes; see :mod:`causalprint.models.attention`."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        shapes = attention_shapes(classes)
        self.tensors = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(shape) * shape[0] ** -0.5) for name, shape in shapes.items() if name != "bias"}
        )
        self.tensors["bias"] = nn.Parameter(torch.zeros(classes))

    def forward(self, fingerprint: Tensor) -> Tensor:
        """Scores (N, K) of fingerprints (N, 128)."""
        scores: Tensor = attention_scores(dict(self.tensors.items()), fingerprint, torch.exp)
        return scores


class Critics(nn.Module):
    """What looks at fingerprints only while they are learned: the decoder that swaps them, and the adversary."""

    def __init__(self, width: int, origins: int) -> None:
        """Critics of fingerprints of ``width`` components, of images from so many ``origins``."""
        super().__init__()
        self.decoder = nn.Sequential(
            nn.Linear(FINGERPRINT_DIM + CONTENT_DIM, 2 * HIDDEN), nn.ReLU(), nn.Linear(2 * HIDDEN, width)
        )
        self.adversary = nn.Sequential(nn.Linear(FINGERPRINT_DIM, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, origins))

    def decode(self, fingerprint: Tensor, content: Tensor) -> Tensor:
        """Components (M, sum of C_s) of all lenses from fingerprints (M, 128) and codes of content (M, 32)."""
        found: Tensor = self.decoder(torch.cat([fingerprint, content], dim=1))
        return found


class Networks(nn.Module):
    """Fingerprint network, attributor and critics of a recipe, for lenses of ``sizes`` components."""

    def __init__(self, sizes: Sequence[int], classes: int, rivals: int, origins: int, recipe: Recipe) -> None:
        """Networks of so many ``classes``, and ``rivals`` of what is generated, from images of so many ``origins``."""
        super().__init__()
        self.fingerprint = FingerprintNetwork(sizes, recipe.fusion, autoencoder=recipe.autoencoder)
        self.attributor = (
            AttentionAttributor(classes) if recipe.attributor == "attention" else nn.Linear(FINGERPRINT_DIM, classes)
        )
        self.detector = nn.Linear(FINGERPRINT_DIM, rivals)
        self.critics = Critics(sum(sizes), origins)

    def scores(self, lenses: Sequence[Tensor]) -> Tensor:
        """Scores (M, K) of components (M, C_s) of each lens."""
        found: Tensor = self.attributor(self.fingerprint(lenses).fingerprint)
        return found
