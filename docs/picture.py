"""The README's picture of a report: ``python docs/picture.py demo/report.html docs/report.png``, by Debian's chromium."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

SIZE = (1280, 1190)
"""Pixels of the page's top: its answer, and how far to trust it."""


def main(page: Path, picture: Path) -> None:
    """Draws the top of ``page`` as a browser shows it, in 128 colours."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "page.png"
        quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars")
        window = f"--window-size={SIZE[0]},{SIZE[1]}"
        subprocess.run(["chromium", *quiet, window, f"--screenshot={shot}", page.resolve().as_uri()], check=True)  # noqa: S603, S607
        with Image.open(shot) as drawn:
            drawn.convert("RGB").quantize(128).save(picture, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
