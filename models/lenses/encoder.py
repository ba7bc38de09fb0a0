"""How the encoder of a learned lens is shown an image."""

from __future__ import annotations

from torch import Tensor

from causalprint.models.residuals.base import reflected

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def centre(x: Tensor, side: int | None) -> Tensor:
    """The central ``side`` by ``side`` pixels of ``x`` (N, C, H, W), reflected where it is smaller; ``x`` for ``None``."""
    if side is None:
        return x
    rows, columns = (reflected(length, side, x.device, (length - side) // 2) for length in x.shape[-2:])
    return x.index_select(-2, rows).index_select(-1, columns)


def normalise(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """``(x - mean) / std`` per channel of ``x`` (N, 3, H, W)."""
    return (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]
