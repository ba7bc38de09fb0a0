"""What share of the machine's peak each stage of a bundle reaches: operations and bytes counted, peaks measured in the same run.

    python benchmarks/roofline.py [--bundle BUNDLE] [--residual SPEC] [--side 256] [--device cpu] [--rounds 5]

On a CPU everything runs on one thread, as an audit computes an image on one, and seconds are the processor's; on a GPU a
micro-batch is computed, and seconds are the clock's. Of all times the shortest is taken. Peaks are, in float32, without TF32 as
in an audit, the faster of a matrix product and a convolution; with 8-bit numbers a matrix product on the CPU, where encoders in
ONNX run whatever ``--device`` is; and a copy of what no cache holds. A stage's share of the peak is what its operations would
take at these peaks over what it takes; its share of the roof the same with the time for its bytes where that is longer. A stage
whose data stay in a cache may come above its roof.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from count_operations import Work, counted
from measure import machine, table, textured
from PIL import Image
from torch import nn

from causalprint.models.bundles.bundle import Bundle, load_bundle
from causalprint.models.features import pick_device
from causalprint.models.fingerprint import Fingerprinter, exact_kernels
from causalprint.models.lenses import load_lens, read
from causalprint.models.residuals import load_residual
from causalprint.schemas.arrays import Crops

COPY = 2**28
"""Bytes."""


class Peaks(NamedTuple):
    """What a machine does at most in a second: operations in floating point and with 8-bit numbers, and bytes copied."""

    floats: float
    eight_bits: float
    bytes: float


def main(arguments: argparse.Namespace) -> None:
    """Measures and prints."""
    device = pick_device(arguments.device)
    torch.set_num_threads(1)
    bundle = load_bundle(arguments.bundle, arguments.residual)
    with torch.inference_mode(), exact_kernels():
        print(machine(arguments.device))
        peaks = measured(device)
        rows = [
            row(name, shortest(stage, device, arguments.rounds), counted(stage), peaks)
            for name, stage in stages(bundle, device, arguments.side).items()
        ]
    print(table(["stage", "ms", "GFLOP", "8-bit GOP", "MB", "of the peak", "of the roof"], rows))


def measured(device: torch.device) -> Peaks:
    """Measures the peaks, and prints them."""
    side, width = (2048, 64) if device.type == "cpu" else (8192, 512)
    matrix, grains = torch.rand(side, side, device=device), torch.randint(-128, 127, (2048, 2048), dtype=torch.int8)
    convolution = nn.Conv2d(256, 256, 3, padding=1, device=device).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack it
    picture = torch.rand(1, 256, width, width, device=device).to(memory_format=torch.channels_last)
    block = torch.zeros(COPY, dtype=torch.uint8, device=device)
    target = torch.empty_like(block)
    product = 2 * side**3 / shortest(lambda: matrix @ matrix, device)
    convolved = 2 * 256**2 * 9 * width**2 / shortest(lambda: convolution(picture), device)
    eight_bits = 2 * 2048**3 / shortest(lambda: torch._int_mm(grains, grains), torch.device("cpu"))  # noqa: SLF001 - its only name
    copied = 2 * COPY / shortest(lambda: target.copy_(block), device)
    print(
        f"peaks: {product / 1e9:,.0f} GFLOP/s of a matrix product, {convolved / 1e9:,.0f} of a convolution, "
        f"{eight_bits / 1e9:,.0f} GOP/s of an 8-bit product, {copied / 1e9:,.1f} GB/s copied"
    )
    return Peaks(max(product, convolved), eight_bits, copied)


def stages(bundle: Bundle, device: torch.device, side: int) -> dict[str, Callable[[], object]]:
    """What is done with an image, or with a micro-batch, stage by stage; and all that the model does."""
    fingerprinter = Fingerprinter(bundle, str(device))
    encoded = textured(side, np.random.default_rng(0))
    crops: Crops = np.stack([np.asarray(Image.open(io.BytesIO(encoded)))] * fingerprinter.micro_batch)
    x = torch.tensor(crops, device=device).permute(0, 3, 1, 2).float().div(255).contiguous()
    residual = load_residual(bundle.residual, device)
    made = residual(x)
    found: dict[str, Callable[[], object]] = {"residual": lambda: residual(x)}
    for feature in bundle.features:
        lens = load_lens(feature.lens, device)
        name = feature.lens.rpartition("/")[2]
        found[f"{name} of the {feature.reading}"] = partial(read, lens, feature.reading, x, made)
    found["fingerprint, all of it"] = lambda: fingerprinter(crops)
    return found


def shortest(work: Callable[[], object], device: torch.device, rounds: int = 5) -> float:
    """Seconds of the fastest of some runs, after one that is not counted."""

    def clock() -> float:
        if device.type == "cpu":
            return time.thread_time()
        torch.cuda.synchronize(device)
        return time.perf_counter()

    def once() -> float:
        began = clock()
        work()
        return clock() - began

    once()
    return min(once() for _ in range(rounds))


def row(name: str, seconds: float, work: Work, peaks: Peaks) -> list[str]:
    """A line of the table."""
    computing, moving = work.floats / peaks.floats + work.eight_bits / peaks.eight_bits, work.bytes / peaks.bytes
    numbers = [f"{1000 * seconds:.1f}", f"{work.floats / 1e9:.2f}", f"{work.eight_bits / 1e9:.2f}", f"{work.bytes / 1e6:.0f}"]
    return [name, *numbers, f"{computing / seconds:.0%}", f"{max(computing, moving) / seconds:.0%}"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle")
    parser.add_argument("--residual", help="in place of the bundle's own")
    parser.add_argument("--side", type=int, default=256, help="of the crops, in pixels")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--rounds", type=int, default=5)
    main(parser.parse_args())
