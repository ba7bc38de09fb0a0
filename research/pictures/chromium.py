"""Pixels of HTML pages, by Chromium without a window: many pages in frames one below the other, so that it starts once."""

from __future__ import annotations

import html
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from causalprint.research.pictures.chance import Chance, chance, pick
from causalprint.research.pictures.origin import Origin, Picture
from causalprint.schemas.arrays import Pixels

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
BATCH = 8
"""Pages at a start. A page depends on its batch in nothing but its size and scale."""
SECONDS = 180
SIZES = ((1280, 720), (1024, 768), (1366, 768), (800, 600), (1440, 900))
SCALES = (1.0, 1.0, 1.0, 1.25, 1.5, 2.0)
TALLEST = 16000
"""Pixels that Chromium draws below each other in one picture."""


class BrowserError(RuntimeError):
    """Chromium drew nothing; the message holds its last words."""


class Window(NamedTuple):
    """Size of a page in CSS pixels, and how many pixels each is wide."""

    width: int
    height: int
    scale: float


def find_chromium() -> str | None:
    """The program's path, or ``None`` where there is none."""
    return next((found for program in PROGRAMS if (found := shutil.which(program))), None)


def screenshots(pages: list[str], window: Window) -> list[Pixels]:
    """What the HTML pages show, each uint8 (height x scale, width x scale, 3).

    Raises:
        BrowserError: Chromium is missing or failed.
    """
    program = find_chromium()
    if program is None:
        raise BrowserError(f"none of {', '.join(PROGRAMS)} is installed")
    width, height, scale = window
    frames = "".join(f'<iframe srcdoc="{html.escape(page)}"></iframe>' for page in pages)
    look = f"body{{margin:0}}iframe{{display:block;border:0;width:{width}px;height:{height}px;overflow:hidden}}"
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "pages.html"), Path(folder, "pages.png")
        source.write_text(f"<!doctype html><meta charset=utf-8><style>{look}</style>{frames}", encoding="utf-8")
        options = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars",
            "--allow-file-access-from-files", "--force-color-profile=srgb", f"--user-data-dir={folder}/profile",
            f"--force-device-scale-factor={scale}", f"--window-size={width},{height * len(pages)}", f"--screenshot={target}",
        ]  # fmt: skip
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and nothing that a stranger wrote
                [program, *options, source.as_uri()], capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BrowserError(f"{program} took more than {SECONDS} seconds") from error
        if not target.exists():
            raise BrowserError(f"{program} drew nothing: {done.stderr[-300:]}")
        with Image.open(target) as image:
            shown = np.asarray(image.convert("RGB"))
    step = shown.shape[0] // len(pages)
    return [np.ascontiguousarray(shown[place * step : (place + 1) * step]) for place in range(len(pages))]


def browsed(
    name: str, page: Callable[[Chance, Window], str], *, windows: tuple[tuple[int, int], ...] = SIZES, licence: str | None = None
) -> Origin:
    """An origin whose pages ``page`` writes, as HTML."""

    def pictures(seed: int) -> Iterator[Picture]:
        place = 0
        while True:
            draw = chance(seed, name, "batch", place)
            scale = pick(draw, SCALES)
            window = Window(*pick(draw, windows), scale)
            count = min(BATCH, int(TALLEST / window.height / scale))
            pages = [page(chance(seed, name, place, number), window) for number in range(count)]
            for number, pixels in enumerate(screenshots(pages, window)):
                picture = Picture(pixels, f"{name}-{place}-{number}")
                yield picture._replace(licence=licence) if licence else picture
            place += 1

    return Origin(name, pictures, screen=True)
