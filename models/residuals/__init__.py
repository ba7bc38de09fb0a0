"""Residuals: what a pretrained generative model cannot explain of an image.

A new one is a file beside this with ``load(spec, device) -> Residual``, and a line in :data:`RESIDUALS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from causalprint.models.residuals.spec import ResidualError, ResidualSpec, split_spec

if TYPE_CHECKING:
    import torch

    from causalprint.models.residuals.base import Residual

__all__ = [
    "RESIDUALS",
    "ResidualError",
    "ResidualKind",
    "ResidualSpec",
    "load_residual",
    "parse_spec",
]


class ResidualKind(NamedTuple):
    """A kind of residual.

    Attributes:
        module: the file in this folder that holds ``load``; imported on use, since torch takes seconds and a spec none.
        meaning: one line for a person.
        options: what may follow the location, by name, with its meaning.
    """

    module: str
    meaning: str
    options: Mapping[str, str]


_REVISION = {"revision": "branch, tag or commit of a hub model"}

RESIDUALS: Mapping[str, ResidualKind] = {
    "autoencoder": ResidualKind("autoencoder", "x - D(E(x)) of an autoencoder", _REVISION),
    "double-autoencoder": ResidualKind("double_autoencoder", "the same, and the ratio of two passes' losses (AEDR)", _REVISION),
    "onnx-autoencoder": ResidualKind(
        "onnx_autoencoder",
        "x - D(E(x)) of an autoencoder in ONNX: a folder of encoder and decoder, or one file",
        {"range": "of its images: signed, -1 to 1 (default), or unit, 0 to 1", "factor": "of one file: pixels a latent (8)"},
    ),
    "ddim": ResidualKind(
        "ddim",
        "inversion to noise and reconstruction by a diffusion model (DIRE)",
        _REVISION | {"steps": "steps each way (20)", "until": "last timestep of the inversion (the schedule's last)"},
    ),
    "denoise": ResidualKind(
        "denoise",
        "one denoising step of a diffusion model",
        _REVISION
        | {
            "timestep": "noise level, as a timestep of the schedule",
            "sigma": "noise level, as standard deviation over an image in 0 to 1 (0.03)",
            "noise": "1 to add fixed noise of that level (0)",
            "seed": "of that noise (0)",
        },
    ),
}
"""Every kind of residual by its name in a spec."""


def parse_spec(text: str) -> ResidualSpec:
    """``kind:path-or-hub-name?option=value&option=value`` as a value. Looks at no file and imports no torch.

    Raises:
        ResidualError: the form, the kind or the name of an option is wrong.
    """
    spec = split_spec(text)
    kind = RESIDUALS.get(spec.kind)
    if kind is None:
        message = f"residual {text!r}: there is no kind {spec.kind!r}; choose one of {', '.join(RESIDUALS)}"
        raise ResidualError(message)
    for name, _ in spec.options:
        if name not in kind.options:
            message = f"residual {text!r}: {spec.kind} has no option {name!r}; it has {', '.join(kind.options)}"
            raise ResidualError(message)
    return spec


def load_residual(spec: ResidualSpec | str, device: torch.device | str = "cpu") -> Residual:
    """The residual that ``spec`` names, on ``device``, float32, ready to call. Reads files, and the model hub for a hub's name.

    Raises:
        ResidualError: it cannot be had as named, with the remedy.
    """
    parsed = parse_spec(spec) if isinstance(spec, str) else spec
    residual: Residual = import_module(f"{__name__}.{RESIDUALS[parsed.kind].module}").load(parsed, device)
    return residual
