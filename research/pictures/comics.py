"""Line art in panels: figures, balloons, hatching and dots, as comics are inked."""

from __future__ import annotations

import textwrap

import numpy as np
from PIL import Image, ImageDraw

from causalprint.research.pictures.chance import Chance, often, palette, pick, real, rgb, sentence, whole
from causalprint.research.pictures.lettering import font
from causalprint.schemas.arrays import Pixels

Box = tuple[float, float, float, float]
FINE = 2
SKINS = ("#f5d0b0", "#c68642", "#8d5524", "#ffdbac", "#9ad19a", "#ffffff")


def draw_comic(draw: Chance) -> Pixels:
    """A page of two to nine panels, drawn twice as large."""
    width, height = whole(draw, 480, 900), whole(draw, 480, 900)
    plain = often(draw, 0.35)
    image = Image.new("RGB", (width * FINE, height * FINE), pick(draw, ("white", "white", "#fbf5e6", "#222222")))
    rows = whole(draw, 1, 3)
    for row in range(rows):
        columns = whole(draw, 1, 3)
        for column in range(columns):
            box = (
                round((column + 0.03) * width * FINE / columns),
                round((row + 0.03) * height * FINE / rows),
                round((column + 0.97) * width * FINE / columns),
                round((row + 0.97) * height * FINE / rows),
            )
            image.paste(_panel(draw, box[2] - box[0], box[3] - box[1], plain=plain), box[:2])
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def _panel(draw: Chance, width: int, height: int, *, plain: bool) -> Image.Image:
    colours = ["#ffffff"] * 5 if plain else palette(draw)
    image = Image.new("RGB", (width, height), colours[0])
    brush = ImageDraw.Draw(image)
    ink = whole(draw, 3, 7)
    pick(draw, (_dots, _rays, _houses, _hills))(draw, brush, (width, height), colours, ink)
    for place in range(whole(draw, 1, 3)):
        _figure(
            draw,
            brush,
            (width * (0.25 + 0.27 * place), height * real(draw, 0.55, 0.7)),
            height * real(draw, 0.12, 0.2),
            colours,
            ink,
        )
    if often(draw, 0.8):
        _balloon(draw, brush, (width, height), ink)
    brush.rectangle((0, 0, width - 1, height - 1), outline="black", width=ink + 2)
    return image


