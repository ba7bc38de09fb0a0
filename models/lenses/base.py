"""What a lens is: a pure function of a residual or an image that gives a fixed number of features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from causalprint.models.residuals.base import Reconstruction

Reading = Literal["residual", "difference", "image"]
READINGS: tuple[Reading, ...] = ("residual", "difference", "image")


@dataclass(frozen=True, slots=True)
class Lens:
    """One way to look at a residual (or an image), without learned weights.

    Attributes:
        name: its key in ``causalprint.models.lenses.LENSES``.
        size: features it gives.
        apply: z, float32 (N, 3, H, W) with sides of at least 64, finite -> float32 (N, size), finite. Each row depends on
            its image alone. Heavy-tailed quantities come as logarithms, so that a linear head can use them as they are.
        scalar: its column in ``causalprint.schemas.tables.EMBEDDINGS``.
        summarise: z -> float32 (N,), the value of that column.
    """

    name: str
    size: int
    apply: Callable[[Tensor], Tensor]
    scalar: str
    summarise: Callable[[Tensor], Tensor]


def read(lens: Lens, reading: Reading, x: Tensor, reconstruction: Reconstruction) -> Tensor:
    """The features (N, ``lens.size``) of ``lens`` under one of three readings of an image and its reconstruction.

    Args:
        lens: the lens, φ.
        reading: ``residual``: φ(r), as arXiv 2509.15406 writes it; ``difference``: φ(X) - φ(X̂), as its figure draws it;
            ``image``: φ(X), without any model.
        x: X, float32 (N, 3, H, W), 0 to 1.
        reconstruction: what a residual made of ``x``.
    """
    if reading == "residual":
        return lens.apply(reconstruction.residual)
    if reading == "difference":
        return lens.apply(x) - lens.apply(reconstruction.reconstruction)
    return lens.apply(x)
