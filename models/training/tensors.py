"""Trained networks as the tensors of a bundle; the way back is :func:`causalprint.models.network.fusion.load_network`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from causalprint.models.bundles.manifest import Feature
from causalprint.models.training.learning import Trained
from causalprint.models.training.networks import AttentionAttributor
from causalprint.schemas.tables import FINGERPRINT_DIM

Tensors = dict[str, npt.NDArray[Any]]


def fingerprint_tensors(trained: Trained, features: Sequence[Feature]) -> Tensors:
    """As of :func:`~causalprint.models.bundles.manifest.fingerprint_shapes`: components folded into projections, in float16.

    Fixed weights of the lenses are folded in as well; a projection's range is kept by its gain.
    """
    network, (_, standard, centres, bases) = trained.network, trained.reduction
    tensors: Tensors = {"bias": np.zeros(FINGERPRINT_DIM, np.float32)}
    weights = network.weights / network.weights.mean()
    start = 0
    for one, token, centre, basis, weight in zip(features, network.tokens, centres, bases, weights, strict=True):
        place = slice(start, start + one.size)
        matrix = token.get_parameter("weight").detach() @ basis.T
        offset = token.get_parameter("bias").detach() - matrix @ centre
        if network.fusion == "f2":
            tensors[f"{one.key}.bias"] = offset.numpy()
        else:
            matrix = matrix * weight
            tensors["bias"] += (offset * weight).numpy()
        projection = matrix.numpy() * standard.gain[place]
        gain = max(float(np.abs(projection).max()), 1e-30)
        tensors[f"{one.key}.mean"] = standard.mean[place]
        tensors[f"{one.key}.scale"] = standard.scale[place]
        tensors[f"{one.key}.gain"] = np.array([gain], np.float32)
        tensors[f"{one.key}.projection"] = (projection / gain).astype(np.float16)
        start += one.size
    others = {key: value for key, value in network.state_dict().items() if key.startswith(("query", "key", "autoencoder"))}
    return tensors | {f"network.{key}": value.numpy() for key, value in others.items()}


def attribution_tensors(attributor: nn.Module, intercept: npt.NDArray[np.float32]) -> Tensors:
    """Its part of :func:`~causalprint.models.bundles.manifest.attribution_shapes`; ``intercept`` (K,) joins its bias."""
    if isinstance(attributor, AttentionAttributor):
        found = {name: value.detach().numpy() for name, value in attributor.tensors.items()}
        return {f"attention.{name}": value + intercept if name == "bias" else value for name, value in found.items()}
    weight, bias = (attributor.get_parameter(name).detach().numpy() for name in ("weight", "bias"))
    return {"weight": weight, "bias": bias + intercept}
