"""Drawings by Pillow: logos, flags, patterns, badges and codes for machines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from causalprint.research.pictures.chance import Chance, often, palette, pick, real, title, whole, words
from causalprint.research.pictures.lettering import font
from causalprint.schemas.arrays import Pixels

Drawing = ImageDraw.ImageDraw


def draw_emblem(draw: Chance) -> Pixels:
    """A picture of 320 to 900 pixels each way, drawn without anti-aliasing, or four times as large and scaled down."""
    width, height = whole(draw, 320, 900), whole(draw, 320, 700)
    smooth = pick(draw, (1, 2, 4, 4))
    colours = palette(draw)
    image = Image.new("RGB", (width * smooth, height * smooth), pick(draw, ("white", "white", *colours)))
    pick(draw, EMBLEMS)(draw, ImageDraw.Draw(image), (width * smooth, height * smooth), colours)
    return np.asarray(image if smooth == 1 else image.resize((width, height), Image.Resampling.BOX))


def _shape(draw: Chance, brush: Drawing, box: tuple[float, float, float, float], colour: str) -> None:
    left, top, right, bottom = box
    across, down, radius = (left + right) / 2, (top + bottom) / 2, min(right - left, bottom - top) / 2
    match whole(draw, 0, 5):
        case 0:
            brush.ellipse(box, fill=colour)
        case 1:
            brush.rounded_rectangle(box, radius * real(draw, 0, 0.9), fill=colour)
        case 2:
            brush.regular_polygon((across, down, radius), whole(draw, 3, 8), rotation=whole(draw, 0, 90), fill=colour)
        case 3:
            start = whole(draw, 0, 359)
            brush.pieslice(box, start, start + whole(draw, 60, 300), fill=colour)
        case 4:
            brush.arc(box, 0, whole(draw, 180, 360), fill=colour, width=max(2, round(radius * real(draw, 0.1, 0.5))))
        case _:
            points, inner = whole(draw, 5, 12), real(draw, 0.35, 0.7)
            turns = np.arange(2 * points) * np.pi / points
            reach = np.where(np.arange(2 * points) % 2 == 0, radius, radius * inner)
            brush.polygon(
                [(across + r * np.sin(t), down - r * np.cos(t)) for r, t in zip(reach, turns, strict=True)], fill=colour
            )


def _logo(draw: Chance, brush: Drawing, size: tuple[int, int], colours: list[str]) -> None:
    width, height = size
    side = min(size) * real(draw, 0.5, 0.75)
    left, top = (width - side) / 2, height * 0.05
    for place in range(whole(draw, 2, 5)):
        shrink = side * place * real(draw, 0.08, 0.14)
        if shrink < side / 2 - 4:
            _shape(draw, brush, (left + shrink, top + shrink, left + side - shrink, top + side - shrink), colours[place % 5])
    if often(draw, 0.6):
        brush.text(
            (width / 2, top + side / 2),
            pick(draw, "ABGKMRSXZ&"),
            pick(draw, ("white", "black", *colours)),
            font(draw, side * 0.4),
            anchor="mm",
        )
    brush.text(
        (width / 2, height * 0.88), title(draw, 3).title(), pick(draw, ("black", *colours)), font(draw, height * 0.1), anchor="mm"
    )


def _flags(draw: Chance, brush: Drawing, size: tuple[int, int], colours: list[str]) -> None:
    columns = pick(draw, (1, 2, 3))
    wide, high = size[0] / columns, size[1] / columns
    for row in range(columns):
        for column in range(columns):
            chosen = [pick(draw, (*colours, "white", "#cc0000", "#003399", "#ffcc00", "#007a3d")) for _ in range(4)]
            left, top, right, bottom = (
                column * wide + wide * 0.05,
                row * high + high * 0.05,
                (column + 0.95) * wide,
                (row + 0.95) * high,
            )
            stripes = whole(draw, 2, 7)
            upright = often(draw, 0.4)
            for place in range(stripes):
                start, end = place / stripes, (place + 1) / stripes
                box = (left + start * (right - left), top, left + end * (right - left), bottom)
                if not upright:
                    box = (left, top + start * (bottom - top), right, top + end * (bottom - top))
                brush.rectangle(box, fill=chosen[place % 3])
            if often(draw, 0.4):
                brush.polygon([(left, top), (left, bottom), (left + wide * 0.35, (top + bottom) / 2)], fill=chosen[3])
            if often(draw, 0.7):
                reach = high * 0.22
                _shape(
                    draw,
                    brush,
                    (
                        (left + right) / 2 - reach,
                        (top + bottom) / 2 - reach,
                        (left + right) / 2 + reach,
                        (top + bottom) / 2 + reach,
                    ),
                    chosen[3],
                )
            brush.rectangle((left, top, right, bottom), outline="black", width=max(1, size[0] // 500))


def _pattern(draw: Chance, brush: Drawing, size: tuple[int, int], colours: list[str]) -> None:
    step = max(24, round(min(size) / whole(draw, 4, 14)))
    for row, top in enumerate(range(0, size[1], step)):
        for left in range(-step, size[0], step):
            shift = step / 2 * (row % 2)
            _shape(
                draw,
                brush,
                (left + shift + step * 0.06, top + step * 0.06, left + shift + step * 0.94, top + step * 0.94),
                pick(draw, colours),
            )


def _square_code(draw: Chance, brush: Drawing, size: tuple[int, int], colours: list[str]) -> None:
    count = pick(draw, (21, 25, 29, 33, 41))
    module = min(size) // (count + 8)
    left, top = (size[0] - count * module) // 2, (size[1] - count * module) // 2
    dark = pick(draw, ("black", "black", "black", colours[0]))
    brush.rectangle((0, 0, *size), fill="white")
    marks = draw.random((count, count)) < 0.5
    for row in range(count):
        for column in range(count):
            if marks[row, column]:
                x, y = left + column * module, top + row * module
                brush.rectangle((x, y, x + module - 1, y + module - 1), fill=dark)
    for row, column in ((0, 0), (0, count - 7), (count - 7, 0)):
        for inset, fill in ((-1, "white"), (0, dark), (1, "white"), (2, dark)):
            x, y = left + (column + inset) * module, top + (row + inset) * module
            reach = (7 - 2 * inset) * module - 1
            brush.rectangle((x, y, x + reach, y + reach), fill=fill)


def _bar_codes(draw: Chance, brush: Drawing, size: tuple[int, int], colours: list[str]) -> None:
    brush.rectangle((0, 0, *size), fill=pick(draw, ("white", "white", "#f4f0e6", colours[4])))
    rows = whole(draw, 1, 4)
    for row in range(rows):
        top, bottom = size[1] * (row + 0.1) / rows, size[1] * (row + 0.72) / rows
        unit = max(1, round(size[0] / whole(draw, 120, 260)))
        at = size[0] * 0.06
        while at < size[0] * 0.92:
            bar = unit * whole(draw, 1, 4)
            brush.rectangle((at, top, at + bar - 1, bottom), fill="black")
            at += bar + unit * whole(draw, 1, 3)
        brush.text(
            (size[0] / 2, bottom + size[1] * 0.08 / rows),
            "  ".join(str(whole(draw, 10000, 99999)) for _ in range(3)),
            "black",
            font(draw, size[1] * 0.1 / rows),
            anchor="mm",
        )


def _poster(draw: Chance, brush: Drawing, size: tuple[int, int], colours: list[str]) -> None:
    for _ in range(whole(draw, 4, 14)):
        across, down, reach = real(draw, 0, size[0]), real(draw, 0, size[1]), real(draw, 0.05, 0.35) * min(size)
        _shape(draw, brush, (across - reach, down - reach, across + reach, down + reach), pick(draw, colours))
    for row in range(whole(draw, 2, 6)):
        brush.text(
            (size[0] * 0.05, size[1] * (0.08 + 0.15 * row)),
            words(draw, 3).upper(),
            pick(draw, ("black", "white", *colours)),
            font(draw, size[1] * real(draw, 0.05, 0.14)),
        )


EMBLEMS: tuple[Callable[[Chance, Drawing, tuple[int, int], list[str]], None], ...] = (
    _logo,
    _logo,
    _flags,
    _pattern,
    _square_code,
    _bar_codes,
    _poster,
)
