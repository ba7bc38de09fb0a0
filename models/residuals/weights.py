"""Finds the files of a pretrained model, by path or by hub name, and takes their digests. Safetensors and ONNX, never pickles."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from causalprint.schemas.model_spec import ModelSpec, ResidualSpec

WEIGHTS = "diffusion_pytorch_model"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
VARIANTS = ("*.fp16.*", "*.bf16.*", "*.non_ema.*", "*.ema.*")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """One model of a pipeline, found on disk.

    Attributes:
        root: the directory that the spec named, or the hub's snapshot of it.
        folder: the model's own, ``root`` or one below it.
        config: its ``config.json``, parsed.
        files: the config and every weight file.
    """

    root: Path
    folder: Path
    config: dict[str, Any]
    files: tuple[Path, ...]

    @property
    def class_name(self) -> str:
        """The diffusers class that the config names."""
        return str(self.config.get("_class_name", ""))


def locate(spec: ResidualSpec, folders: tuple[str, ...]) -> Path:
    """The directory that ``spec.location`` names: itself where it is one, else the hub's snapshot of that name.

    Of a hub's repository, only configs and the safetensors in the root and in ``folders`` are fetched; option ``revision``
    picks a branch, tag or commit.

    Raises:
        ResidualError: there is no such directory and no such name, or the hub cannot be reached.
    """
    path = Path(spec.location).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise spec.error(f"{spec.location} is a file; give the directory that holds config.json and safetensors")
    if not HUB_NAME.fullmatch(spec.location):
        raise spec.error(f"there is no directory {spec.location}; give that of a model, or owner/name on the hub")
    wanted = [f"{WEIGHTS}*.safetensors", "encoder.safetensors", "decoder.safetensors", "*.json"]
    wanted += [f"{folder}/{WEIGHTS}*.safetensors" for folder in folders]
    return fetch(spec, wanted, VARIANTS, revision=spec.text("revision", ""))


def fetch(spec: ModelSpec, wanted: Sequence[str], unwanted: Sequence[str] = (), revision: str = "") -> Path:
    """The model hub's snapshot of the repository that ``spec.location`` names: the files that match.

    Raises:
        ModelError: there is no such name, or the hub cannot be reached.
    """
    try:
        snapshot = snapshot_download(
            spec.location, revision=revision or None, allow_patterns=list(wanted), ignore_patterns=list(unwanted) or None
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise spec.error(
            f"{spec.location} is no directory here, and the model hub did not give it "
            f"({type(error).__name__}); check the name and the network, or fetch it elsewhere and give its path"
        ) from error
    return Path(snapshot)


def open_onnx(spec: ModelSpec, model: Path | bytes) -> Any:
    """An inference session of the ONNX ``model``, a file or its bytes, on one thread of the CPU.

    Raises:
        ModelError: package onnxruntime is missing, or it cannot run the model.
    """
    try:
        import onnxruntime  # noqa: PLC0415 - optional
    except ImportError as error:
        raise spec.error("needs package onnxruntime; pip install 'causalprint[compare]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # rounding must not depend on the machine's cores
    given, name = (model, spec.location) if isinstance(model, bytes) else (str(model), model)
    try:
        return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes derive from nothing else
        raise spec.error(f"{name} is no ONNX model that onnxruntime can run: {error}") from error


def find_model(spec: ResidualSpec, root: Path, folders: tuple[str, ...], classes: tuple[str, ...]) -> ModelFiles:
    """The model of one of ``classes`` in ``root`` or else in the first of ``folders`` below it that holds one.

    Raises:
        ResidualError: no config, another class, or no safetensors.
    """
    places = [root, *(root / folder for folder in folders)]
    configs = {place: _read_json(spec, place / "config.json") for place in places if (place / "config.json").is_file()}
    named = {place: config for place, config in configs.items() if config.get("_class_name")}
    if not named:
        looked = ", ".join(str(place / "config.json") for place in places)
        raise spec.error(f"no diffusers model there (looked for {looked}); give a directory of save_pretrained")
    fitting = [place for place, config in named.items() if config["_class_name"] in classes]
    if not fitting:
        place, config = next(iter(named.items()))
        raise spec.error(
            f"{place} holds a {config['_class_name']}, and {spec.kind} needs one of "
            f"{', '.join(classes)}; give another model or another kind"
        )
    folder = fitting[0]
    return ModelFiles(root, folder, named[folder], (folder / "config.json", *_weight_files(spec, folder)))


def take_digests(root: Path, files: tuple[Path, ...]) -> dict[str, str]:
    """SHA-256 (hex) of each of ``files``, by its path below ``root``, with slashes."""
    digests = {}
    for file in files:
        with file.open("rb") as stream:
            digests[file.relative_to(root).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests


def _weight_files(spec: ResidualSpec, folder: Path) -> tuple[Path, ...]:
    whole, index = folder / f"{WEIGHTS}.safetensors", folder / f"{WEIGHTS}.safetensors.index.json"
    if whole.is_file():
        return (whole,)
    if index.is_file():
        parts = {str(part) for part in _read_json(spec, index).get("weight_map", {}).values()}
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
