"""The convolutional lens: channel statistics of a small convolutional network at native resolution.

Over all positions of what the stem and each block give: mean and standard deviation, or how channels correlate. These are
texture statistics, from edges to parts, which do not say where a thing is. The network is the trunk of EfficientNet-Lite0
(Tan & Le, ICML 2019, without squeeze-and-excitation), cut after a stated block. The one in the package was learned on ImageNet;
another may be learned on residuals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import pad, relu6
from torch.nn.utils.fusion import fuse_conv_bn_eval

from causalprint.models.lenses.base import Lens, find_folder, magnified
from causalprint.models.residuals.weights import take_digests
from causalprint.schemas.model_spec import LensSpec

CONFIG, WEIGHTS = "config.json", "model.safetensors"
COUNT = "num_batches_tracked"
FLOOR = 1e-6
STATISTICS = ("moments", "correlations")
WIDEST = 40
"""Channels of the widest map whose correlations are taken."""


@dataclass(frozen=True, slots=True)
class TrunkConfig:
    """The shape of a trunk.

    Attributes:
        stem: channels of the first convolution, 3x3, stride 2.
        stages: of blocks alike: (repeats, channels, kernel, stride of the first, expansion).
        mean, std: what pixels (0 to 1) are standardised by.
    """

    stem: int = 32
    stages: tuple[tuple[int, int, int, int, int], ...] = (
        (1, 16, 3, 1, 1),
        (2, 24, 3, 2, 6),
        (2, 40, 5, 2, 6),
        (3, 80, 3, 2, 6),
        (3, 112, 5, 1, 6),
        (1, 192, 5, 2, 6),
    )
    mean: float = 127 / 255
    std: float = 128 / 255

    @property
    def channels(self) -> list[int]:
        """Of the stem and of each block."""
        return [self.stem, *(channels for repeats, channels, *_ in self.stages for _ in range(repeats))]


class Block(nn.Module):
    """An inverted residual (Sandler et al., CVPR 2018): expand, filter each channel, project."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        self.kernel, self.stride, self.skips = kernel, stride, stride == 1 and before == after
        self.expand = nn.Sequential(nn.Conv2d(before, wide, 1, bias=False), _norm(wide)) if expansion > 1 else None
        self.filter = nn.Sequential(nn.Conv2d(wide, wide, kernel, stride, groups=wide, bias=False), _norm(wide))
        self.project = nn.Sequential(nn.Conv2d(wide, after, 1, bias=False), _norm(after))

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W) -> (N, after, ceil(H / stride), ceil(W / stride))."""
        y = relu6(self.expand(x)) if self.expand is not None else x
        y = relu6(self.filter(_padded(y, self.kernel, self.stride)))
        y = self.project(y)
        joined: Tensor = x + y if self.skips else y
        return joined


class Trunk(nn.Module):
    """The network; gives the feature map of the stem and of each block."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Sequential(nn.Conv2d(3, config.stem, 3, 2, bias=False), _norm(config.stem))
        blocks, before = [], config.stem
        for repeats, channels, kernel, stride, expansion in config.stages:
            for repeat in range(repeats):
                blocks.append(Block(before, channels, kernel, stride if repeat == 0 else 1, expansion))
                before = channels
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, count: int | None = None) -> list[Tensor]:
        """Of images (N, 3, H, W), 0 to 1: the first ``count`` maps, or all."""
        maps = [relu6(self.stem(_padded((x - self.config.mean) / self.config.std, 3, 2)))]
        for block in self.blocks[: None if count is None else count - 1]:
            maps.append(block(maps[-1]))
        return maps


def fused(trunk: Trunk) -> Trunk:
    """The same function with each normalisation folded into its convolution: for use, no more for learning."""
    for part in [module for module in trunk.modules() if isinstance(module, nn.Sequential)]:
        part[0] = fuse_conv_bn_eval(cast("nn.Conv2d", part[0]), cast("nn.BatchNorm2d", part[1]))
        part[1] = nn.Identity()
    return trunk


def statistics(maps: Sequence[Tensor]) -> Tensor:
    """Mean and standard deviation of each channel of maps (N, C_b, H_b, W_b), block by block: (N, 2 sum C_b)."""
    parts = [torch.cat([one.mean(dim=(2, 3)), (one.var(dim=(2, 3), unbiased=False) + FLOOR).sqrt()], dim=1) for one in maps]
    return torch.cat(parts, dim=1)


