"""CLIP + linear: a logistic regression on the image embedding of a pretrained encoder, the linear probe of Ojha23.

Chosen here: the embedding at length 1, standardised; the centre of a crop at native resolution, where others resize.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch.nn.functional import normalize

from causalprint.research.methods.base import Kit, Method
from causalprint.research.methods.estimators import learn_best, logistic_regressions
from causalprint.research.methods.images import each_tensor
from causalprint.research.methods.loaded import clip_of
from causalprint.schemas.arrays import Crops


def features(crops: Crops, kit: Kit) -> npt.NDArray[np.float16]:
    """Embeddings of length 1, float16 (N, D)."""
    lens = clip_of(kit)
    return each_tensor(crops, lambda image: normalize(lens.apply(image), dim=1), kit.device).astype(np.float16)


CLIP_LINEAR = Method(
    name="clip_linear",
    title="CLIP + linear",
    reference="Ojha, Li, Lee: Towards universal fake image detectors, CVPR 2023, arXiv 2302.10174",
    published="not comparable: detection of unseen generators, trained on ProGAN alone",
    differs="attribution; the kit's encoder (by default ViT-B/16 in 8 bits instead of ViT-L/14), crops at native resolution",
    features=features,
    fit=lambda training, _: learn_best(training, logistic_regressions((0.001, 0.01, 0.1, 1), 500)),
)
