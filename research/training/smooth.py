"""Less noise from an encoder's 8-bit products: large channels of what they multiply are divided, and their weights multiplied.

One scale is found for a whole image's tokens, so channels that are far larger than the others leave the others few of the 256
steps. Dividing channel j by s_j = max|x_j|^a / max|w_j|^(1 - a) and multiplying the weights that it meets by s_j changes no
product and evens both out (SmoothQuant, Xiao et al., ICML 2023, equation 4). The weights are rounded to 8 bits once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from causalprint.models.residuals.weights import open_onnx
from causalprint.schemas.arrays import Floats
from causalprint.schemas.model_spec import LensSpec

STRENGTH = 0.7
"""The equation's a; from 0.65 to 0.75 the encoder that ships comes equally near to the same in 32 bits."""
LARGEST = 127


class _Product(NamedTuple):
    """A product in 8 bits: its node, its weights (J, K) in float and the name of their scale."""

    node: Any
    weights: Floats
    scale: str


def smooth(spec: LensSpec, model: Any, images: Iterable[Floats]) -> Any:
    """An ONNX ``model`` of one input with dynamically quantised products, smoothed by how large channels are on ``images``.

    Args:
        spec: named in errors.
        model: changed in place, and given back.
        images: float32 (1, 3, H, W) each, as the model takes them.

    Raises:
        LensError: it has no such products, or not as onnxruntime's quantiser writes them; or there are no images.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    quantisers = [node for node in graph.node if node.op_type == "DynamicQuantizeLinear"]
    if not quantisers:
        raise spec.error("none of its products is dynamically quantised; cut it without --images")
    largest = _largest(spec, model, list(dict.fromkeys(node.input[0] for node in quantisers)), images)

    def constant(name: str, value: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    for quantiser in quantisers:
        products = [_product(spec, graph, constants, quantiser.output[1], node) for node in _users(graph, quantiser.output[0])]
        of_weights = np.max([np.abs(product.weights).max(axis=1) for product in products], axis=0)
        given = quantiser.input[0]
        divisor = np.maximum(largest[given], 1e-5) ** STRENGTH / np.maximum(of_weights, 1e-5) ** (1 - STRENGTH)
        divisor = (divisor / np.exp(np.log(divisor).mean())).astype(np.float32)
        even = helper.make_node("Mul", [given, constant(f"{given}.even", 1 / divisor)], [f"{given}.evened"])
        graph.node.insert(next(place for place, node in enumerate(graph.node) if node == quantiser), even)
        quantiser.input[0] = even.output[0]
        for node, weights, scale in products:
            changed = weights * divisor[:, None]
            step = np.maximum(np.abs(changed).max(axis=0) / LARGEST, 1e-12).astype(np.float32)
            node.input[1] = constant(f"{node.input[1]}.even", np.round(changed / step).astype(np.int8))
            del node.input[3:]  # no zero point
            for user in _users(graph, scale):
                user.input[list(user.input).index(scale)] = f"{node.input[1]}.scale"
            constant(f"{node.input[1]}.scale", step)
    used = {name for node in graph.node for name in node.input}
    kept = [value for value in graph.initializer if value.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return model


def _largest(spec: LensSpec, model: Any, names: list[str], images: Iterable[Floats]) -> dict[str, Floats]:
    """Of each of the values ``names`` (1, T, J) the largest size of each channel, (J,), over the images."""
    from onnx import ModelProto, TensorProto, helper

    shown = ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = open_onnx(spec, shown.SerializeToString())
    found: dict[str, Floats] = {}
    for pixels in images:
        for name, value in zip(names, session.run(names, {session.get_inputs()[0].name: pixels}), strict=True):
            size = np.abs(value).reshape(-1, value.shape[-1]).max(axis=0)
            found[name] = np.maximum(found.get(name, size), size)
    if not found:
        raise spec.error("no image is as large as it takes them; give others by --images")
    return found


def _product(spec: LensSpec, graph: Any, constants: dict[str, Any], of_given: str, node: Any) -> _Product:
    """The product at ``node``; its result is multiplied by the scale ``of_given`` and by that of the weights."""
    users = _users(graph, node.output[0]) if node.op_type == "MatMulInteger" else []
    while len(users) == 1 and users[0].op_type in ("Cast", "Mul"):
        for name in users[0].input:
            inner = next((other for other in graph.node if name in other.output and other.op_type == "Mul"), None)
            for scale in (name, *(inner.input if inner is not None and of_given in inner.input else ())):
                if scale in constants:
                    weights = constants[node.input[1]].astype(np.float32)
                    if len(node.input) > 3:
                        weights -= constants[node.input[3]].astype(np.float32)
                    return _Product(node, weights * constants[scale], scale)
        users = _users(graph, users[0].output[0])
    raise spec.error(f"{node.name or node.op_type} is no product as onnxruntime's quantiser writes it; cut it without --images")


def _users(graph: Any, name: str) -> list[Any]:
    return [node for node in graph.node if name in node.input]
