"""What it costs to store images smaller, as img2dataset does: the table of docs/results/put-aside.md.

    python benchmarks/downloaded.py ORIGINALS.tar [--bundle BUNDLE]

ORIGINALS.tar is a WebDataset of images as they were published, whose sidecars name ``source`` and ``origin``. Asked are those of
300 pixels and more, as they are and in the sizes and the ways in which img2dataset stores them (``--resize_mode``,
``--image_size``; area averages, JPEG of quality 95); those of origins that the bundle's card names are left out.
"""

from __future__ import annotations

import argparse
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from choose_images import rows
from PIL import Image

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.bundles.manifest import ART, GRAPHIC, REAL, UNREGISTERED
from causalprint.models.encodings import recompress
from causalprint.models.statistics.metrics import area_under_curve
from causalprint.models.verdicts import Judge
from causalprint.schemas.arrays import Pixels
from causalprint.transforms.images.decode import ImageRejectError, decode

LEAST = 300
SURE = 0.9
WHITE = 255


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
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


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
    images, sources = list[Pixels](), list[str]()
    for *_, data, sidecar in rows(originals):
        source, origin = str(sidecar.get("source")), str(sidecar.get("origin"))
        new = not {(source, origin), (UNREGISTERED, source)} & learned
        try:
            pixels = decode(data).intact().pixels
        except (ImageRejectError, tarfile.TarError):
            continue
        if new and source not in ("None", "unknown", ART, GRAPHIC) and min(pixels.shape[:2]) >= LEAST:
            images.append(pixels)
            sources.append(source)
    made = np.array(sources) != REAL
    print("| stored | photographs | accused | 0.9 or more | cleared | generated | found | cleared | AUC |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, change in WAYS.items():
        said = [judge.attribute([change(pixels)])[0] for pixels in images]
        known = np.array([one.generated_probability is not None for one in said])
        chance = np.array([one.generated_probability or 0.0 for one in said])
        accused = np.array([one.accuses for one in said])
        cleared = np.array([one.verdict in (REAL, GRAPHIC) for one in said])
        area = area_under_curve(made[known], chance[known])
        numbers = [np.sum(~made), *(np.sum(part[~made]) for part in (accused, chance >= SURE, cleared))]
        numbers += [np.sum(made), *(np.sum(part[made]) for part in (accused, cleared))]
        print(f"| {name} | {' | '.join(map(str, numbers))} | {area:.3f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path)
    parser.add_argument("--bundle")
    asked = parser.parse_args()
    main(asked.originals, asked.bundle)
