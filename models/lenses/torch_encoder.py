"""Image encoders of transformers and timm as learned lenses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from causalprint.models.lenses.base import POOLS, Function, Lens, centre, magnified, normalise, pooled
from causalprint.models.residuals.weights import fetch, take_digests
from causalprint.schemas.model_spec import LensSpec

GPU_BATCH = 32


def load(spec: LensSpec, device: torch.device) -> Lens:
    """Loads kinds ``transformers`` and ``timm``."""
    return (_load_timm if spec.kind == "timm" else _load_transformers)(spec, device)


def _load_transformers(spec: LensSpec, device: torch.device) -> Lens:
    """The encoder in a directory of ``save_pretrained``, or of that name on the model hub (safetensors only).

    Features are the image embedding of models of image and text (CLIP), else the class token after the last normalisation, else
    the mean over the tokens or the feature map. A pooling layer beyond that is not used: many checkpoints carry none, and an
    untrained one would be random.

    Raises:
        LensError: it cannot be had, its weights do not fit, or nothing says how it wants its pixels.
    """
    try:
        import transformers  # noqa: PLC0415 - optional
    except ImportError as error:
        raise spec.error("needs package transformers; pip install 'causalprint[compare]'") from error
    path = Path(spec.location).expanduser()
    folder = path if path.is_dir() else fetch(spec, ["*.safetensors", "*.json"])
    try:
        model, report = transformers.AutoModel.from_pretrained(
            str(folder),
            use_safetensors=True,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise spec.error(f"{folder} could not be loaded by transformers: {error}") from error
    gaps = [key for key in (*report["missing_keys"], *map(str, report["mismatched_keys"])) if "pooler" not in key]
    if gaps:
        raise spec.error(f"the weights in {folder} lack {len(gaps)} tensors, {gaps[0]} the first; save it again")
    mean, std = _pixels(spec, folder)
    config = getattr(model.config, "vision_config", model.config)
    tokens = any(name.endswith(("cls_token", "class_embedding")) for name, _ in model.named_parameters())
    model = model.to(device).eval().requires_grad_(False)
    pixels = _Pixels(_side(getattr(config, "image_size", None)), mean, std, device)
    leading = int(tokens) + (getattr(config, "num_register_tokens", 0) or 0)
    chosen = spec.ordinals("blocks")
    if chosen:
        pool = spec.choice("pool", POOLS if tokens else POOLS[:1])
        _shorten(spec, model, chosen[-1])
        features = pixels.given_to(partial(_read_blocks, model, chosen, pool, leading))
    elif spec.text("pool", ""):
        raise spec.error("pool says how blocks are read; give blocks=… too")
    else:
        features = pixels.given_to(partial(_features, model, tokens))
    blocks = pixels.given_to(partial(_block_tokens, model)) if tokens else None
    size = features(torch.zeros(1, 3, pixels.side or 64, pixels.side or 64)).shape[1]
    files = (folder / "config.json", *sorted(folder.glob("*.safetensors")))
    return Lens(str(spec), size, features, digests=take_digests(folder, files), show=magnified, blocks=blocks)


def _load_timm(spec: LensSpec, device: torch.device) -> Lens:
    """The pretrained encoder of that name in timm, where timm is installed; features before its classifier, no blocks.

    Raises:
        LensError: timm is missing or has no such weights.
    """
    try:
        import timm  # noqa: PLC0415 - optional
    except ImportError as error:
        raise spec.error("needs package timm, which is not installed; pip install timm") from error
    try:
        model = timm.create_model(spec.location, pretrained=True, num_classes=0).to(device).eval().requires_grad_(False)
    except Exception as error:  # timm passes on whatever the hub and the registry raise
        raise spec.error(f"timm has no such pretrained model, or could not fetch it: {error}") from error
    wanted = timm.data.resolve_model_data_config(model)
    mean, std = spec.colour("mean") or tuple(wanted["mean"]), spec.colour("std") or tuple(wanted["std"])
    features = _Pixels(int(wanted["input_size"][-1]), mean, std, device).given_to(model)
    digests = {"state": _state_digest(model)}
    return Lens(str(spec), int(model.num_features), features, digests=digests, show=magnified)


class _Pixels(NamedTuple):
    """How an encoder wants its pixels: side, mean and std; and where it is."""

    side: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    device: torch.device

    def given_to(self, encode: Function) -> Function:
        """``encode`` of images that are cut and normalised, in batches of one size; on a CPU one by one."""
        size = 1 if self.device.type == "cpu" else GPU_BATCH

        def apply(x: Tensor) -> Tensor:
            with torch.inference_mode(not x.requires_grad):
                ready = normalise(centre(x.to(self.device), self.side), self.mean, self.std)
                parts = []
                for part in ready.split(size):
                    padded = torch.cat([part, part[-1:].expand(size - len(part), -1, -1, -1)])
                    parts.append(encode(padded)[: len(part)])
                return torch.cat(parts).float().to(x.device)

        return apply


def _features(model: Any, tokens: bool, x: Tensor) -> Tensor:
    """Features (N, D) of a model of transformers; ``tokens`` says whether the first token is the class."""
    if hasattr(model, "get_image_features"):
        embedding: Tensor = model.get_image_features(pixel_values=x).pooler_output
        return embedding
    state: Tensor = model(pixel_values=x).last_hidden_state
    if state.ndim == 4:
        return state.mean(dim=(2, 3))
    return state[:, 0] if tokens else state.mean(dim=1)


def _states(model: Any, x: Tensor) -> tuple[Tensor, ...]:
    """Tokens (N, T, D) after each block."""
    run = getattr(model, "get_image_features", model)
    states: tuple[Tensor, ...] = run(pixel_values=x, output_hidden_states=True).hidden_states
    return states[1:]  # the first is what the blocks are given


def _block_tokens(model: Any, x: Tensor) -> Tensor:
    """The first token after each block, (N, L, D)."""
    return torch.stack([state[:, 0] for state in _states(model, x)], dim=1)


def _read_blocks(model: Any, chosen: tuple[int, ...], pool: str, leading: int, x: Tensor) -> Tensor:
    states = _states(model, x)
    return torch.cat([pooled(states[number - 1], pool, leading) for number in chosen], dim=1)


def _shorten(spec: LensSpec, model: Any, last: int) -> None:
    """Drops the blocks after ``last`` of an encoder of images: they would be computed in vain."""
    seen = getattr(model, "vision_model", model)
    depth = getattr(seen.config, "num_hidden_layers", 0)
    lists = [module for module in seen.modules() if isinstance(module, nn.ModuleList) and len(module) == depth > 0]
    if len(lists) != 1:
        raise spec.error("its blocks give no tokens; give a vision transformer")
    if last > depth:
        raise spec.error(f"it has {depth} blocks and no block {last}; give fewer")
    del lists[0][last:]


def _pixels(spec: LensSpec, folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of the pixels: of the spec, else of the image processor saved beside the model."""
    mean, std = spec.colour("mean"), spec.colour("std")
    if mean and std:
        return mean, std
    from transformers.image_processing_base import ImageProcessingMixin  # noqa: PLC0415 - optional

    try:
        config: Mapping[str, Any] = ImageProcessingMixin.get_image_processor_dict(str(folder), local_files_only=True)[0]
        return mean or tuple(config["image_mean"]), std or tuple(config["image_std"])
    except (OSError, KeyError) as error:
        raise spec.error(
            f"{folder} has no image processor's config that says how pixels are normalised; append ?mean=…&std=… to the spec"
        ) from error


def _side(image_size: Any) -> int | None:
    if image_size is None:
        return None
    return int(max(image_size)) if isinstance(image_size, (list, tuple)) else int(image_size)


def _state_digest(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
