"""Tiny random image encoders, made on the spot; for tests of what loads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import transformers
from onnx import TensorProto, helper, numpy_helper

SIDE = 32
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]


def save_encoder(directory: Path, model: Any, *, processor: bool = True) -> str:
    """Saves a model of transformers as its hub repository would be laid out; returns its spec."""
    model.save_pretrained(directory)
    if processor:
        config = {"image_processor_type": "ViTImageProcessor", "image_mean": MEAN, "image_std": STD}
        (directory / "preprocessor_config.json").write_text(json.dumps(config), encoding="utf-8")
    return f"transformers:{directory}"


THREE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": SIDE,
    "patch_size": 8,
}


def vit(seed: int = 0) -> transformers.ViTModel:
    """Three blocks of width 16."""
    torch.manual_seed(seed)
    return transformers.ViTModel(transformers.ViTConfig(**THREE))


def siglip(seed: int = 0) -> transformers.SiglipVisionModel:
    """The same without a class token."""
    torch.manual_seed(seed)
    return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**THREE))


def dinov3(seed: int = 0) -> transformers.DINOv3ViTModel:
    """The same with four registers."""
    torch.manual_seed(seed)
    return transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(num_register_tokens=4, **THREE))


def clip(seed: int = 0) -> transformers.CLIPModel:
    """Two blocks of width 16 in each tower, embeddings of 8."""
    torch.manual_seed(seed)
    size: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    text = {**size, "vocab_size": 10, "max_position_embeddings": 4, "bos_token_id": 0, "eos_token_id": 1}
    return transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config={**size, "image_size": SIDE, "patch_size": 8}, projection_dim=8)
    )


def resnet(seed: int = 0) -> transformers.ResNetModel:
    """Two stages, 16 channels at the end."""
    torch.manual_seed(seed)
    return transformers.ResNetModel(
        transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    )


def save_onnx(file: Path, blocks: int = 3, seed: int = 0, *, quantised: bool = False, largest: float = 1.0) -> str:
    """A transformer in ONNX without attention: patches to tokens, ``blocks`` times two skipped layers, a projection of token 0.

    The layers have biases, a GELU by its tanh formula (which adds x to what is computed from x, as a block does), and, where
    ``quantised``, products in 8 bits with one scale a batch; weights are of 8 bits in any case. Channel 0 is ``largest`` times as
    large as the others, and what reads it has weights that make up for it.
    """
    draw = np.random.default_rng(seed)
    width, nodes, constants = 6, [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(kind: str, *inputs: str, out: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def linear(x: str, out: str, rows: int, columns: int) -> str:
        weight = draw.normal(0, 0.5, (rows, columns))
        weight[0] /= largest if rows == width else 1
        step = np.float32(np.abs(weight).max() / 127)
        weight = np.round(weight / step).astype(np.int8)
        if quantised:
            scale, whole = constant(f"{out}.scale", step), constant(f"{out}.weight", weight)
            nodes.append(helper.make_node("DynamicQuantizeLinear", [x], [f"{out}.q", f"{out}.s", f"{out}.z"]))
            product = node("MatMulInteger", f"{out}.q", whole, f"{out}.z", out=f"{out}.i")
            x = node("Mul", node("Cast", product, out=f"{out}.f", to=TensorProto.FLOAT), f"{out}.s", out=f"{out}.fs")
            x = node("Mul", x, scale, out=f"{out}.m")
        else:
            x = node("MatMul", x, constant(f"{out}.weight", weight * step), out=f"{out}.m")
        return node("Add", constant(f"{out}.bias", draw.normal(size=columns).astype(np.float32)), x, out=out)

    def gelu(x: str, out: str) -> str:
        cube = node("Mul", node("Pow", x, "three", out=f"{out}.p"), "cubic", out=f"{out}.c")
        return node("Mul", x, node("Tanh", node("Add", x, cube, out=f"{out}.a"), out=f"{out}.t"), out=out)

    constant("three", np.float32(3))
    constant("cubic", np.float32(0.044715))
    constant("first", np.int64(0))
    sizes = np.array([largest, *(1,) * (width - 1)])[:, None, None, None]
    patch = constant("patch", (sizes * draw.normal(0, 0.1, (width, 3, 8, 8))).astype(np.float32))
    grid = node("Conv", "pixels", patch, out="grid", kernel_shape=[8, 8], strides=[8, 8])
    flat = node("Reshape", grid, constant("shape", np.array([0, width, -1])), out="flat")
    stream = node("Transpose", flat, out="embedded", perm=[0, 2, 1])
    for index in range(blocks):
        stream = node("Add", stream, linear(stream, f"{index}.mix", width, width), out=f"{index}.middle")
        hidden = gelu(linear(stream, f"{index}.up", width, 12), f"{index}.gelu")
        stream = node("Add", linear(hidden, f"{index}.down", 12, width), stream, out=f"{index}.end")
    linear(node("Gather", stream, "first", out="token", axis=1), "features", width, 5)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 5])
    graph = helper.make_graph(nodes, "encoder", [pixels], [features], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))
    return f"onnx:{file}"
