"""What torch and onnxruntime compute, counted: operations, and bytes that their operators read and write.

Operations are those of convolutions and matrix products, two for each product that is summed, and of Fourier transforms, 5 N
log2 N, half of it where one side is real. Bytes are those of all inputs and outputs of operators that are no views, as if nothing
stayed in a cache. Operators of ONNX whose shapes cannot be told count for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, shape_inference
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from typing_extensions import override

UNMOVED = {"Constant", "Shape", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"}
"""ONNX operators that move nothing."""
Sides = tuple[int, ...]


class Work(NamedTuple):
    """Operations in floating point and with 8-bit numbers, and bytes."""

    floats: int = 0
    eight_bits: int = 0
    bytes: int = 0

    def plus(self, other: Work, times: int = 1) -> Work:
        """The sum of both."""
        return Work(*(mine + times * its for mine, its in zip(self, other, strict=True)))


def counted(work: Callable[[], object]) -> Work:
    """What ``work`` computes, in this thread; of ONNX what sessions compute that were opened since this module was imported."""
    fourier = torch.ops.aten
    formulas = {fourier._fft_r2c: _real, fourier._fft_c2r: _to_real, fourier._fft_c2c: _complex}  # noqa: SLF001 - their names
    with FlopCounterMode(display=False, custom_mapping=formulas) as operations, _Bytes() as moved:  # type: ignore[no-untyped-call]
        before = CountedSession.done
        work()
    return Work(operations.get_total_flops(), 0, moved.total).plus(CountedSession.done).plus(before, -1)


class CountedSession(onnxruntime.InferenceSession):
    """A session that counts what it has computed.

    Attributes:
        done: by all of them.
    """

    done = Work()

    def __init__(self, model: str | bytes, *options: Any, **named: Any) -> None:
        super().__init__(model, *options, **named)
        loaded = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(str(Path(model)))
        self._work = cache(lambda shapes: graph_work(loaded, dict(shapes)))

    @override
    def run(self, names: Any, feed: Mapping[str, Any], *options: Any) -> Any:
        """As of the class above."""
        done = self._work(tuple((name, np.shape(value)) for name, value in feed.items()))
        CountedSession.done = CountedSession.done.plus(done)
        return super().run(names, feed, *options)


onnxruntime.InferenceSession = CountedSession


def graph_work(model: onnx.ModelProto, inputs: Mapping[str, Sides]) -> Work:
    """Of an ONNX graph that is given inputs of these shapes."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for value in copy.graph.input:
        for dim, side in zip(value.type.tensor_type.shape.dim, inputs.get(value.name, ()), strict=False):
            dim.dim_value = side
    graph = shape_inference.infer_shapes(copy, data_prop=True).graph
    sizes: dict[str, tuple[Sides, int]] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            sizes[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim), _width(tensor.elem_type)
    sizes |= {tensor.name: (tuple(tensor.dims), _width(tensor.data_type)) for tensor in graph.initializer}
    total = Work()
    for node in graph.node:
        if node.op_type in UNMOVED or node.output[0] not in sizes:
            continue
        moved = sum(
            math.prod(sides) * width for sides, width in (sizes[name] for name in (*node.input, *node.output) if name in sizes)
        )
        operations = _operations(node, sizes)
        total = total.plus(Work(0, operations, moved) if "Integer" in node.op_type else Work(operations, 0, moved))
    return total


def _operations(node: onnx.NodeProto, sizes: Mapping[str, tuple[Sides, int]]) -> int:
    if not {*node.input[:2]} <= sizes.keys():
        return 0
    kernel = sizes[node.input[1]][0] if len(node.input) > 1 else ()
    made = math.prod(sizes[node.output[0]][0])
    match node.op_type:
        case "Conv" | "ConvInteger" | "FusedConv":
            return 2 * made * math.prod(kernel[1:])
        case "MatMul" | "MatMulInteger" | "Gemm":
            return 2 * made * sizes[node.input[0]][0][-1]
    return 0


def _width(kind: int) -> int:
    return int(np.dtype(helper.tensor_dtype_to_np_dtype(kind)).itemsize) if kind != TensorProto.UNDEFINED else 0


class _Bytes(TorchDispatchMode):
    """Sums what operators read and write."""

    total = 0

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        is_view = any(one.alias_info is not None and not one.alias_info.is_write for one in func._schema.returns)  # noqa: SLF001
        tensors = [] if is_view else [leaf for leaf in tree_leaves((args, kwargs, made)) if isinstance(leaf, torch.Tensor)]
        self.total += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return made


def _complex(shape: Sides, dims: Sequence[int], *_: object, share: float = 1.0, **__: object) -> int:
    return round(share * 5 * math.prod(shape) * math.log2(max(1, math.prod(shape[dim] for dim in dims))))


def _real(shape: Sides, dims: Sequence[int], *_: object, **__: object) -> int:
    return _complex(shape, dims, share=0.5)


def _to_real(_: Sides, dims: Sequence[int], *__: object, out_shape: Sides) -> int:
    return _complex(out_shape, dims, share=0.5)