def _dots(draw: Chance, brush: ImageDraw.ImageDraw, size: tuple[int, int], colours: list[str], _: int) -> None:
    """The dots of a printing screen."""
    width, height = size
    step = whole(draw, 12, 26)
    for row, y in enumerate(range(0, height, step)):
        radius = step * 0.5 * (0.2 + 0.6 * y / height)
        for x in range((row % 2) * step // 2, width, step):
            fill = pick(draw, ("#444444", colours[1])) if colours[1] != "#ffffff" else "#bbbbbb"
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _rays(draw: Chance, brush: ImageDraw.ImageDraw, size: tuple[int, int], _: list[str], ink: int) -> None:
    """Lines that run to a point."""
    width, height = size
    centre = np.array([width * real(draw, 0.3, 0.7), height * real(draw, 0.3, 0.7)])
    for angle in np.sort(draw.uniform(0, 2 * np.pi, 90)):
        ray = np.array([np.cos(angle), np.sin(angle)])
        ends = [tuple(centre + ray * real(draw, 0.3, 0.6) * height), tuple(centre + ray * 3 * height)]
        brush.line(ends, fill="black", width=whole(draw, 1, ink))


def _houses(draw: Chance, brush: ImageDraw.ImageDraw, size: tuple[int, int], colours: list[str], ink: int) -> None:
    width, height = size
    at = 0
    while at < width:
        wide, top = whole(draw, 60, 200), round(height * real(draw, 0.2, 0.6))
        brush.rectangle((at, top, at + wide, height), fill=pick(draw, colours), outline="black", width=ink)
        for y in range(top + 20, height - 30, 50):
            for x in range(at + 15, at + wide - 25, 40):
                pane = pick(draw, ("white", "black", colours[3]))
                brush.rectangle((x, y, x + 20, y + 28), fill=pane, outline="black", width=2)
        at += wide


def _hills(draw: Chance, brush: ImageDraw.ImageDraw, size: tuple[int, int], colours: list[str], ink: int) -> None:
    """Hills, and hatching in the sky."""
    width, height = size
    for left in range(-height, width, whole(draw, 16, 40)):
        brush.line([(left, 0), (left + height * 0.4, height * 0.4)], fill="black", width=whole(draw, 1, 3))
    x = np.linspace(0, width, 40)
    y = height * 0.55 + np.sin(x / width * real(draw, 3, 12)) * height * 0.08
    outline = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    brush.polygon([*outline, (width, height), (0, height)], fill=colours[2])
    brush.line(outline, fill="black", width=ink)


def _figure(
    draw: Chance, brush: ImageDraw.ImageDraw, place: tuple[float, float], size: float, colours: list[str], ink: int
) -> None:
    x, y = place
    shirt, skin = pick(draw, colours), pick(draw, SKINS)
    brush.polygon(
        [(x - size * 0.7, y + size * 4), (x - size * 0.9, y + size), (x + size * 0.9, y + size), (x + size * 0.7, y + size * 4)],
        fill=shirt,
        outline="black",
        width=ink,
    )
    for side in (-1, 1):
        hand = x + side * size * real(draw, 1.2, 2.2), y + size * real(draw, 0, 2.5)
        elbow = x + side * size * real(draw, 1, 1.5), y + size * 1.6
        brush.line([(x + side * size * 0.8, y + size * 1.15), elbow, hand], fill="black", width=ink * 3, joint="curve")
        brush.ellipse(
            (hand[0] - size * 0.2, hand[1] - size * 0.2, hand[0] + size * 0.2, hand[1] + size * 0.2),
            fill=skin,
            outline="black",
            width=ink,
        )
    for hair in range(whole(draw, 0, 24)):
        angle = np.pi + hair * np.pi / 23
        brush.line(
            [(x, y), (x + size * 1.25 * np.cos(angle), y + size * 1.3 * np.sin(angle))],
            fill=pick(draw, ("black", "#553311", "#cc9900")),
            width=ink * 2,
        )
    brush.ellipse((x - size, y - size, x + size, y + size), fill=skin, outline="black", width=ink)
    for side in (-1, 1):
        eye = x + side * size * 0.38, y - size * 0.15
        brush.ellipse(
            (eye[0] - size * 0.2, eye[1] - size * 0.26, eye[0] + size * 0.2, eye[1] + size * 0.26),
            fill="white",
            outline="black",
            width=max(2, ink - 1),
        )
        look = size * real(draw, -0.08, 0.08)
        brush.ellipse(
            (eye[0] - size * 0.08 + look, eye[1] - size * 0.08, eye[0] + size * 0.08 + look, eye[1] + size * 0.1), fill="black"
        )
        brush.line(
            [
                (eye[0] - size * 0.25, eye[1] - size * real(draw, 0.3, 0.5)),
                (eye[0] + size * 0.25, eye[1] - size * real(draw, 0.3, 0.5)),
            ],
            fill="black",
            width=ink,
        )
    mouth = (x - size * 0.4, y + size * 0.2, x + size * 0.4, y + size * real(draw, 0.45, 0.8))
    if often(draw, 0.6):
        brush.arc(mouth, 0, 180, fill="black", width=ink)
    else:
        brush.ellipse(mouth, fill="#882222", outline="black", width=ink)
    shade = tuple(level // 2 for level in rgb(shirt))
    for line in range(8):
        brush.line(
            [(x + size * 0.1, y + size * (1.4 + 0.3 * line)), (x + size * 0.65, y + size * (1.2 + 0.3 * line))],
            fill=shade,
            width=2,
        )


def _balloon(draw: Chance, brush: ImageDraw.ImageDraw, size: tuple[int, int], ink: int) -> None:
    letters = font(draw, whole(draw, 22, 40))
    text = "\n".join(
        textwrap.wrap(sentence(draw)[:70].upper() if often(draw, 0.7) else sentence(draw)[:70], max(8, size[0] // 34))
    )
    left, top, right, bottom = brush.textbbox((size[0] / 2, size[1] * 0.16), text, letters, anchor="mm", align="center")
    box = (max(6, left - 30), max(6, top - 24), min(size[0] - 6, right + 30), bottom + 24)
    tip = (size[0] * real(draw, 0.2, 0.8), box[3] + size[1] * 0.1)
    brush.polygon([(size[0] * 0.45, box[3] - 8), tip, (size[0] * 0.55, box[3] - 8)], fill="white", outline="black", width=ink)
    if often(draw, 0.5):
        brush.ellipse((box[0] - 20, box[1] - 10, box[2] + 20, box[3] + 10), fill="white", outline="black", width=ink)
    else:
        brush.rounded_rectangle(box, 24, fill="white", outline="black", width=ink)
    brush.text((size[0] / 2, size[1] * 0.16), text, "black", letters, anchor="mm", align="center")
