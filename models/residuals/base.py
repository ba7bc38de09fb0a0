"""What every residual is: a function of an image that says what a pretrained model cannot explain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from causalprint.schemas.model_spec import ResidualSpec


class Reconstruction(NamedTuple):
    """What a residual model makes of ``N`` images.

    Attributes:
        reconstruction: X̂, float32 (N, 3, H, W), 0 to 1: clipped, as a pipeline would save it, and not rounded.
        residual: r = X - X̂, float32 (N, 3, H, W), signed, -1 to 1: exactly this difference.
    """

    reconstruction: Tensor
    residual: Tensor


class Residual(Protocol):
    """A loaded residual model in inference mode.

    A pure function: no state, no randomness but the fixed noise that its spec names, and no exchange between the images
    of a batch. Kernels may round differently for another batch size or thread count, so a caller who needs the same
    bits keeps both fixed. Where ``x`` requires gradients they flow through the model, whose own weights are fixed; a model that
    gives none (another runtime's) returns a ``reconstruction`` that requires none.
    """

    @property
    def spec(self) -> ResidualSpec:
        """What it was loaded from."""

    @property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 (hex) of every file that decides its values, by path below the model's directory."""

    def __call__(self, x: Tensor) -> Reconstruction:
        """The reconstruction and residual of ``x``, float32 (N, 3, H, W) in 0 to 1, any height and width from 1."""


@dataclass(frozen=True, slots=True)
class ModelResidual:
    """The residual of a model that takes images whose sides are multiples of a number; see :class:`Residual`.

    Attributes:
        spec: what it was loaded from.
        reconstruct: (N, 3, H, W) in 0 to 1, sides multiples of ``factor`` -> the model's rendering of it, not clipped.
        factor: in pixels.
        digests: as of :class:`Residual`.
    """

    spec: ResidualSpec
    reconstruct: Callable[[Tensor], Tensor]
    factor: int
    digests: Mapping[str, str]

    def __call__(self, x: Tensor) -> Reconstruction:
        """See :class:`Residual`; in inference mode unless ``x`` requires gradients."""
        height, width = x.shape[-2:]
        with torch.inference_mode(not x.requires_grad):
            rendered = self.reconstruct(pad_to_factor(x, self.factor))
            return subtract(x, rendered[..., :height, :width].clamp(0, 1))


def subtract(x: Tensor, reconstruction: Tensor) -> Reconstruction:
    """The signed residual (arXiv 2509.15406: r = X - X̂) of ``x`` against ``reconstruction``, both (N, 3, H, W)."""
    return Reconstruction(reconstruction, x - reconstruction)


def pad_to_factor(x: Tensor, factor: int) -> Tensor:
    """``x`` (N, C, H, W) reflected at its bottom and right until both sides are multiples of ``factor``, and at least two of it.

    Only there, so that the image's own pixel grid stays in phase with the model's (and the generator's, for a whole image).
    The reflection goes back and forth as often as a small image needs; torch's own padding refuses that. Crop the result
    with ``[..., :H, :W]``. Two factors at least, since group normalisation has no statistics over a single pixel.
    """
    for axis in (-2, -1):
        length = x.shape[axis]
        padded = max(2, -(-length // factor)) * factor
        if padded > length:
            x = x.index_select(axis, reflected(length, padded, x.device))
    return x


def reflected(length: int, count: int, device: torch.device, first: int = 0) -> Tensor:
    """``count`` indices from ``first`` of 0, 1, …, length-1, length-2, …, 1, 0, 1, …: the border pixel is not repeated."""
    period = max(1, 2 * (length - 1))
    place = (torch.arange(count, device=device) + first) % period
    return torch.minimum(place, period - place).clamp(max=length - 1)
