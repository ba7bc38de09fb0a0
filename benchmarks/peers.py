"""What methods that read one autoencoder cost: AEROBLADE's and AEDR's published procedures beside ours, with the same one.

    python benchmarks/peers.py AUTOENCODER [--images 20] [--side 512] [--rounds 3] [--device cpu] [--input SHARD …]

AUTOENCODER is a residual's spec, such as ``autoencoder:DIR``. The procedures, from the papers' formulas, over the whole image:

- AEROBLADE (CVPR 2024): LPIPS between x and x1 = D(E(x)) at VGG16's second layer. The paper takes the least over three
  autoencoders; here there is one. VGG16's layers up to that one have weights at random: time does not depend on them.
- AEDR (arXiv 2507.18988): MSE(x, x1) / MSE(x1, x2) with x2 = D(E(x1)), times the homogeneity of x's grey-level co-occurrences.

Ours is ``causalprint audit --residual AUTOENCODER`` over the same tars: start, reading, hashing, decoding in processes of their
own, the autoencoder on a crop of the bundle's size, every lens, verdicts and tables. The procedures get their images from memory.
All run in one process, in turn, one image after another, an image on one thread; ratios are taken round by round. Below stands
the autoencoder alone, over the whole image and over our crop, to which these ratios are. On a CPU seconds are the processor's,
on a GPU the clock's.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections import defaultdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import torch
from measure import audited, machine, make_shards, table, timed
from PIL import Image
from readers import ours
from torch import Tensor, nn

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.features import cut, pick_device
from causalprint.models.residuals import load_residual
from causalprint.schemas.config import AuditConfig

LEVELS = 256
OURS, STEP = "causalprint audit", "autoencoder, our crop"


class SecondLayer(nn.Module):
    """LPIPS at VGG16's second layer, with weights at random."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (3, 64, 64, 128, 128)
        layers = [
            layer
            for number, (inputs, outputs) in enumerate(pairwise(sizes))
            for layer in (*([nn.MaxPool2d(2)] if number == 2 else []), nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())
        ]
        self.features = nn.Sequential(*layers)
        self.weights = nn.Parameter(torch.rand(1, sizes[-1], 1, 1))

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Distances (N,) of images (N, 3, H, W), -1 to 1."""
        one, two = (nn.functional.normalize(self.features(image), dim=1) for image in (x, other))
        return ((one - two).square() * self.weights).sum(1).mean((1, 2))


def homogeneity(pixels: np.ndarray) -> float:
    """Of the co-occurrences of neighbouring grey levels of uint8 (H, W, 3): the mean of 1 / (1 + (i - j)²) over P(i, j)."""
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.int64)
    pairs = np.bincount((grey[:, :-1] * LEVELS + grey[:, 1:]).ravel(), minlength=LEVELS**2).reshape(LEVELS, LEVELS)
    steps = np.subtract.outer(np.arange(LEVELS), np.arange(LEVELS))
    return float((pairs / (1 + steps**2)).sum() / pairs.sum())


class Procedures:
    """Both procedures over encoded images, timed part by part."""

    def __init__(self, autoencoder: str, device: torch.device) -> None:
        self.device, self.residual = device, load_residual(autoencoder, device)
        self.layer, self.geometry = SecondLayer().to(device).eval(), load_bundle().manifest.geometry
        self.spent, self._since = defaultdict[str, float](float), 0.0

    def run(self, encoded: list[bytes]) -> dict[str, float]:
        """Seconds of each part over all images."""
        self.spent = defaultdict[str, float](float)
        with torch.inference_mode():
            for data in encoded:
                self._one(data)
        return self.spent

    def _one(self, data: bytes) -> None:
        self._note("")
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        x = self._tensor(pixels)
        self._note("decode")
        first = self.residual(x).reconstruction
        self._note("once")
        self.layer(2 * x - 1, 2 * first - 1).item()
        self._note("LPIPS")
        second = self.residual(first).reconstruction
        self._note("again")
        _ = ((x - first).square().mean() / (first - second).square().mean()).item() * homogeneity(pixels)
        self._note("ratio")
        for crop in cut(pixels, self.geometry):
            self.residual(self._tensor(crop))
        self._note("crop")

    def _tensor(self, pixels: np.ndarray) -> Tensor:
        return torch.tensor(pixels, device=self.device).permute(2, 0, 1)[None].float().div(255).contiguous()

    def _note(self, part: str) -> None:
        """Counts for ``part`` the seconds since the last note: of the processor, or, where a GPU computes, by the clock."""
        is_gpu = self.device.type == "cuda"
        if is_gpu:
            torch.cuda.synchronize(self.device)
        now = time.perf_counter() if is_gpu else time.thread_time()
        self.spent[part] += now - self._since if part else 0.0
        self._since = now


def main(arguments: argparse.Namespace) -> None:
    """Measures and prints."""
    device = pick_device(arguments.device)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        inputs = tuple(arguments.input or make_shards(root / "in", arguments.images, 1, arguments.side))
        encoded, procedures = list(ours(inputs)), Procedures(arguments.autoencoder, device)
        print(machine(arguments.device))
        procedures.run(encoded[:2])  # what is loaded with the first image belongs to none
        found: list[dict[str, float]] = []
        for turn in range(arguments.rounds):
            config = AuditConfig(inputs, str(root / f"out-{turn}"), residual=arguments.autoencoder, device=arguments.device)
            audit = timed(partial(audited, config))
            spent = procedures.run(encoded)
            found.append({
                OURS: audit[1 if device.type == "cuda" else 0],
                "AEROBLADE": spent["decode"] + spent["once"] + spent["LPIPS"],
                "AEDR": spent["decode"] + spent["once"] + spent["again"] + spent["ratio"],
                STEP: spent["crop"],
                "autoencoder once, whole image (AEROBLADE)": spent["once"],
                "autoencoder twice, whole image (AEDR)": spent["once"] + spent["again"],
            })  # fmt: skip
    print(f"{len(encoded)} images, {arguments.autoencoder}, median of {arguments.rounds} rounds")
    names = list(found[0])
    each = {name: f"{1000 * median(one[name] for one in found) / len(encoded):.1f}" for name in names}
    ratios = {
        name: f"{median(one[name] / one[OURS if place < 3 else STEP] for one in found):.2f}" for place, name in enumerate(names)
    }
    print(table(["", "ms an image", "over ours"], [(name, each[name], ratios[name]) for name in names]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("autoencoder", help="a residual's spec")
    parser.add_argument("--images", type=int, default=20, help="images to make, without --input")
    parser.add_argument("--side", type=int, default=512, help="of theirs, in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--input", nargs="*", default=[], help="shards to read instead")
    main(parser.parse_args())
