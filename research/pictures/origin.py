"""What an origin of pictures is: a name, and pictures that a seed determines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from causalprint.models.bundles.manifest import GRAPHIC
from causalprint.research.pictures.chance import Chance, chance
from causalprint.schemas.arrays import Pixels

OURS = "CC0-1.0 (made by this repository)"


class Picture(NamedTuple):
    """A picture as it comes from what drew it.

    Attributes:
        pixels: uint8 (H, W, 3).
        content: crops that share it show the same picture.
        licence: of the picture.
        form: of the file that it comes from; ``PNG`` where it was rendered.
        jpeg_quality: of that file; ``None`` of other formats, negative where it was estimated from unusual tables.
    """

    pixels: Pixels
    content: str
    licence: str = OURS
    form: str = "PNG"
    jpeg_quality: int | None = None


class Origin(NamedTuple):
    """Pictures of one renderer or collection.

    Attributes:
        name: of the origin, and of its tar.
        pictures: from a seed the pictures, without end where they are drawn; those of a collection come again and again.
        screen: whether they are screenshots, which the web often shows smaller than they were.
        source: the class.
    """

    name: str
    pictures: Callable[[int], Iterator[Picture]]
    screen: bool = False
    source: str = GRAPHIC


def drawn(name: str, draw: Callable[[Chance], Pixels], *, screen: bool = False) -> Origin:
    """An origin whose pictures ``draw`` makes, uint8 (H, W, 3) of 256 pixels at least each way."""

    def pictures(seed: int) -> Iterator[Picture]:
        place = 0
        while True:
            yield Picture(draw(chance(seed, name, place)), f"{name}-{place}")
            place += 1

    return Origin(name, pictures, screen)
