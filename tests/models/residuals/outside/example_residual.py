"""What a blur cannot explain of an image: the example of docs/residuals.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from causalprint.models.residuals.base import Reconstruction, subtract
from causalprint.models.residuals.weights import take_digests
from causalprint.schemas.model_spec import ResidualSpec

meaning = "x less its mean over a square of pixels"
options = {"radius": "of the square, in pixels about its centre (1)"}


class Blur(NamedTuple):
    spec: ResidualSpec
    digests: Mapping[str, str]
    radius: int

    def __call__(self, x: Tensor) -> Reconstruction:
        return subtract(x, avg_pool2d(x, 2 * self.radius + 1, 1, self.radius, count_include_pad=False))


def load(spec: ResidualSpec, device: torch.device | str) -> Blur:
    here = Path(__file__)
    return Blur(spec, take_digests(here.parent, (here,)), spec.integer("radius", 1, 1, 15))
