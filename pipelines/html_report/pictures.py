"""Contact sheets: images fetched again from their shards, made small, as data that a page can hold."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from PIL import Image

from causalprint.pipelines.fetch import FetchError, fetch
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import ShardDamageError
from causalprint.transforms.images.decode import ImageRejectError, decode

SIDE = 160
"""Pixels of the longer side of a small picture."""
QUALITY = 72
THREADS = 4


class Picture(NamedTuple):
    """A small picture.

    Attributes:
        row: of the query that chose it.
        source: a ``data:`` URI of a JPEG; empty where the image could not be had again.
        width, height: of the small picture, in pixels.
        lost: why there is none.
    """

    row: Mapping[str, Any]
    source: str = ""
    width: int = 0
    height: int = 0
    lost: str = ""


def small_pictures(
    rows: Iterable[Mapping[str, Any]], storage: Storage, report: Callable[[str], None] = lambda _: None
) -> list[Picture]:
    """A picture for every row, in order; each image's bytes were proved by their digest before they are decoded."""
    asked = list(rows)
    with ThreadPoolExecutor(THREADS) as pool:
        made = []
        for number, picture in enumerate(pool.map(lambda row: _picture(row, storage), asked), 1):
            report(f"fetching picture {number} of {len(asked)}")
            made.append(picture)
    return made


def shrunk(data: bytes, side: int = SIDE) -> Image.Image:
    """The image, its longer side at most ``side`` pixels, for looking at.

    Raises:
        ImageRejectError: it cannot be decoded.
    """
    image = Image.fromarray(decode(data).pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def data_uri(image: Image.Image, name: str = "JPEG") -> str:
    """The image as a page can hold it: JPEG, or PNG where every pixel matters."""
    buffer = io.BytesIO()
    image.save(buffer, name, **({"quality": QUALITY, "optimize": True} if name == "JPEG" else {}))
    return f"data:image/{name.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _picture(row: Mapping[str, Any], storage: Storage) -> Picture:
    try:
        image = shrunk(fetch(row, storage_options=storage.options))
    except (FetchError, ShardDamageError, OSError) as error:
        return Picture(row, lost=str(error))
    except ImageRejectError as error:
        return Picture(row, lost=error.detail)
    return Picture(row, data_uri(image), image.width, image.height)
