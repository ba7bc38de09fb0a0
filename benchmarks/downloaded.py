"""What it costs to store images smaller, as img2dataset does: the table of docs/results/put-aside.md.

    python benchmarks/downloaded.py ORIGINALS.tar [--bundle BUNDLE]

ORIGINALS.tar is a WebDataset of images as they were published, whose sidecars name ``source`` and ``origin``. Asked are those of
300 pixels and more, as they are and in the sizes and the ways in which img2dataset stores them (``--resize_mode``,
``--image_size``; area averages where that is smaller, else Lanczos; JPEG of quality 95); those of origins that the bundle's card
names are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from choose_images import rows
from PIL import Image

from causalprint.models.attribution import Attribution
from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.bundles.manifest import ART, GRAPHIC, REAL, UNREGISTERED
from causalprint.models.encodings import recompress
from causalprint.models.statistics.metrics import area_under_curve
from causalprint.models.verdicts import Judge
from causalprint.schemas.arrays import Pixels
from causalprint.transforms.images.decode import ImageRejectError, decode

LEAST = 300
"""Pixels of the shorter side: of less, nothing is left to store smaller."""
SURE = 0.9
WHITE = 255
OTHERS = (ART, GRAPHIC, "None", "unknown")
"""Sources that are neither photographs nor of a generator that is named."""


def keep_ratio(pixels: Pixels, side: int) -> Pixels:
    """The shorter side has ``side`` pixels."""
    return _resized(pixels, side / min(pixels.shape[:2]))


def border(pixels: Pixels, side: int) -> Pixels:
    """The longer side has ``side`` pixels, and white fills the square."""
    small = _resized(pixels, side / max(pixels.shape[:2]))
    square = np.full((side, side, 3), WHITE, np.uint8)
    top, left = ((side - length) // 2 for length in small.shape[:2])
    square[top : top + small.shape[0], left : left + small.shape[1]] = small
    return square


def _resized(pixels: Pixels, factor: float) -> Pixels:
    height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
    means = Image.Resampling.BOX if factor < 1 else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(pixels).resize((width, height), means))


WAYS: dict[str, Callable[[Pixels], Pixels]] = {
    "as they are": lambda pixels: pixels,
    "`--resize_mode keep_ratio --image_size 512`": lambda pixels: recompress(keep_ratio(pixels, 512), 95),
    "`--resize_mode keep_ratio --image_size 256`": lambda pixels: recompress(keep_ratio(pixels, 256), 95),
    "`--resize_mode border --image_size 256` (the default)": lambda pixels: recompress(border(pixels, 256), 95),
}


def main(originals: Path, directory: str | None) -> None:
    """Prints a row for each way of storing images."""
    judge = Judge(load_bundle(directory))
    learned = {(one.source, one.origin) for one in judge.bundle.manifest.data}
    made, said = list[bool](), list[list[Attribution]]()
    for *_, data, sidecar in rows(originals):
        source, origin = str(sidecar["source"]), str(sidecar["origin"])
        if source in OTHERS or {(source, origin), (UNREGISTERED, source)} & learned:
            continue
        try:
            pixels = decode(data).intact().pixels
        except ImageRejectError:
            continue
        if min(pixels.shape[:2]) >= LEAST:
            made.append(source != REAL)
            said.append(judge.attribute([change(pixels) for change in WAYS.values()]))
    generated = np.array(made)
    print("| stored | photographs | accused | 0.9 or more | cleared | generated | found | cleared | AUC |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, verdicts in zip(WAYS, zip(*said, strict=True), strict=True):
        known = np.array([one.generated_probability is not None for one in verdicts])
        chance = np.array([one.generated_probability or 0.0 for one in verdicts])
        accused = np.array([one.accuses for one in verdicts])
        cleared = np.array([one.verdict in (REAL, GRAPHIC) for one in verdicts])
        area = area_under_curve(generated[known], chance[known])
        numbers = [np.sum(~generated), *(np.sum(part[~generated]) for part in (accused, chance >= SURE, cleared))]
        numbers += [np.sum(generated), *(np.sum(part[generated]) for part in (accused, cleared))]
        print(f"| {name} | {' | '.join(map(str, numbers))} | {area:.3f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path)
    parser.add_argument("--bundle")
    asked = parser.parse_args()
    main(asked.originals, asked.bundle)
