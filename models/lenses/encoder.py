"""What every learned lens is, and how its encoder is shown an image: values and functions that all kinds share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class LensError(ValueError):
    """A learned lens that cannot be had: what was asked for, where it was looked for and what to do instead, in one sentence."""


@dataclass(frozen=True, slots=True)
class LearnedLens:
    """A pretrained image encoder as a lens.

    Attributes:
        name: the spec that it was loaded from.
        size: features it gives.
        apply: x, float32 (N, 3, H, W) in 0 to 1 -> float32 (N, size), on the device of ``x``; without gradients
            unless the lens is convolutional. On a CPU each
            image is computed by itself, so that its row does not depend on its neighbours (dynamically quantised encoders
            take their scales from a whole batch).
        blocks: x -> float32 (N, L, D): class token after each of the encoder's L blocks. ``None`` where it has none, such as
            convolutional ones; raises :class:`LensError` where that shows only when it is called.
        digests: SHA-256 (hex) of every file that decides its values, by name.
    """

    name: str
    size: int
    apply: Callable[[Tensor], Tensor]
    blocks: Callable[[Tensor], Tensor] | None
    digests: Mapping[str, str]


class LensSpec(NamedTuple):
    """A parsed spec: ``kind``, ``location``, mean and std of the pixels (three numbers each) where they were given, statistic."""

    text: str
    kind: str
    location: str
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    statistic: str


def centre(x: Tensor, side: int | None) -> Tensor:
    """The central ``side`` by ``side`` pixels of ``x`` (N, C, H, W), reflected where it is smaller; ``x`` for ``None``."""
    if side is None:
        return x
    rows, columns = (_central(length, side, x.device) for length in x.shape[-2:])
    return x.index_select(-2, rows).index_select(-1, columns)


def normalise(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """``(x - mean) / std`` per channel of ``x`` (N, 3, H, W)."""
    return (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]


def _central(length: int, side: int, device: torch.device) -> Tensor:
    """Indices of the ``side`` central pixels of ``length``; where these are too few, back and forth, the border not repeated."""
    period = max(1, 2 * (length - 1))
    place = (torch.arange(side, device=device) + (length - side) // 2) % period
    return torch.minimum(place, period - place).clamp(max=length - 1)
