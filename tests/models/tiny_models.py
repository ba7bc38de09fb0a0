"""Tiny random models in diffusers' own format, made on the spot; for tests of what loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderDC, AutoencoderKL, AutoencoderTiny, DDPMScheduler, UNet2DModel, VQModel
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from causalprint.models.residuals.taef2 import FILES, Taef2


def autoencoder_kl() -> AutoencoderKL:
    """Factor 4."""
    blocks = 3
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        block_out_channels=(8,) * blocks,
        norm_num_groups=4,
    )


def autoencoder_tiny() -> AutoencoderTiny:
    """Factor 8."""
    return AutoencoderTiny(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4)


def vq_model() -> VQModel:
    """Factor 2."""
    return VQModel(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8,) * 2,
        norm_num_groups=4,
        num_vq_embeddings=16,
    )


def autoencoder_dc() -> AutoencoderDC:
    """Factor 4."""
    return AutoencoderDC(
        latent_channels=4,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=(8,) * 3,
        decoder_block_out_channels=(8,) * 3,
        encoder_layers_per_block=(1,) * 3,
        decoder_layers_per_block=(1,) * 3,
        encoder_qkv_multiscales=((),) * 3,
        decoder_qkv_multiscales=((),) * 3,
    )


def unet(out_channels: int = 3, num_class_embeds: int | None = None) -> UNet2DModel:
    """Factor 4."""
    return UNet2DModel(
        out_channels=out_channels,
        num_class_embeds=num_class_embeds,
        down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3,
        block_out_channels=(8,) * 3,
        layers_per_block=1,
        norm_num_groups=4,
        add_attention=False,
    )


AUTOENCODERS = {
    "AutoencoderKL": autoencoder_kl,
    "AutoencoderTiny": autoencoder_tiny,
    "VQModel": vq_model,
    "AutoencoderDC": autoencoder_dc,
}


def save_autoencoder(directory: Path, name: str = "AutoencoderKL", seed: int = 0) -> Path:
    """A random autoencoder of class ``name``, the same for the same seed, in ``directory``."""
    torch.manual_seed(seed)
    AUTOENCODERS[name]().save_pretrained(directory)
    return directory


def save_taef2(directory: Path, seed: int = 0) -> Path:
    """A random autoencoder in the layout of FLUX.2's tiny one, in half precision as published, in ``directory``."""
    torch.manual_seed(seed)
    model = Taef2().half()
    directory.mkdir(parents=True, exist_ok=True)
    for half, name in zip((model.encoder, model.decoder), FILES, strict=True):
        save_file(half.state_dict(), directory / name)
    return directory


def save_pipeline(directory: Path, model: Any = None, prediction_type: str = "epsilon", seed: int = 0) -> Path:
    """A random diffusion model and its schedule in ``directory``, as ``DDPMPipeline.save_pretrained`` lays them out."""
    torch.manual_seed(seed)
    (model or unet()).save_pretrained(directory / "unet")
    DDPMScheduler(prediction_type=prediction_type).save_pretrained(directory / "scheduler")
    return directory


def save_onnx_autoencoder(directory: Path, seed: int = 0, levels: int = 2) -> Path:
    """Random convolutions as two ONNX graphs in ``directory``: factor 4; the decoder gives a pyramid, coarse first."""
    draw = np.random.default_rng(seed)

    def convolution(name: str, inputs: int, outputs: int, stride: int, source: str, *, up: bool = False) -> list[Any]:
        shape = (inputs, outputs, stride, stride) if up else (outputs, inputs, stride, stride)
        weights = numpy_helper.from_array((0.5 * draw.standard_normal(shape) / stride).astype(np.float32), f"{name}_weights")
        kind = "ConvTranspose" if up else "Conv"
        node = helper.make_node(kind, [source, weights.name], [name], kernel_shape=[stride] * 2, strides=[stride] * 2)
        return [node, weights]

    def save(file: str, source: tuple[str, int], parts: list[list[Any]], outputs: dict[str, int]) -> None:
        def value(name: str, channels: int) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, f"{name}_h", f"{name}_w"])

        nodes, weights = zip(*parts, strict=True)
        graph = helper.make_graph(nodes, file, [value(*source)], [value(*item) for item in outputs.items()], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        (directory / file).write_bytes(model.SerializeToString())

    directory.mkdir(parents=True, exist_ok=True)
    save("tiny_encoder.onnx", ("image", 3), [convolution("latent", 3, 6, 4, "image")], {"latent": 6})
    names = [f"level{level}" for level in range(levels)]
    parts = [convolution(name, 6, 3, 4 // 2 ** (levels - 1 - level), "latent", up=True) for level, name in enumerate(names)]
    save("tiny_decoder.onnx", ("latent", 6), parts, dict.fromkeys(names, 3))
    return directory


def save_for_kind(directory: Path, kind: str, seed: int = 0) -> str:
    """A random model that residual ``kind`` takes, in ``directory``; returns the spec, cheap to compute."""
    if kind == "autoencoder":
        return f"{kind}:{save_autoencoder(directory, seed=seed)}"
    if kind == "onnx-autoencoder":
        return f"{kind}:{save_onnx_autoencoder(directory, seed)}"
    options = {"ddim": "?steps=3&until=300"}.get(kind, "")
    return f"{kind}:{save_pipeline(directory, seed=seed)}{options}"
