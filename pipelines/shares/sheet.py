"""A page of pictures to look at while labels are written: it shows an image and its number, and nothing that a bundle says."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Protocol

from PIL import Image

from causalprint.schemas.rendering import render
from causalprint.transforms.images.decode import ImageRejectError, decode


class _Place(Protocol):
    """Of an image of the sample."""

    @property
    def image_id(self) -> str: ...
    @property
    def url(self) -> str: ...


def thumbnail(data: bytes, side: int) -> bytes:
    """A JPEG of the image, no larger than ``side`` pixels each way.

    Raises:
        ValueError: it cannot be decoded.
    """
    try:
        picture = Image.fromarray(decode(data).pixels)
    except ImageRejectError as error:
        raise ValueError(f"it cannot be decoded: {error.detail}") from error
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def contact_sheet(drawn: Sequence[_Place], pictures: Sequence[str | None]) -> str:
    """HTML: of each image the number, its picture, a path beside the page, and the first digits of its ``image_id``."""
    rows = [(number, one.image_id, picture) for number, (one, picture) in enumerate(zip(drawn, pictures, strict=True), 1)]
    return render("pipelines/shares/sheet.html.j2", rows=rows)
