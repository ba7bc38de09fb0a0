"""Residual of one pass through an autoencoder in ONNX: r = x - D(E(x)), of a folder of two graphs or a file of both halves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from causalprint.models.residuals.base import ModelResidual
from causalprint.models.residuals.weights import open_onnx, take_digests
from causalprint.schemas.model_spec import ResidualSpec

FACTOR = 8
PROBE = 64
"""Side of the blank image that shows an encoder's factor."""


def load(spec: ResidualSpec, device: torch.device | str) -> ModelResidual:
    """Loads kind ``onnx-autoencoder``.

    The location is a folder with two ``.onnx`` files, of which one is named ``…encoder…``: image to latents (its first output),
    and latents to image; or a file that takes an image and gives its reconstruction. Both take and give (N, 3, H, W) in the range
    that option ``range`` names: ``signed``, -1 to 1 (the default), or ``unit``, 0 to 1. A decoder with several outputs is taken
    for a pyramid, coarse to fine, as VAElight's is: they are brought to the image's size by bilinear interpolation and added.

    It runs on the CPU wherever ``device`` is, and gives no gradients: its reconstruction is a constant to them.

    Raises:
        ResidualError: there is no such folder or file, or the graphs are others.
    """
    del device
    paths = _find(spec)
    halves = [_graph(open_onnx(spec, path)) for path in paths]
    if len(halves) == 2:
        factor = PROBE // halves[0](torch.zeros(1, 3, PROBE, PROBE))[0].shape[-1]
    else:
        factor = spec.integer("factor", FACTOR, 1, 256)
    written = spec.text("range", "signed")
    if written not in ("signed", "unit"):
        raise spec.error(f"range={written} is unknown; give signed (-1 to 1) or unit (0 to 1)")
    signed = written == "signed"

    def round_trip(x: Tensor) -> Tensor:
        first = 2 * x - 1 if signed else x
        for half in halves[:-1]:
            first = half(first)[0]
        levels = [_resized(level, x.shape[-2:]) for level in halves[-1](first)]
        decoded = sum(levels[1:], levels[0]).to(x.device)
        return (decoded + 1) / 2 if signed else decoded

    _check(spec, round_trip, 2 * factor)
    files = (*paths, *(data for path in paths for data in path.parent.glob(f"{path.name}.data")))
    return ModelResidual(spec, round_trip, factor, take_digests(paths[0].parent, files))


def _graph(session: Any) -> Callable[[Tensor], list[Tensor]]:
    """An ONNX graph of one input as a function that gives every output."""
    name = session.get_inputs()[0].name

    def run(x: Tensor) -> list[Tensor]:
        outputs = session.run(None, {name: x.detach().cpu().contiguous().numpy()})
        return [torch.from_numpy(output) for output in outputs]

    return run


def _resized(image: Tensor, size: torch.Size) -> Tensor:
    return image if image.shape[-2:] == size else interpolate(image, size=list(size), mode="bilinear", align_corners=False)


def _find(spec: ResidualSpec) -> tuple[Path, ...]:
    """The encoder and the decoder, or the one file."""
    path = Path(spec.location).expanduser()
    if path.is_file():
        return (path,)
    graphs = sorted(path.glob("*.onnx"))
    encoders = [graph for graph in graphs if "encoder" in graph.stem.lower()]
    if len(graphs) != 2 or len(encoders) != 1:
        names = ", ".join(graph.name for graph in graphs) or "none"
        raise spec.error(
            f"give a folder with two ONNX files, one of them named …encoder…, or one file that "
            f"reconstructs an image; {path} holds {names}"
        )
    (encoder,) = encoders
    return (encoder, *(graph for graph in graphs if graph != encoder))


def _check(spec: ResidualSpec, through: Callable[[Tensor], Tensor], side: int) -> None:
    blank = torch.zeros(1, 3, side, side)
    try:
        shape = through(blank).shape
    except Exception as error:  # onnxruntime's own classes derive from nothing else
        raise spec.error(f"the graphs do not take an image of {side} pixels: {error}; give a convolutional one") from error
    if shape != blank.shape:
        raise spec.error(f"an image {tuple(blank.shape)} comes back as {tuple(shape)}; give an RGB autoencoder")
