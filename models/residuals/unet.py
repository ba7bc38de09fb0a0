"""The U-Net of a plain diffusion prior: convolutions and no attention, as the one that ships.

It computes what diffusers' ``UNet2DModel`` does, but for rounding, from the same ``config.json`` and weights, and on a CPU
in less time. Diffusers computes all others: importing it takes as long as torch and Beam together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, silu

FIXED = {
    "_class_name": "UNet2DModel",
    "act_fn": "silu",
    "add_attention": False,
    "center_input_sample": False,
    "class_embed_type": None,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "mid_block_scale_factor": 1,
    "mid_block_type": "UNetMidBlock2D",
    "num_class_embeds": None,
    "resnet_time_scale_shift": "default",
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "upsample_type": "conv",
}
"""What a plain one's config says; see also :func:`_is_plain`."""
FREE = {
    *("in_channels", "out_channels", "block_out_channels", "layers_per_block", "norm_num_groups", "norm_eps"),
    *("down_block_types", "up_block_types", "dropout", "sample_size", "num_train_timesteps"),
    *("attention_head_dim", "attn_norm_num_groups", "_diffusers_version", "_name_or_path"),
}
"""The other names that a plain one's config may have; most change nothing of what it computes."""
LONGEST_WAVE = 10_000
"""In timesteps, divided by 2π."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What tells plain U-Nets apart.

    Attributes:
        inputs, outputs: channels of the image and of the prediction.
        channels: of each level, the image's resolution first; each level has half the resolution of the one before.
        layers: blocks of a level on the way down; there is one more on the way up.
        groups, eps: of the normalisations.
    """

    inputs: int
    outputs: int
    channels: tuple[int, ...]
    layers: int
    groups: int
    eps: float


class UNet(nn.Module):
    """The network; its parts are named as the weights name them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        channels = shape.channels
        first, time = channels[0], 4 * channels[0]
        self.conv_in = _conv(shape.inputs, first)
        self.time_embedding = nn.ModuleDict({"linear_1": nn.Linear(first, time), "linear_2": nn.Linear(time, time)})
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        before, kept = first, [first]
        for after in channels:
            blocks = []
            for _ in range(shape.layers):
                blocks.append(Block(before, after, time, shape))
                before = after
                kept.append(after)
            leaves = len(self.down_blocks) < len(channels) - 1
            self.down_blocks.append(Level(blocks, downsamplers=_conv(after, after, stride=2) if leaves else None))
            kept += [after] * leaves
        self.mid_block = Level([Block(before, before, time, shape) for _ in range(2)])
        for after in reversed(channels):
            blocks = []
            for _ in range(shape.layers + 1):
                blocks.append(Block(before + kept.pop(), after, time, shape))
                before = after
            self.up_blocks.append(Level(blocks, upsamplers=_conv(after, after) if kept else None))
        self.conv_norm_out = nn.GroupNorm(shape.groups, first, shape.eps)
        self.conv_out = _conv(first, shape.outputs)

    def forward(self, x: Tensor, timestep: int) -> Tensor:
        """The prediction (N, outputs, H, W) for ``x``, (N, inputs, H, W), sides multiples of 2 ** (levels - 1)."""
        time = self.time_embedding["linear_1"](_waves(timestep, self.conv_in.out_channels, x.device))
        time = silu(self.time_embedding["linear_2"](silu(time)))
        states = [self.conv_in(x)]
        for level in cast("Iterable[Level]", self.down_blocks):
            states += level.down(states[-1], time)
        x = self.mid_block.down(states[-1], time)[-1]
        for level in cast("Iterable[Level]", self.up_blocks):
            x = level.up(x, states, time)
        predicted: Tensor = self.conv_out(_silu(self.conv_norm_out(x)))
        return predicted


class Level(nn.Module):
    """The blocks of one resolution, and the convolution, if any, that leaves it."""

    def __init__(
        self, blocks: list[Block], *, downsamplers: nn.Module | None = None, upsamplers: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(blocks)
        self.downsamplers = nn.ModuleList([nn.ModuleDict({"conv": downsamplers})] if downsamplers else [])
        self.upsamplers = nn.ModuleList([nn.ModuleDict({"conv": upsamplers})] if upsamplers else [])

    def down(self, x: Tensor, time: Tensor) -> list[Tensor]:
        """What comes of ``x`` (N, C, H, W) after each part of the level."""
        states = []
        for block in self.resnets:
            x = block(x, time)
            states.append(x)
        return [*states, *(one["conv"](x) for one in cast("Iterable[nn.ModuleDict]", self.downsamplers))]

    def up(self, x: Tensor, states: list[Tensor], time: Tensor) -> Tensor:
        """What comes of ``x`` (N, C, H, W) and the last of ``states``, one for each block, which are taken from the list."""
        for block in self.resnets:
            x = block(torch.cat([x, states.pop()], dim=1), time)
        for one in cast("Iterable[nn.ModuleDict]", self.upsamplers):
            x = _doubled(x, cast("nn.Conv2d", one["conv"]))
        return x


class Block(nn.Module):
    """A residual block that is told the noise level."""

    def __init__(self, before: int, after: int, time: int, shape: Shape) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(shape.groups, before, shape.eps)
        self.conv1 = _conv(before, after)
        self.time_emb_proj = nn.Linear(time, after)
        self.norm2 = nn.GroupNorm(shape.groups, after, shape.eps)
        self.conv2 = _conv(after, after)
        self.conv_shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(N, before, H, W) -> (N, after, H, W)."""
        kept = _mixed(x, self.conv_shortcut) if isinstance(self.conv_shortcut, nn.Conv2d) else x
        y = _silu(self.norm1(x))
        y = conv2d(y, self.conv1.weight, self.conv1.bias + self.time_emb_proj(time)[0], padding=1)
        joined: Tensor = self.conv2(_silu(self.norm2(y)))
        joined += kept
        return joined


