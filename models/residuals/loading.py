"""Loads a diffusers model from files that were found, in float32 and inference mode, and refuses a partial fit."""

from __future__ import annotations

from typing import Any

import diffusers
import torch

from causalprint.models.residuals.weights import ModelFiles
from causalprint.schemas.model_spec import ResidualSpec


def load_model(spec: ResidualSpec, saved: ModelFiles, device: torch.device | str) -> Any:
    """The model of ``saved``, an instance of the class its config names, float32, in evaluation mode, without gradients.

    Raises:
        ResidualError: the weights do not fit the config. Diffusers itself would fill the gaps with random numbers.
    """
    try:
        model, report = getattr(diffusers, saved.class_name).from_pretrained(
            str(saved.folder),
            use_safetensors=True,
            torch_dtype=torch.float32,
            local_files_only=True,
            low_cpu_mem_usage=False,  # what it would save needs another package, accelerate
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise spec.error(f"{saved.folder} could not be loaded as {saved.class_name}: {error}") from error
    gaps = [*report["missing_keys"], *report["unexpected_keys"], *(str(item) for item in report["mismatched_keys"])]
    if gaps:
        raise spec.error(
            f"the weights in {saved.folder} do not fit its config.json "
            f"({len(gaps)} tensors, {gaps[0]} the first); save the model again with save_pretrained"
        )
    return model.to(device).eval().requires_grad_(False)
