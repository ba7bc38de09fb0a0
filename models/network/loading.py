"""From the tensors of a bundle to its fingerprint network; how they came about is :mod:`causalprint.models.training.tensors`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from causalprint.models.bundles.manifest import Feature, Network
from causalprint.models.network.fusion import FingerprintNetwork
from causalprint.schemas.tables import FINGERPRINT_DIM


def load_network(tensors: Mapping[str, Tensor], features: Sequence[Feature], network: Network) -> FingerprintNetwork:
    """The fingerprint network of a bundle, in evaluation mode; it takes standardised features (N, D_s) of each lens."""
    loaded = FingerprintNetwork([feature.size for feature in features], network.fusion, autoencoder=network.autoencoder)
    state = {key.removeprefix("network."): value for key, value in tensors.items() if key.startswith("network.")}
    state["weights"] = loaded.weights
    for index, feature in enumerate(features):
        state[f"tokens.{index}.weight"] = tensors[f"{feature.key}.projection"].float() * tensors[f"{feature.key}.gain"]
        nothing = torch.zeros(FINGERPRINT_DIM)
        shared = tensors["bias"] if index == 0 and network.fusion != "f2" else nothing
        state[f"tokens.{index}.bias"] = tensors.get(f"{feature.key}.bias", shared)
    loaded.load_state_dict({key: value.float() for key, value in state.items()})
    return loaded.eval().requires_grad_(requires_grad=False)
