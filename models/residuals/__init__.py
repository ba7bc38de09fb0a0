"""Residuals: what a pretrained generative model cannot explain of an image.

A new one is a file beside this with ``load(spec, device) -> Residual`` and a line in :data:`RESIDUALS`, or the same in another
package, which names it by an entry point of group :data:`GROUP`: see ``docs/residuals.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, NamedTuple

from causalprint.schemas.model_spec import ModelError, ResidualSpec

if TYPE_CHECKING:
    import torch

    from causalprint.models.residuals.base import Residual

    Load = Callable[[ResidualSpec, torch.device | str], Residual]

__all__ = ["GROUP", "RESIDUALS", "ResidualKind", "load_residual", "parse_residual"]

GROUP = "causalprint.residuals"
"""Entry points of other packages: the kind's name, and where its :class:`ResidualKind` (or a module with the same names) is."""


class ResidualKind(NamedTuple):
    """A kind of residual.

    Attributes:
        load: the residual of a spec of this kind, on that device. Imports torch when it is called, since torch takes seconds and
            a spec none.
        meaning: one line for a person.
        options: what may follow the location, by name, with its meaning.
    """

    load: Load
    meaning: str
    options: Mapping[str, str]


def _ours(module: str) -> Load:
    def load(spec: ResidualSpec, device: torch.device | str) -> Residual:
        residual: Residual = import_module(f"{__name__}.{module}").load(spec, device)
        return residual

    return load


_REVISION = {"revision": "branch, tag or commit of a hub model"}

RESIDUALS: Mapping[str, ResidualKind] = {
    "autoencoder": ResidualKind(_ours("autoencoder"), "x - D(E(x)) of an autoencoder", _REVISION),
    "onnx-autoencoder": ResidualKind(
        _ours("onnx_autoencoder"),
        "x - D(E(x)) of an autoencoder in ONNX: a folder of encoder and decoder, or one file",
        {"range": "of its images: signed, -1 to 1 (default), or unit, 0 to 1", "factor": "of one file: pixels a latent (8)"},
    ),
    "ddim": ResidualKind(
        _ours("ddim"),
        "inversion to noise and reconstruction by a diffusion model (DIRE)",
        _REVISION | {"steps": "steps each way (20)", "until": "last timestep of the inversion (the schedule's last)"},
    ),
    "denoise": ResidualKind(
        _ours("denoise"),
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
"""The kinds that are built in, by their name in a spec."""


def parse_residual(text: str) -> ResidualSpec:
    """``kind:path-or-hub-name?option=value&option=value`` as a value. Looks at no model; a kind of ours needs no torch.

    Raises:
        ResidualError: the form, the kind or the name of an option is wrong, or the package that has the kind is broken.
    """
    spec = ResidualSpec.parse(text)
    spec.check_options(_kind(spec, _registered(spec)).options)
    return spec


def load_residual(spec: ResidualSpec | str, device: torch.device | str = "cpu") -> Residual:
    """The residual that ``spec`` names, on ``device``, float32, ready to call. Reads files, and the model hub for a hub's name.

    Raises:
        ResidualError: it cannot be had as named, with the remedy.
    """
    parsed = parse_residual(spec) if isinstance(spec, str) else spec
    point = _registered(parsed)
    try:
        return _kind(parsed, point).load(parsed, device)
    except ModelError:
        raise
    except Exception as error:
        if point is None:
            raise
        raise _broken(parsed, point, error) from error


def _registered(spec: ResidualSpec) -> EntryPoint | None:
    """The entry point of another package that has this kind; ``None`` where it is built in."""
    points = entry_points(group=GROUP)
    named = [point for point in points if point.name == spec.kind]
    packages = " and ".join(_package(point) for point in named)
    if named and spec.kind in RESIDUALS:
        raise spec.error(f"{packages} registers {spec.kind!r}, which is built in; uninstall it, or rename its kind")
    if len(named) > 1:
        raise spec.error(f"{packages} both register {spec.kind!r}; uninstall one")
    spec.check_kind([*RESIDUALS, *sorted(point.name for point in points)])
    return named[0] if named else None


def _kind(spec: ResidualSpec, point: EntryPoint | None) -> ResidualKind:
    if point is None:
        return RESIDUALS[spec.kind]
    try:
        kind = point.load()
        return ResidualKind(kind.load, kind.meaning, kind.options)
    except Exception as error:
        raise _broken(spec, point, error) from error


def _broken(spec: ResidualSpec, point: EntryPoint, error: Exception) -> ModelError:
    return spec.error(
        f"{_package(point)}, which registers {point.value!r}, fails: {type(error).__name__}: {error}; update or uninstall it"
    )


def _package(point: EntryPoint) -> str:
    return f"package {point.dist.name} {point.dist.version}" if point.dist else f"a package ({point.value})"
