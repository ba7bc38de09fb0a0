"""What ordinary software draws: charts, diagrams and pages of text, for the demo, by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from causalprint.schemas.arrays import Pixels

STYLES = ("default", "ggplot", "bmh", "fast", "grayscale", "dark_background")
WORDS = ("account", "shard", "image", "closed", "seen", "counted", "named", "and", "of", "the", "every", "left out")


def drawings(count: int, side: int, seed: int = 0) -> Iterator[Pixels]:
    """``count`` drawings uint8 (side, side, 3), each of another kind, style and size of its elements."""
    for number in range(count):
        draw = np.random.default_rng((seed, number))
        yield _drawn(KINDS[number % len(KINDS)], STYLES[int(draw.integers(len(STYLES)))], side, draw)


def _drawn(kind: Callable[..., None], style: str, side: int, draw: np.random.Generator) -> Pixels:
    from matplotlib.figure import Figure
    from matplotlib.style import context

    dpi = int(draw.integers(60, 120))
    with context(style):
        figure = Figure(figsize=(side / dpi, side / dpi), dpi=dpi)
        kind(figure.subplots(), draw)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi)
    pixels: Pixels = np.asarray(Image.open(buffer).convert("RGB"))
    return pixels[:side, :side]


def _lines(axes: Any, draw: np.random.Generator) -> None:
    for _ in range(int(draw.integers(1, 5))):
        axes.plot(np.cumsum(draw.normal(size=40)))


def _bars(axes: Any, draw: np.random.Generator) -> None:
    heights = draw.uniform(1, 9, int(draw.integers(3, 9)))
    axes.bar(range(len(heights)), heights, color=draw.uniform(0, 1, (len(heights), 3)))


def _points(axes: Any, draw: np.random.Generator) -> None:
    axes.scatter(*draw.normal(size=(2, 60)), c=draw.uniform(size=60), s=draw.uniform(5, 90, 60))


def _shares(axes: Any, draw: np.random.Generator) -> None:
    axes.pie(draw.uniform(1, 5, int(draw.integers(3, 7))), autopct="%d %%")


def _table(axes: Any, draw: np.random.Generator) -> None:
    cells = [[f"{value:.1f}" for value in row] for row in draw.normal(size=(5, 3))]
    axes.axis("off")
    axes.table(cellText=cells, loc="center")


def _text(axes: Any, draw: np.random.Generator) -> None:
    axes.axis("off")
    size = float(draw.uniform(5, 11))
    for line in np.linspace(0, 1, int(110 / size)):
        axes.text(0, line, " ".join(draw.choice(WORDS, 7)), fontsize=size)


KINDS = (_lines, _bars, _points, _shares, _table, _text)
