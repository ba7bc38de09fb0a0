"""Labelled shards of the repository's own generators, made from labelled photographs, for ``causalprint train``.

``python -m causalprint.pipelines.generated_shards OUTPUT INPUT…`` writes ``OUTPUT/<generator>.tar``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from causalprint.pipelines.demo_shards import AUTOENCODERS, CROP, PRIOR, encode, write_tar

PER_ORIGIN = 70
SAMPLES = 80
SAMPLING_STEPS = (16, 16, 16, 25)
SEED = 1
"""Not the demo's: its samples stay unseen."""
LICENCE = "Apache-2.0 (made by this repository)"


class Photograph(NamedTuple):
    """A labelled photograph's central crop, uint8 (256, 256, 3), and its sidecar."""

    pixels: NDArray[np.uint8]
    sidecar: dict[str, str]


def photographs_of(inputs: Sequence[str], per_origin: int = PER_ORIGIN) -> Iterator[Photograph]:
    """The first photographs (source ``real``) of each origin in labelled shards that are at least as large as the crop."""
    from causalprint.models.features import cut
    from causalprint.models.manifest import REAL, Geometry
    from causalprint.schemas.config import Slicing, Storage
    from causalprint.transforms.formats.images import decode
    from causalprint.transforms.formats.slices import read_slices
    from causalprint.transforms.match_shards import match_shards

    taken: Counter[str] = Counter()
    for shard in match_shards(inputs, Storage()):
        for images in read_slices(shard, "photographs", Slicing(), Storage()):
            for image in images.images:
                sidecar = json.loads(image.metadata or "{}")
                origin = str(sidecar.get("origin", shard.uri))
                if sidecar.get("source") != REAL or taken[origin] >= per_origin:
                    continue
                crops = cut(decode(image.data).pixels, Geometry(crop=CROP))
                if len(crops):
                    taken[origin] += 1
                    yield Photograph(crops[0], sidecar)


def write_generated_shards(inputs: Sequence[str], weights: Path, prior: Path, output: Path, samples: int = SAMPLES) -> list[Path]:
    """The photographs through each autoencoder, and samples of the prior, encoded as the demo's; returns the shards.

    Args:
        inputs: labelled shards that hold photographs.
        weights: folder of the autoencoders, each under its name.
        prior: the diffusion pipeline's folder.
        output: folder to write into.
        samples: of the prior, a multiple of four.
    """
    from causalprint.models.sampling import reconstruct, sample

    output.mkdir(parents=True, exist_ok=True)
    photographs = list(photographs_of(inputs))
    paths = []
    for name in AUTOENCODERS:
        decoded = reconstruct(weights / name, np.stack([photograph.pixels for photograph in photographs]))
        sidecars = [photograph.sidecar | {"source": name} for photograph in photographs]
        paths.append(_write(output / f"{name}.tar", zip(decoded, sidecars, strict=True)))
    each = samples // len(SAMPLING_STEPS)
    drawn = np.concatenate([sample(prior, each, CROP, steps, SEED + run) for run, steps in enumerate(SAMPLING_STEPS)])
    labels = [{"source": PRIOR, "origin": PRIOR, "content": f"sample-{place}", "licence": LICENCE} for place in range(len(drawn))]
    paths.append(_write(output / f"{PRIOR}.tar", zip(drawn, labels, strict=True)))
    return paths


def _write(path: Path, images: Iterable[tuple[NDArray[np.uint8], dict[str, str]]]) -> Path:
    write_tar(path, ((f"{place:06d}", "jpg", encode(pixels), sidecar) for place, (pixels, sidecar) in enumerate(images)))
    return path


def main(arguments: Sequence[str]) -> None:
    """Writes the shards from the weights inside the package."""
    from causalprint.models.bundle import DEFAULT, RESIDUAL_FOLDER

    output, *inputs = arguments
    write_generated_shards(inputs, DEFAULT.parent, DEFAULT / RESIDUAL_FOLDER, Path(output))


if __name__ == "__main__":
    main(sys.argv[1:])
