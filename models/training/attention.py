"""The attention attributor while it is trained; what it computes is :mod:`causalprint.models.attention`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from causalprint.models.attention import attention_scores, attention_shapes


class AttentionAttributor(nn.Module):
    """A transformer over the parts of a fingerprint, for K classes."""

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
