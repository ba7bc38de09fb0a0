"""Maps of lands that do not exist: contours and relief, or streets, blocks, parks and water."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from causalprint.research.pictures.chance import Chance, often, pick, real, rgb, title, whole
from causalprint.research.pictures.lettering import font
from causalprint.schemas.arrays import Pixels

SIDE = 520
GROUNDS = (
    ("#f2efe9", "#ffffff", "#f7c873", "#aad3df", "#c8e6b0", "#d9d0c9"),
    ("#1d2c4d", "#304a7d", "#2c6675", "#0e1626", "#023e58", "#283d6a"),
    ("#ebe3cd", "#f5f1e6", "#fdfcf8", "#b9d3c2", "#dfd2ae", "#c9b99b"),
    ("#ffffff", "#dddddd", "#999999", "#cccccc", "#eeeeee", "#f5f5f5"),
)
"""Land, streets, main streets, water, parks, houses."""


def draw_map(draw: Chance) -> Pixels:
    """A map with names."""
    image = Image.fromarray(_relief(draw)) if often(draw, 0.5) else _town(draw)
    brush = ImageDraw.Draw(image)
    for _ in range(whole(draw, 6, 16)):
        name, face = title(draw, 2).title(), font(draw, whole(draw, 10, 20))
        place = whole(draw, 0, SIDE - 60), whole(draw, 10, SIDE - 10)
        halo = pick(draw, ("white", "white", "#f8f4e8"))
        brush.text(place, name, pick(draw, ("black", "#333366", "#553311")), face, stroke_width=2, stroke_fill=halo)
        if often(draw, 0.5):
            brush.ellipse((place[0] - 8, place[1] + 4, place[0] - 2, place[1] + 10), fill="#cc2222", outline="black")
    return np.asarray(image)


def _height(draw: Chance) -> npt.NDArray[np.float64]:
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    frequency[0, 0] = 1
    field = np.fft.ifft2(np.fft.fft2(draw.normal(size=(SIDE, SIDE))) / frequency ** real(draw, 1.9, 2.5)).real
    return np.asarray((field - field.min()) / np.ptp(field))


def _relief(draw: Chance) -> Pixels:
    """Colours by height, shaded from the north-west, with contours, sea and a grid."""
    height = _height(draw)
    sea = real(draw, 0.2, 0.5)
    colours = mpl.colormaps[pick(draw, ("gist_earth", "YlOrBr", "summer", "Greys", "BrBG_r", "RdYlGn_r"))]
    steps = whole(draw, 6, 14)
    level = np.floor(height * steps) / steps if often(draw, 0.6) else height
    picture = np.asarray(colours(0.3 + 0.6 * np.clip((level - sea) / (1 - sea), 0, 1)))[..., :3]
    down, across = np.gradient(height)
    if often(draw, 0.6):
        picture = picture * np.clip(1 + real(draw, 15, 50) * (down + across), 0.4, 1.25)[..., None]
    water = height < sea
    depth = np.clip((sea - height) / sea, 0, 1)[..., None]
    picture = np.where(water[..., None], np.array([0.66, 0.82, 0.9]) - 0.3 * depth, picture)
    bands = np.floor(height * real(draw, 15, 40))
    edge = np.zeros_like(water)
    edge[:-1] |= bands[:-1] != bands[1:]
    edge[:, :-1] |= bands[:, :-1] != bands[:, 1:]
    picture[edge & ~water] *= 0.72
    shore = np.zeros_like(water)
    shore[:-1] |= water[:-1] != water[1:]
    shore[:, :-1] |= water[:, :-1] != water[:, 1:]
    picture[shore] = 0.2
    if often(draw, 0.5):
        step = whole(draw, 60, 130)
        picture[::step], picture[:, ::step] = 0.5, 0.5
    return np.asarray(np.round(255 * np.clip(picture, 0, 1)), np.uint8)


def _town(draw: Chance) -> Image.Image:
    """Blocks between streets that follow a grid turned by an angle, drawn twice as large."""
    land, street, main, water, park, house = pick(draw, GROUNDS)
    large = 2 * SIDE
    image = Image.new("RGB", (large, large), land)
    brush = ImageDraw.Draw(image)
    angle, step = real(draw, 0, np.pi / 2), whole(draw, 70, 150)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    count = int(large * 1.5 / step)
    wander = draw.normal(0, step * 0.1, (2 * count + 1, 2 * count + 1, 2))

    def corner(row: int, column: int) -> tuple[float, float]:
        x, y = turn @ (np.array([column - count, row - count]) * step + wander[row, column]) + large / 2
        return float(x), float(y)

    for row in range(2 * count):
        for column in range(2 * count):
            block = [corner(row, column), corner(row, column + 1), corner(row + 1, column + 1), corner(row + 1, column)]
            middle = np.mean(block, axis=0)
            if not (-step < middle[0] < large + step and -step < middle[1] < large + step):
                continue
            inner = [tuple(middle + 0.86 * (np.array(point) - middle)) for point in block]
            if often(draw, 0.12):
                brush.polygon(inner, fill=park)
            elif often(draw, 0.8):
                for _ in range(whole(draw, 2, 5)):
                    spot, wide = middle + draw.uniform(-0.25, 0.25, 2) * step, step * real(draw, 0.06, 0.16)
                    brush.polygon(
                        [tuple(spot + turn @ np.array(offset) * wide) for offset in ((-1, -1), (1, -1), (1, 1), (-1, 1))],
                        fill=house,
                        outline=street,
                    )
            brush.line([*block, block[0]], fill=street, width=12)
    for _ in range(whole(draw, 1, 3)):
        x, y = np.linspace(-50, large + 50, 40), np.cumsum(draw.normal(0, 40, 40)) + real(draw, 0, large)
        path = list(zip(*((x, y) if often(draw, 0.5) else (y, x)), strict=True))
        brush.line([(float(a), float(b)) for a, b in path], fill=water, width=whole(draw, 30, 90), joint="curve")
    for _ in range(whole(draw, 2, 5)):
        ends = [(real(draw, 0, large), -20.0), (real(draw, 0, large), real(draw, 0, large)), (real(draw, 0, large), large + 20.0)]
        brush.line(ends, fill=tuple(level // 2 for level in rgb(main)), width=26, joint="curve")
        brush.line(ends, fill=main, width=20, joint="curve")
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
