"""Specimens of fonts by FreeType: letters in rows, falls of sizes, single letters as large as the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from causalprint.research.pictures.chance import Chance, chance, often, palette, pick, title, whole, words
from causalprint.research.pictures.origin import Origin, Picture
from causalprint.schemas.arrays import Pixels


@cache
def _letters(path: Path) -> tuple[str, ...]:
    """Characters of the font that show something."""
    from fontTools.ttLib import TTFont

    with TTFont(path, lazy=True) as font:
        return tuple(chr(code) for code in sorted(font.getBestCmap() or {}) if 0x20 < code < 0xF0000 and chr(code).isprintable())


def specimens(name: str, fonts: Sequence[tuple[Path, str]], licence: str) -> Origin:
    """An origin of specimens of font files, each with its package's name; ``licence`` names the package at ``{}``."""

    def pictures(seed: int) -> Iterator[Picture]:
        place = 0
        while True:
            draw = chance(seed, name, place)
            path, package = pick(draw, fonts)
            if len(_letters(path)) >= 20:
                yield Picture(draw_specimen(draw, path), f"{name}-{path.stem}", licence.format(package))
            place += 1

    return Origin(name, pictures)


def draw_specimen(draw: Chance, path: Path) -> Pixels:
    """A page of 400 to 900 pixels each way."""
    width, height = whole(draw, 400, 900), whole(draw, 400, 800)
    ground, ink = ("white", "black") if often(draw, 0.5) else palette(draw)[:2]
    image = Image.new("RGB", (width, height), ground)
    brush = ImageDraw.Draw(image)
    letters = _letters(path)
    latin = {"a", "A", "e", "z"} <= set(letters)
    at = 10
    layout = whole(draw, 0, 2)
    while at < height:
        size = pick(draw, (14, 18, 24, 36, 52, 80, 120)) if layout == 0 else whole(draw, 40, 96) if layout == 1 else 220
        face = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
        if layout == 1:  # a table of characters
            step = round(size * 1.5)
            for left in range(0, width, step):
                brush.rectangle((left, at, left + step, at + step), outline="#999999")
                brush.text((left + step / 2, at + step / 2), pick(draw, letters), ink, face, anchor="mm")
            at += step
            continue
        text = (
            pick(draw, (title(draw, 6), words(draw, 8), "".join(letters[:40])))
            if latin
            else "".join(pick(draw, letters) for _ in range(60))
        )
        brush.text((12, at), text, ink, face)
        at += round(size * 1.3)
    return np.asarray(image)
