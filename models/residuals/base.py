"""What every residual is: a function of an image that says what a pretrained model cannot explain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from causalprint.schemas.model_spec import ResidualSpec

Self = TypeVar("Self")


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
        ...

    @property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 (hex) of every file that decides its values, by path below the model's directory."""
        ...

    def __call__(self, x: Tensor) -> Reconstruction:
        """The reconstruction and residual of ``x``, float32 (N, 3, H, W) in 0 to 1, any height and width from 1."""
        ...


def gradients_where_asked(call: Callable[[Self, Tensor], Reconstruction]) -> Callable[[Self, Tensor], Reconstruction]:
    """A residual's call in inference mode, unless the image that it is given requires gradients."""

    @wraps(call)
    def guarded(self: Self, x: Tensor) -> Reconstruction:
        with torch.inference_mode(not x.requires_grad):
            return call(self, x)

    return guarded


def subtract(x: Tensor, reconstruction: Tensor) -> Reconstruction:
    """The signed residual (arXiv 2509.15406: r = X - X̂) of ``x`` against ``reconstruction``, both (N, 3, H, W)."""
    return Reconstruction(reconstruction, x - reconstruction)


def pad_to_factor(x: Tensor, factor: int) -> Tensor:
    """``x`` (N, C, H, W) reflected at its bottom and right until both sides are multiples of ``factor``, and at least two of it.

    Only there, so that the image's own pixel grid stays in phase with the model's (and the generator's, for a whole image).
    The reflection goes back and forth as often as a small image needs; torch's own padding refuses that. Crop the result
    with ``[..., :H, :W]``. Two factors at least, since group normalisation has no statistics over a single pixel.
    """
    height, width = x.shape[-2:]
    rows = reflected(height, _padded(height, factor), x.device)
    columns = reflected(width, _padded(width, factor), x.device)
    if len(rows) > height:
        x = x.index_select(-2, rows)
    if len(columns) > width:
        x = x.index_select(-1, columns)
    return x


def _padded(length: int, factor: int) -> int:
    return max(2, -(-length // factor)) * factor


def reflected(length: int, count: int, device: torch.device, first: int = 0) -> Tensor:
    """``count`` indices from ``first`` of 0, 1, …, length-1, length-2, …, 1, 0, 1, …: the border pixel is not repeated."""
    period = max(1, 2 * (length - 1))
    place = (torch.arange(count, device=device) + first) % period
    return torch.minimum(place, period - place).clamp(max=length - 1)
