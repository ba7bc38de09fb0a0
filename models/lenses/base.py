"""What a lens is: a pure function of a residual or an image that gives a fixed number of features; how it is shown either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from causalprint.models.residuals.base import Reconstruction, reflected
from causalprint.schemas.model_spec import Reading

Function = Callable[[Tensor], Tensor]
PACKAGE = Path(__file__).parents[1] / "weights" / "lenses"
"""Lenses of the package that no bundle there reads; those that the default bundle reads lie in it."""
POOLS = ("moments", "class")
"""What of a block's tokens is read; the first is the default."""
MID_GREY, MAGNIFIED = 0.5, 4.0
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def find_folder(location: str) -> Path:
    """Where a lens lies: at ``location``, or, where nothing is there, under that name in the package if it is one of those."""
    path = Path(location).expanduser()
    packaged = (PACKAGE / location, PACKAGE.parent / "default" / "lenses" / location)
    return next((folder for folder in packaged if not path.exists() and folder.is_dir()), path)


def magnified(residual: Tensor) -> Tensor:
    """How a residual is shown to an encoder of images: magnified, about mid-grey, 0 to 1."""
    return (MID_GREY + MAGNIFIED * residual).clamp(0, 1)


@dataclass(frozen=True, slots=True)
class Lens:
    """One way to look at a residual or an image.

    Attributes:
        name: its key in ``causalprint.models.lenses.LENSES``, or the spec that it was loaded from.
        size: features it gives.
        apply: z, float32 (N, 3, H, W), finite -> float32 (N, size), finite, on the device of ``z``. Each row depends on its image
            alone. Without learned weights, sides are at least 64, and heavy-tailed quantities come as logarithms, so that a
            linear head can use them as they are. A pretrained encoder takes 0 to 1 and, unless it is convolutional, gives no
            gradients; on a CPU it computes each image by itself (dynamically quantised ones take their scales from a batch).
        scalars: summaries of a residual, z -> float32 (N,), by their column in ``causalprint.schemas.tables.EMBEDDINGS``.
        digests: SHA-256 (hex) of every file that decides its values, by name; empty without learned weights.
        show: how a residual is shown to ``apply``: as it is, without learned weights.
        on_cpu: whether it computes on the CPU wherever images are, and so each image by itself.
        blocks: x -> float32 (N, L, D): class token after each of an encoder's L blocks. ``None`` where it has none, such as
            convolutional ones; raises :class:`~causalprint.schemas.model_spec.LensError` where that shows only when it is called.
    """

    name: str
    size: int
    apply: Function
    scalars: Mapping[str, Function] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    show: Function = lambda residual: residual
    on_cpu: bool = False
    blocks: Function | None = None


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
        return lens.apply(lens.show(reconstruction.residual))
    if reading == "difference":
        return lens.apply(x) - lens.apply(reconstruction.reconstruction)
    return lens.apply(x)


def pooled(tokens: Tensor, pool: str, leading: int = 1) -> Tensor:
    """Features of one block's ``tokens`` (N, T, D) of a vision transformer, of which the ``leading`` ones stand for no patch.

    Args:
        tokens: the class token first, where there is one.
        pool: ``class``: the class token (N, D); ``moments``: followed by the mean and the deviation of those of the patches,
            (N, 3D), or (N, 2D) without a class token.
        leading: class token and registers.
    """
    if pool == "class":
        return tokens[:, 0]
    patches = tokens[:, leading:]
    mean = patches.mean(dim=1)
    moments = [mean, (patches - mean[:, None]).square().mean(dim=1).sqrt()]  # torch's own std takes ten times as long
    return torch.cat([tokens[:, 0], *moments] if leading else moments, dim=1)


def centre(x: Tensor, side: int | None) -> Tensor:
    """The central ``side`` by ``side`` pixels of ``x`` (N, C, H, W), reflected where it is smaller; ``x`` for ``None``."""
    if side is None:
        return x
    rows, columns = (reflected(length, side, x.device, (length - side) // 2) for length in x.shape[-2:])
    return x.index_select(-2, rows).index_select(-1, columns)


def normalise(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """``(x - mean) / std`` per channel of ``x`` (N, 3, H, W)."""
    return (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]
