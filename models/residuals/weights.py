"""Finds the files of a pretrained model, by path or by hub name, and takes their digests. Safetensors and ONNX, never pickles."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from causalprint.schemas.model_spec import ModelSpec, ResidualSpec

WEIGHTS = "diffusion_pytorch_model"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
VARIANTS = ("*.fp16.*", "*.bf16.*", "*.non_ema.*", "*.ema.*")


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
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only for what is not on this machine
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

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
        ModelError: onnxruntime cannot run the model.
    """
    import onnxruntime  # noqa: PLC0415 - most bundles of one's own need none

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # rounding must not depend on the machine's cores
    given, name = (model, spec.location) if isinstance(model, bytes) else (str(model), model)
    try:
        return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes derive from nothing else
        raise spec.error(f"{name} is no ONNX model that onnxruntime can run: {error}") from error


def take_digests(root: Path, files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 (hex) of each of ``files``, by its path below ``root``, with slashes."""
    return {file.relative_to(root).as_posix(): take_digest(file) for file in files}


def take_digest(file: Path) -> str:
    """SHA-256 (hex) of ``file``. In a process it is read once, unless it changes: a bundle is loaded in several places.

    Raises:
        OSError: it cannot be read.
    """
    now = file.stat()
    return _digest(file, (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns))


@lru_cache(maxsize=256)
def _digest(file: Path, stamp: tuple[int, ...]) -> str:
    del stamp  # a part of the key alone
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
