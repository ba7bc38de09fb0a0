"""An image encoder in ONNX as a learned lens, quantised ones too; its blocks' outputs are found by the graph's structure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from causalprint.models.lenses.base import CLIP_MEAN, CLIP_STD, POOLS, Lens, centre, find_folder, magnified, normalise, pooled
from causalprint.models.residuals.weights import open_onnx, take_digests
from causalprint.schemas.arrays import Floats
from causalprint.schemas.model_spec import LensSpec

ENCODER = "encoder.onnx"
"""The file in a folder that holds one."""


def load(spec: LensSpec, device: torch.device) -> Lens:
    """The encoder in the file or folder ``spec.location``, or in the package: pixels float32 (N, 3, H, W) -> features.

    Thread safe.

    Of several outputs, the first of shape (N, D) is taken; else the first token of (N, T, D), or the mean of (N, D, H, W); with
    ``blocks`` what these give, and with ``pool`` alone all outputs, each pooled. Pixels are normalised as CLIP's unless the spec
    says otherwise.

    It runs on the CPU wherever ``device`` is; a second session gives the blocks, once they are asked for.

    Raises:
        LensError: the file or a package is missing, or the graph takes something else.
    """
    del device
    path = find_folder(spec.location)
    path = path / ENCODER if path.is_dir() else path
    chosen = spec.ordinals("blocks")
    mean, std = spec.colour("mean") or CLIP_MEAN, spec.colour("std") or CLIP_STD
    if not path.is_file():
        raise spec.error(f"there is no file {path}; give that of an ONNX image encoder")
    session = open_onnx(spec, path)
    name, side = _image_input(spec, session)
    lock = threading.Lock()

    def prepare(x: Tensor) -> list[Floats]:
        ready = normalise(centre(x, side), mean, std).detach().cpu().numpy()
        # One at a time: dynamic quantisation takes one scale for a whole batch.
        return [np.ascontiguousarray(ready[index : index + 1], np.float32) for index in range(len(ready))]

    def run(graph: Any, names: Sequence[str], x: Tensor, take: Callable[[list[Tensor]], Tensor]) -> Tensor:
        """What ``take`` makes of the outputs of each image, one below the other."""
        rows = [take([torch.from_numpy(value) for value in graph.run(names, {name: pixels})]) for pixels in prepare(x)]
        return torch.cat(rows).to(x)

    outputs = [output.name for output in session.get_outputs()]

    @cache
    def open_blocks() -> tuple[Any, list[str]]:
        return _open_blocks(spec, path, chosen)

    def blocks(x: Tensor) -> Tensor:
        with lock:
            graph, names = open_blocks()
        return run(graph, names, x, lambda states: torch.stack([pooled(_tokens(spec, state), "class") for state in states], 1))

    def blank() -> dict[str, Floats]:
        return {name: prepare(torch.zeros(1, 3, side or 64, side or 64))[0]}

    pool = spec.choice("pool", POOLS) if chosen or spec.text("pool", "") else ""
    graph, names = open_blocks() if chosen else (session, outputs)
    states = dict(zip(names, _states(graph, blank), strict=True))
    if not pool:
        names = [next((end for end in names if states[end].ndim == 2), names[0])]

    def take(states: list[Tensor]) -> Tensor:
        return _features(spec, states, pool)

    def features(x: Tensor) -> Tensor:
        return run(graph, names, x, take)

    digests = take_digests(path.parent, (path, *path.parent.glob(f"{path.name}.data")))
    size = take([states[end] for end in names]).shape[1]
    return Lens(str(spec), size, features, digests=digests, show=magnified, on_cpu=True, blocks=blocks)


def residual_stream(graph: Any) -> list[str]:
    """Names of the outputs of a transformer's blocks in an ONNX ``graph``, in order; empty where it has no such structure.

    A block adds what it computed to what it was given, twice: Add(t, f(t)). So the stream is the longest chain of additions in
    which one operand is computed from the other, each such operand being the addition before. Names play no part, and neither
    do quantisation and the way in which an exporter writes normalisations.
    """
    producer = {name: index for index, node in enumerate(graph.node) for name in node.output}
    initial = {value.name for value in graph.input} - {value.name for value in graph.initializer}
    ancestors: list[int] = []  # of each node, as bits
    fed: list[bool] = []  # whether it depends on the image
    chain: list[list[str]] = []
    for node in graph.node:
        above = [producer[name] for name in node.input if name in producer]
        bits = 0
        for index in above:
            bits |= ancestors[index] | 1 << index
        ancestors.append(bits)
        fed.append(any(name in initial for name in node.input) or any(fed[index] for index in above))
        chain.append([])
        if node.op_type != "Add" or len(above) != 2 or not all(fed[index] for index in above):
            continue
        for kept, other in (above, above[::-1]):
            if ancestors[other] >> kept & 1:
                chain[-1] = [*chain[kept], node.output[0]]
    longest = max(chain, key=len, default=[])
    return longest[1::2] if len(longest) % 2 == 0 else longest


def cut(spec: LensSpec, model: Any, chosen: Sequence[int] = ()) -> tuple[Any, list[str]]:
    """The part of an ONNX ``model`` of one input that gives the tokens after the ``chosen`` blocks, or after each; its outputs.

    Raises:
        LensError: it has no such blocks.
    """
    from onnx import TensorProto, helper  # noqa: PLC0415 - optional
    from onnx.utils import Extractor  # noqa: PLC0415

    names = residual_stream(model.graph)
    if not names:
        raise spec.error("its graph has no transformer blocks; give a vision transformer that is not fused")
    if chosen and chosen[-1] > len(names):
        raise spec.error(f"it has {len(names)} blocks and no block {chosen[-1]}; give fewer")
    names = [names[number - 1] for number in chosen] or names
    typed = {value.name for value in (*model.graph.value_info, *model.graph.output)}
    untyped = [name for name in names if name not in typed]
    model.graph.value_info.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in untyped)
    return Extractor(model).extract_model([model.graph.input[0].name], names), names


def _states(graph: Any, blank: Callable[[], dict[str, Floats]]) -> list[Tensor]:
    """Outputs of the shapes that a graph gives of one image: zeros where it says them, for a blank image costs what any does."""
    shapes = [output.shape[1:] for output in graph.get_outputs()]
    if all(shape and _fixed(shape) for shape in shapes):
        return [torch.zeros(1, *shape) for shape in shapes]
    return [torch.from_numpy(value) for value in graph.run(None, blank())]


def _open_blocks(spec: LensSpec, path: Path, chosen: Sequence[int]) -> tuple[Any, list[str]]:
    try:
        import onnx  # noqa: PLC0415 - optional
    except ImportError as error:
        raise spec.error("its blocks need package onnx; pip install onnx") from error
    model, names = cut(spec, onnx.load(str(path)), chosen)
    return open_onnx(spec, model.SerializeToString()), names


def _tokens(spec: LensSpec, state: Tensor) -> Tensor:
    if state.ndim != 3:
        raise spec.error("its blocks give no tokens; give a vision transformer")
    return state.float()


def _image_input(spec: LensSpec, session: Any) -> tuple[str, int | None]:
    """Name of the graph's image and its side, ``None`` where any will do."""
    inputs = session.get_inputs()
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    if len(shape) != 4 or shape[1] != 3 or inputs[0].type != "tensor(float)" or (shape[2] != shape[3] and _fixed(shape[2:])):
        wanted = ", ".join(f"{value.name} {value.shape} {value.type}" for value in inputs)
        raise spec.error(f"its graph takes {wanted}; give an encoder of one float image (N, 3, side, side)")
    return str(inputs[0].name), int(shape[2]) if _fixed(shape[2:]) else None


def _fixed(sides: list[Any]) -> bool:
    return all(isinstance(side, int) for side in sides)


def _features(spec: LensSpec, states: list[Tensor], pool: str) -> Tensor:
    """Features (1, D) of a graph's outputs: of all, pooled, or of the one that there is."""
    if pool:
        return torch.cat([pooled(_tokens(spec, state), pool) for state in states], 1)
    (values,) = states
    return (values[:, 0] if values.ndim == 3 else values.mean(dim=(2, 3)) if values.ndim == 4 else values).float()
