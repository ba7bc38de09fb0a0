"""DIRE: what a diffusion model fails to reconstruct, |x - x̂|, and a convolutional network on it.

Chosen here: x̂ by the kit's residual, whichever that is (``ddim:`` is the paper's own way: inversion and reconstruction); maps are
kept in half precision and never as JPEG, since the published maps carry their originals' codec.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt
from torch import nn

from causalprint.research.methods.base import Kit, Method
from causalprint.research.methods.cnn import learn, trunk
from causalprint.research.methods.images import each_tensor
from causalprint.research.methods.loaded import residual_of
from causalprint.schemas.arrays import Crops


def features(crops: Crops, kit: Kit) -> npt.NDArray[np.float16]:
    """|x - x̂|, float16 (N, C, C, 3), 0 to 1."""
    residual = residual_of(kit.residual, kit.device)
    maps = each_tensor(crops, lambda image: residual(image).residual.abs().permute(0, 2, 3, 1), kit.device)
    return maps.astype(np.float16)


def network(channels: int, sources: int) -> nn.Module:
    """The trunk that networks among the baselines share, and a linear layer."""
    return nn.Sequential(trunk(channels), nn.Linear(192, sources))


DIRE_CNN = Method(
    name="dire_cnn",
    title="DIRE + CNN",
    reference="Wang, Bao, Zhou, Wang, Hu, Chen, Li: DIRE for diffusion-generated image detection, ICCV 2023, arXiv 2303.09295",
    published="not comparable: detection, real against diffusion models; the released maps carry the codec of their originals",
    differs="attribution; the residual of the kit's small model instead of a 256-pixel ADM, a small network instead of ResNet50",
    features=features,
    fit=partial(learn, make=network),
)
