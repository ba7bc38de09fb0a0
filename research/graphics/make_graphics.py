"""``causalprint lab make-graphics``: labelled tars of what ordinary software draws, one an origin, in the form of other images.

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
from causalprint.research.graphics.chance import chance
from causalprint.research.graphics.chromium import find_chromium
from causalprint.research.graphics.config import GraphicsConfig, GraphicsError
from causalprint.research.graphics.crops import choose_crop, publish
from causalprint.research.graphics.debian import debian_origins
from causalprint.research.graphics.origin import Origin
from causalprint.research.graphics.origins import BROWSED, DRAWN

PATIENCE = 6
"""Pictures that are looked at for each image that is asked for, before an origin gives fewer."""


class MadeOrigin(NamedTuple):
    """An origin of ``make-graphics --json``: its tar and its images; none are counted where the tar was there before."""

    name: str
    tar: str
    images: int | None
    licences: tuple[str, ...] = ()


class GraphicsReport(NamedTuple):
    """What ``make-graphics --json`` prints.

    Attributes:
        output: the folder.
        origins: one a tar.
        left_out: what was not made, and why.
    """

    output: str
    origins: tuple[MadeOrigin, ...]
    left_out: tuple[str, ...]


def make_graphics(config: GraphicsConfig, report: Callable[[str], None] = lambda _: None) -> GraphicsReport:
    """Writes a tar for each origin, whole or not at all.

    Raises:
        BrowserError: Chromium failed.
        GraphicsError: no such origin, or the folder holds no known package.
        OSError: a package cannot be read, or the output not be written.
    """
    origins = list(DRAWN)
    left_out = []
    if find_chromium():
        origins += BROWSED
    else:
        left_out.append(f"{', '.join(origin.name for origin in BROWSED)}, and SVG of packages: Chromium is missing")
    config.output.mkdir(parents=True, exist_ok=True)
    with debian_origins(config.debian, draw_svg=not left_out) as (packaged, unknown):
        origins += packaged
        left_out += unknown
        made = [_make(config, origin, report) for origin in _wanted(config, origins, left_out)]
    return GraphicsReport(str(config.output), tuple(made), tuple(left_out))


def _wanted(config: GraphicsConfig, origins: list[Origin], left_out: list[str]) -> list[Origin]:
    known = {origin.name: origin for origin in origins}
    for name in config.origins:
        if name not in known:
            why = f"; left out: {'; '.join(left_out)}" if left_out else ""
            raise GraphicsError(f"--origin {name!r} is none of {', '.join(known)}{why}")
    return [known[name] for name in config.origins] if config.origins else origins


def _make(config: GraphicsConfig, origin: Origin, report: Callable[[str], None]) -> MadeOrigin:
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
            raise GraphicsError(f"{origin.name}: no picture has a crop that shows something")
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
