"""Scans of text: a page that is set, printed, laid askew on the glass and scanned, with paper, dust, noise and compression."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import count

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter
from PIL.ImageFont import FreeTypeFont

from causalprint.models.encodings import recompress
from causalprint.research.pictures.chance import Chance, chance, often, paragraph, person, pick, real, title, whole, words
from causalprint.research.pictures.lettering import font
from causalprint.research.pictures.origin import Origin, Picture
from causalprint.schemas.arrays import Pixels

PAPERS = ((255, 255, 255), (252, 250, 244), (244, 236, 216), (235, 225, 196), (240, 240, 236))


def scans(name: str) -> Origin:
    """An origin of scanned pages, half of them JPEG files as scanners write them."""

    def pictures(seed: int) -> Iterator[Picture]:
        for place in count():
            draw = chance(seed, name, place)
            picture = Picture(draw_scan(draw), f"{name}-{place}")
            if often(draw, 0.5):
                quality = whole(draw, 60, 95)
                picture = picture._replace(pixels=recompress(picture.pixels, quality), form="JPEG", jpeg_quality=quality)
            yield picture

    return Origin(name, pictures)


def draw_scan(draw: Chance) -> Pixels:
    """A scanned page of 700 to 1,000 pixels across."""
    width = whole(draw, 700, 1000)
    page = _page(draw, width, round(width * 1.3))
    if often(draw, 0.9):
        page = page.rotate(real(draw, -2.2, 2.2), Image.Resampling.BICUBIC, fillcolor=255)
    page = page.filter(ImageFilter.GaussianBlur(real(draw, 0, 1.1)))
    ink = 1 - np.asarray(page, np.float64) / 255
    ink = np.clip(ink * (1 + 0.25 * draw.normal(size=ink.shape) * (ink > 0.2)), 0, 1) * real(draw, 0.75, 1)
    if often(draw, 0.12):  # a fax: black and white only
        levels = np.where(ink > 0.45, 0, 255)
        levels[draw.random(levels.shape) < 0.002] = 0
        return np.repeat(levels[..., None], 3, 2).astype(np.uint8)
    paper = np.array(pick(draw, PAPERS), np.float64) + _texture(draw, ink.shape)[..., None]
    scan = paper * (1 - ink[..., None]) + np.array([real(draw, 10, 50)] * 3) * ink[..., None]
    scan *= 1 - real(draw, 0, 0.25) * np.linspace(0, 1, ink.shape[1])[None, ::-1, None] ** 4  # the fold of a book
    scan += draw.normal(0, real(draw, 0.5, 4), scan.shape if often(draw, 0.5) else (*ink.shape, 1))
    if often(draw, 0.3):
        scan[:] = scan.mean(-1, keepdims=True)
    return np.asarray(np.round(np.clip(scan, 0, 255)), np.uint8)


def _texture(draw: Chance, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Fibres and stains, in levels."""
    coarse = draw.normal(0, real(draw, 1, 5), (shape[0] // 40 + 2, shape[1] // 40 + 2)).astype(np.float32)
    stains = np.asarray(Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC), np.float64)
    fine = (
        draw.normal(0, real(draw, 0.5, 3), (shape[0] // 2 + 1, shape[1] // 2 + 1))
        .repeat(2, 0)
        .repeat(2, 1)[: shape[0], : shape[1]]
    )
    return np.asarray(stains + fine)


def _page(draw: Chance, width: int, height: int) -> Image.Image:
    image = Image.new("L", (width, height), 255)
    brush = ImageDraw.Draw(image)
    size = whole(draw, 13, 24)
    body, head = font(draw, size), font(draw, size * 1.7)
    columns = pick(draw, (1, 1, 2))
    gap = width * 0.05
    wide = (width - gap * (columns + 1)) / columns
    letters = max(10, int(wide / body.getlength("n")))
    for column in range(columns):
        left, at = gap + column * (wide + gap), height * 0.04
        while at < height * 0.97:
            kind = draw.random()
            if kind < 0.12:
                brush.text((left, at), title(draw)[: letters // 2], 0, head)
                at += size * 2.4
            elif kind < 0.2:
                at = _table(draw, brush, (left, at, wide), size, body)
            elif kind < 0.27:
                brush.line((left, at + size, left + wide, at + size), 0, whole(draw, 1, 4))
                brush.text(
                    (left, at + size * 1.5),
                    f"{person(draw)}, {whole(draw, 1, 28)}/{whole(draw, 1, 12)}/{whole(draw, 1950, 2024)}",
                    0,
                    body,
                )
                at += size * 3.2
            else:
                for line in textwrap.wrap(paragraph(draw), letters):
                    brush.text((left, at), line, 0, body)
                    at += size * 1.35
                at += size * 0.8
    if often(draw, 0.25):
        _stamp(draw, image)
    return image


def _table(draw: Chance, brush: ImageDraw.ImageDraw, place: tuple[float, float, float], size: int, body: FreeTypeFont) -> float:
    left, at, wide = place
    columns = whole(draw, 3, 5)
    for _ in range(whole(draw, 3, 8)):
        for column in range(columns):
            x = left + column * wide / columns
            brush.rectangle((x, at, x + wide / columns, at + size * 1.6), outline=0)
            cell = words(draw, 1) if column == 0 else f"{real(draw, 0, 999):.2f}"
            brush.text((x + 5, at + size * 0.15), cell, 0, body)
        at += size * 1.6
    return at + size


def _stamp(draw: Chance, image: Image.Image) -> None:
    stamp = Image.new("L", (220, 110), 255)
    brush = ImageDraw.Draw(stamp)
    brush.rounded_rectangle((4, 4, 215, 105), 14, outline=70, width=6)
    brush.text((110, 55), words(draw, 1).upper(), 70, font(draw, 36), anchor="mm")
    stamp = stamp.rotate(real(draw, -25, 25), expand=True, fillcolor=255)
    image.paste(stamp, (whole(draw, 50, image.width - 280), whole(draw, 50, image.height - 280)))
