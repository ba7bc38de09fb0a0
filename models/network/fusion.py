"""From lens features to 128 numbers: a token from each lens, their fusion, and the variational autoencoder.

Xu et al., arXiv 2509.15406: F = Σ w_s φ_s(r), each lens projected to 128 (how is not stated: linearly here), with weights w of
three kinds. F0: equal. F1: by each lens's accuracy alone, on validation. F2: by cross-attention (of what is not stated: here a
learned query attends to the image's tokens, so the weights depend on the image). How the tensors of a bundle come about is
:mod:`causalprint.models.training.head`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from causalprint.models.bundles.manifest import Feature, Network
from causalprint.schemas.tables import FINGERPRINT_DIM

CODE_DIM = 64


class Fused(NamedTuple):
    """What the network makes of N images.

    Attributes:
        fingerprint: (N, 128).
        fused: (N, 128), before the autoencoder; the same tensor where there is none.
        mean, spread: (N, 64), the code's mean and log variance; of no columns where there is no autoencoder.
    """

    fingerprint: Tensor
    fused: Tensor
    mean: Tensor
    spread: Tensor


class Autoencoder(nn.Module):
    """128 -> 64 -> 128 (the paper draws the code as 8 x 8); in evaluation the code is its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(FINGERPRINT_DIM, FINGERPRINT_DIM)
        self.mean = nn.Linear(FINGERPRINT_DIM, CODE_DIM)
        self.spread = nn.Linear(FINGERPRINT_DIM, CODE_DIM)
        self.widen = nn.Linear(CODE_DIM, FINGERPRINT_DIM)
        self.out = nn.Linear(FINGERPRINT_DIM, FINGERPRINT_DIM)

    def forward(self, fused: Tensor, noise: Tensor | None = None) -> Fused:
        """Encodes and decodes fused fingerprints (N, 128); ``noise`` (N, 64) samples the code, without it the mean is decoded."""
        hidden = self.hidden(fused).relu()
        mean, spread = self.mean(hidden), self.spread(hidden)
        code = mean if noise is None else mean + noise * (spread / 2).exp()
        return Fused(self.out(self.widen(code).relu()), fused, mean, spread)


class FingerprintNetwork(nn.Module):
    """Standardised lens features, one tensor (N, D_s) a lens, to fingerprints."""

    def __init__(self, sizes: Sequence[int], fusion: str, *, autoencoder: bool) -> None:
        """A network for S lenses of ``sizes``; ``fusion`` as of :class:`~causalprint.models.training.recipe.Recipe`."""
        super().__init__()
        self.fusion = fusion
        self.tokens = nn.ModuleList(nn.Linear(size, FINGERPRINT_DIM) for size in sizes)
        self.weights: Tensor
        self.register_buffer("weights", torch.ones(len(sizes)))
        if fusion == "f2":
            self.query = nn.Parameter(torch.randn(FINGERPRINT_DIM) * FINGERPRINT_DIM**-0.5)
            self.key = nn.Linear(FINGERPRINT_DIM, FINGERPRINT_DIM, bias=False)
        self.autoencoder = Autoencoder() if autoencoder else None

    def forward(self, lenses: Sequence[Tensor], noise: Tensor | None = None) -> Fused:
        """Fingerprints of lens features; ``noise`` as of :class:`Autoencoder`."""
        tokens = torch.stack([project(values) for project, values in zip(self.tokens, lenses, strict=True)], dim=1)
        fused = (tokens * self.shares(tokens)[..., None]).sum(dim=1)
        if self.autoencoder is None:
            nothing = fused[:, :0]
            return Fused(fused, fused, nothing, nothing)
        decoded: Fused = self.autoencoder(fused, noise)
        return decoded

    def shares(self, tokens: Tensor) -> Tensor:
        """Weights (N, S) of tokens (N, S, 128); each row sums to S."""
        if self.fusion != "f2":
            return self.weights / self.weights.mean() * torch.ones_like(tokens[..., 0])
        scores = self.key(tokens) @ self.query * FINGERPRINT_DIM**-0.5
        shares: Tensor = scores.softmax(dim=1) * tokens.shape[1]
        return shares


def load_network(tensors: Mapping[str, Tensor], features: Sequence[Feature], network: Network) -> FingerprintNetwork:
    """The fingerprint network of a bundle, in evaluation mode; it takes standardised features (N, D_s) of each lens."""
    loaded = FingerprintNetwork([feature.size for feature in features], network.fusion, autoencoder=network.autoencoder)
    state = {key.removeprefix("network."): value for key, value in tensors.items() if key.startswith("network.")}
    state["weights"] = loaded.weights
    for index, feature in enumerate(features):
        state[f"tokens.{index}.weight"] = tensors[f"{feature.key}.projection"].float() * tensors[f"{feature.key}.gain"]
        nothing = torch.zeros(FINGERPRINT_DIM)
        shared = tensors["bias"] if index == 0 and network.fusion != "f2" else nothing
        state[f"tokens.{index}.bias"] = tensors.get(f"{feature.key}.bias", shared)
    loaded.load_state_dict({key: value.float() for key, value in state.items()})
    return loaded.eval().requires_grad_(requires_grad=False)
