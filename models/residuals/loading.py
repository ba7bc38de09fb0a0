"""Loads a diffusers model from a directory, in float32 and inference mode, and refuses pickles and a partial fit.

Diffusers itself, whose import takes seconds, loads what this package cannot compute by itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from causalprint.models.residuals.unet import open_unet
from causalprint.models.residuals.weights import WEIGHTS
from causalprint.schemas.model_spec import ResidualSpec


def load_model(
    spec: ResidualSpec, root: Path, folders: tuple[str, ...], classes: tuple[str, ...], device: torch.device | str
) -> tuple[Any, tuple[Path, ...]]:
    """The model of one of ``classes`` in ``root`` or else in the first of ``folders`` below it that holds one; and its files.

    It is float32, in evaluation mode, without gradients. Its files are its config, the first, and every weight file.

    Raises:
        ResidualError: no config, another class, or no safetensors; or the weights do not fit the config. Diffusers itself would
            fill the gaps with random numbers.
    """
    places = [root, *(root / folder for folder in folders)]
    configs = {place: _read_json(spec, place / "config.json") for place in places if (place / "config.json").is_file()}
    named = {place: config["_class_name"] for place, config in configs.items() if config.get("_class_name")}
    if not named:
        looked = ", ".join(str(place / "config.json") for place in places)
        raise spec.error(f"no diffusers model there (looked for {looked}); give a directory of save_pretrained")
    fitting = [place for place, name in named.items() if name in classes]
    if not fitting:
        place, name = next(iter(named.items()))
        raise spec.error(
            f"{place} holds a {name}, and {spec.kind} needs one of {', '.join(classes)}; give another model or another kind"
        )
    folder = fitting[0]
    files = (folder / "config.json", *_weight_files(spec, folder))
    model = open_unet(configs[folder], files[1]) or _by_diffusers(spec, folder, named[folder])
    return model.to(device).eval().requires_grad_(False), files


def _by_diffusers(spec: ResidualSpec, folder: Path, name: str) -> Any:
    import diffusers  # noqa: PLC0415 - see above

    try:
        model, report = getattr(diffusers, name).from_pretrained(
            str(folder),
            use_safetensors=True,
            torch_dtype=torch.float32,
            local_files_only=True,
            low_cpu_mem_usage=False,  # what it would save needs another package, accelerate
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise spec.error(f"{folder} could not be loaded as {name}: {error}") from error
    gaps = [*report["missing_keys"], *report["unexpected_keys"], *(str(item) for item in report["mismatched_keys"])]
    if gaps:
        raise spec.error(
            f"the weights in {folder} do not fit its config.json "
            f"({len(gaps)} tensors, {gaps[0]} the first); save the model again with save_pretrained"
        )
    return model


def _weight_files(spec: ResidualSpec, folder: Path) -> tuple[Path, ...]:
    whole, index = folder / f"{WEIGHTS}.safetensors", folder / f"{WEIGHTS}.safetensors.index.json"
    if whole.is_file():
        return (whole,)
    if index.is_file():
        parts = {str(part) for part in _read_json(spec, index).get("weight_map", {}).values()}
        if outside := sorted(part for part in parts if Path(part).name != part):
            raise spec.error(f"{index} names {outside[0]!r}, which lies outside of {folder}; save the model again")
        return (index, *(folder / part for part in sorted(parts)))
    pickles = sorted(file.name for pattern in ("*.bin", "*.ckpt", "*.pt", "*.pth") for file in folder.glob(pattern))
    why = f"only {', '.join(pickles)}, and pickles are never loaded" if pickles else f"no {whole.name}"
    raise spec.error(
        f"{folder} holds {why}; load the model where you trust it and "
        "save it again with save_pretrained(…, safe_serialization=True)"
    )


def _read_json(spec: ResidualSpec, file: Path) -> dict[str, Any]:
    try:
        parsed = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise spec.error(f"{file} is no JSON; save the model again with save_pretrained") from error
    return parsed if isinstance(parsed, dict) else {}
