"""``causalprint lab make-pictures``: labelled tars of what no generator made, one an origin, in the form of other images.

Graphics, as ordinary software draws them, and what packages hold: graphics, paintings, photographs.

Each image is a crop of 256 x 256 pixels at the picture's own resolution, written as JPEG 95 at 4:4:4; what happened to the
picture before stands in its sidecar.
"""

from __future__ import annotations

import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from causalprint.models.encodings import encode_jpeg95
from causalprint.pipelines.shards.sample_tar import Row, add_row
from causalprint.research.pictures.chance import chance
from causalprint.research.pictures.chromium import find_chromium
from causalprint.research.pictures.config import PicturesConfig, PicturesError
from causalprint.research.pictures.crops import choose_crop, publish
from causalprint.research.pictures.origin import Origin
from causalprint.research.pictures.origins import BROWSED, DRAWN
from causalprint.research.pictures.packaged import packaged_origins

PATIENCE = 6
"""Pictures that are looked at for each image that is asked for, before an origin gives fewer."""


class MadeOrigin(NamedTuple):
    """An origin of ``make-pictures --json``: its tar and its images; none are counted where the tar was there before."""

    name: str
    tar: str
    images: int | None
    licences: tuple[str, ...] = ()


class PicturesReport(NamedTuple):
    """What ``make-pictures --json`` prints.

    Attributes:
        output: the folder.
        origins: one a tar.
        left_out: what was not made, and why.
    """

    output: str
    origins: tuple[MadeOrigin, ...]
    left_out: tuple[str, ...]


def make_pictures(config: PicturesConfig, report: Callable[[str], None] = lambda _: None) -> PicturesReport:
    """Writes a tar for each origin, whole or not at all.

    Raises:
        BrowserError: Chromium failed.
        PicturesError: no such origin, or the folder holds no known package.
        OSError: a package cannot be read, or the output not be written.
    """
    origins = list(DRAWN)
    left_out = []
    if find_chromium():
        origins += BROWSED
    else:
        left_out.append(f"{', '.join(origin.name for origin in BROWSED)}, and SVG of packages: Chromium is missing")
    config.output.mkdir(parents=True, exist_ok=True)
    with packaged_origins(config.packages, draw_svg=not left_out) as (packaged, unknown):
        origins += packaged
        left_out += unknown
        made = [_make(config, origin, report) for origin in _wanted(config, origins, left_out)]
    return PicturesReport(str(config.output), tuple(made), tuple(left_out))


def _wanted(config: PicturesConfig, origins: list[Origin], left_out: list[str]) -> list[Origin]:
    known = {origin.name: origin for origin in origins}
    for name in config.origins:
        if name not in known:
            why = f"; left out: {'; '.join(left_out)}" if left_out else ""
            raise PicturesError(f"--origin {name!r} is none of {', '.join(known)}{why}")
    return [known[name] for name in config.origins] if config.origins else origins


def _make(config: PicturesConfig, origin: Origin, report: Callable[[str], None]) -> MadeOrigin:
    path = config.output / f"{origin.name}.tar"
    if path.exists():
        return MadeOrigin(origin.name, path.name, None)
    part = path.with_name(f".{path.name}.part")
    licences: dict[str, None] = {}
    images = 0
    try:
        with tarfile.open(part, "w") as tar:
            for row in islice(rows(origin, config.images, config.seed), config.images):
                add_row(tar, row)
                images += 1
                licences[str(row[3]["licence"])] = None
                report(f"{origin.name}: {images} of {config.images}")
        if not images:
            raise PicturesError(f"{origin.name}: no picture has a crop that shows something")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return MadeOrigin(origin.name, path.name, images, tuple(licences))


def rows(origin: Origin, images: int, seed: int) -> Iterator[Row]:
    """The first crops of an origin's pictures that show something, with their sidecars; the same for the same seed."""
    taken: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    place = 0
    for number, picture in enumerate(islice(origin.pictures(seed), images * PATIENCE)):
        draw = chance(seed, origin.name, "crop", number)
        published = publish(draw, origin, picture)
        crop = choose_crop(draw, published.pixels, taken[picture.content])
        if crop is None:
            continue
        label = {"source": origin.source, "origin": origin.name, "content": picture.content, "licence": picture.licence}
        yield f"{place:06d}", "jpg", encode_jpeg95(crop), {**label, **published.sidecar}
        place += 1