def correlations(maps: Sequence[Tensor]) -> Tensor:
    """Pearson correlations over all positions between the channels of each map (N, C_b, H_b, W_b), pair by pair.

    (N, sum C_b (C_b - 1) / 2): the Gram matrices of textures (Gatys, Ecker & Bethge, NeurIPS 2015) less mean and strength.
    """
    parts = []
    for one in maps:
        rows = one.flatten(2)
        rows = rows - rows.mean(dim=2, keepdim=True)
        rows = rows / (rows.square().mean(dim=2, keepdim=True) + FLOOR).sqrt()
        first, second = torch.triu_indices(rows.shape[1], rows.shape[1], 1)
        parts.append((rows @ rows.transpose(1, 2) / rows.shape[2])[:, first, second])
    return torch.cat(parts, dim=1)


def fine_maps(config: TrunkConfig) -> int:
    """How many maps have so few channels that their pairs can be counted: the stem and the first blocks."""
    wide = [place for place, channels in enumerate(config.channels) if channels > WIDEST]
    return wide[0] if wide else len(config.channels)


def apply_trunk(trunk: Trunk, statistic: str = "moments") -> Callable[[Tensor], Tensor]:
    """The lens of a trunk: images (N, 3, H, W), 0 to 1 -> :func:`statistics` or :func:`correlations`; differentiable."""
    ready = fused(trunk).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # the stubs lack this form
    count = fine_maps(trunk.config)

    def apply(x: Tensor) -> Tensor:
        image = x.contiguous(memory_format=torch.channels_last)
        return statistics(ready(image)) if statistic == "moments" else correlations(ready(image, count))

    return apply


def open_trunk(spec: LensSpec) -> tuple[Trunk, Path]:
    """The trunk of a convolutional lens, in evaluation mode, on the CPU, without gradients of its own; and its folder.

    Raises:
        LensError: a file is missing, or what is there is no trunk.
    """
    folder = find_folder(spec.location)
    try:
        data = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config = TrunkConfig(data["stem"], tuple(tuple(stage) for stage in data["stages"]), data["mean"], data["std"])
        trunk = Trunk(config)
        tensors = {key: value.float() for key, value in load_file(folder / WEIGHTS).items()}
        counts = {key: value for key, value in trunk.state_dict().items() if key.endswith(COUNT)}
        trunk.load_state_dict(tensors | counts)
    except OSError as error:
        raise spec.error(f"cannot be loaded: {error}; give the folder of a trained one") from error
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        no_lens = f"{folder} holds no convolutional lens ({CONFIG} and {WEIGHTS} that fit each other)"
        first = str(error).partition("\n")[0]
        raise spec.error(f"cannot be loaded: {no_lens}: {first}; give the folder of a trained one") from error
    return trunk.eval().requires_grad_(requires_grad=False), folder


def load(spec: LensSpec, device: torch.device) -> Lens:
    """Loads kind ``convolutional``.

    Raises:
        LensError: there is none, or the statistic is none.
    """
    statistic = spec.choice("statistic", STATISTICS)
    trunk, folder = open_trunk(spec)
    digests = take_digests(folder, (folder / CONFIG, folder / WEIGHTS))
    apply = apply_trunk(trunk.to(device), statistic)
    size = apply(torch.zeros(1, 3, 64, 64, device=device)).shape[1]
    return Lens(str(spec), size, apply, digests=digests, show=magnified)


def save_trunk(trunk: Trunk, folder: Path) -> None:
    """Writes what :func:`open_trunk` reads; convolutions in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        key: (value.half() if value.ndim > 1 else value.float()).contiguous()
        for key, value in trunk.state_dict().items()
        if not key.endswith(COUNT)
    }
    (folder / WEIGHTS).write_bytes(save(tensors))
    (folder / CONFIG).write_text(json.dumps(asdict(trunk.config), indent=1) + "\n", encoding="utf-8")


def _norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def _padded(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Padding as TensorFlow's SAME, which these networks were learned with: the odd pixel at the right and at the bottom."""
    pads = []
    for length in (x.shape[-1], x.shape[-2]):
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        pads += [total // 2, total - total // 2]
    return pad(x, pads)