def open_unet(config: Mapping[str, Any], weights: Path) -> UNet | None:
    """The U-Net of a ``config.json`` with its weights in float32; ``None`` where it is not plain, or they do not fit it."""
    try:
        if not _is_plain(config):
            return None
        shape = Shape(
            config["in_channels"],
            config["out_channels"],
            tuple(config["block_out_channels"]),
            config["layers_per_block"],
            config["norm_num_groups"],
            config["norm_eps"],
        )
        with torch.device("meta"):
            network = UNet(shape)
        network.load_state_dict({name: value.float() for name, value in load_file(weights).items()}, assign=True)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError):
        return None
    return network


def _is_plain(config: Mapping[str, Any]) -> bool:
    names, levels = config.keys(), len(config.get("block_out_channels", ()))
    blocks = {"down_block_types": ["DownBlock2D"] * levels, "up_block_types": ["UpBlock2D"] * levels}
    return names <= FIXED.keys() | FREE and all(config.get(name, ...) == value for name, value in (FIXED | blocks).items())


def _waves(timestep: int, size: int, device: torch.device) -> Tensor:
    """The timestep as cosines and sines of falling frequencies, (1, size)."""
    half = size // 2
    frequencies = torch.exp(-math.log(LONGEST_WAVE) * torch.arange(half, dtype=torch.float32, device=device) / half)
    phases = torch.full((1, 1), timestep, dtype=torch.float32, device=device) * frequencies
    return torch.cat([phases.cos(), phases.sin()], dim=1)


def _silu(fresh: Tensor) -> Tensor:
    """SiLU of what nothing else reads: in its place, unless gradients need it. Fresh memory costs more than the function."""
    return silu(fresh, inplace=not torch.is_grad_enabled())


def _mixed(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """A convolution of one pixel. On one thread torch gives it to a slow kernel unless it is dilated, which changes nothing."""
    return conv2d(x, convolution.weight, convolution.bias, dilation=2 if x.device.type == "cpu" else 1)


def _doubled(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """The 3x3 ``convolution`` of ``x`` (N, C, H, W), doubled to its nearest neighbours: (N, K, 2H, 2W).

    Of four pixels with one value a kernel sees sums of its weights. So it is a transposed convolution of x itself, with 4/9 of
    the multiplications, equal but for rounding.
    """
    weight = _doubled_kernel(_doubled_kernel(convolution.weight, 2), 3).transpose(0, 1)
    return conv_transpose2d(x, weight, convolution.bias, stride=2, padding=1)


def _doubled_kernel(weight: Tensor, axis: int) -> Tensor:
    """Of three weights along ``axis`` those that fall on one pixel, summed, by their place in a transposed kernel of four."""
    first, middle, last = weight.unbind(axis)
    return torch.stack([last, middle + last, first + middle, first], dim=axis)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1)
