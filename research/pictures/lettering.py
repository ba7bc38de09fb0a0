"""Fonts for what Pillow draws: those of matplotlib, which every machine has, or those of a folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib as mpl
from PIL import ImageFont

from causalprint.research.pictures.chance import Chance, pick

LATIN = frozenset(map(ord, " ABCXYZabcxyz0189.,"))
SYMBOLS = ("LastResort", "STIXNonUni", "STIXSiz", "cmex", "cmsy")
"""Fonts that show something else in place of letters."""


@cache
def own_fonts() -> tuple[Path, ...]:
    """Fonts with Latin letters that come with matplotlib."""
    return latin(tuple(sorted(Path(mpl.get_data_path(), "fonts", "ttf").glob("*.ttf"))))


def latin(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Those of the font files that have Latin letters."""
    from fontTools.ttLib import TTFont, TTLibError

    def has(path: Path) -> bool:
        try:
            with TTFont(path, lazy=True) as font:
                return not path.name.startswith(SYMBOLS) and set(font.getBestCmap() or {}) >= LATIN
        except (TTLibError, OSError):
            return False

    return tuple(path for path in paths if has(path))


def font(draw: Chance, size: float, paths: tuple[Path, ...] = ()) -> ImageFont.FreeTypeFont:
    """A font of ``paths``, or of matplotlib's, in pixels."""
    return ImageFont.truetype(pick(draw, paths or own_fonts()), size)
