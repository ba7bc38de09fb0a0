"""Wallpapers of triangles, waves and discs in colours that run into each other, as abstract desktop backgrounds are."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from causalprint.research.pictures.chance import Chance, often, palette, pick, real, rgb, whole
from causalprint.schemas.arrays import Pixels

Stops = list[tuple[int, int, int]]
WIDTH, HEIGHT = 960, 600


def draw_wallpaper(draw: Chance) -> Pixels:
    """A picture of 960 x 600 pixels."""
    stops = [rgb(colour) for colour in palette(draw)]
    image = Image.fromarray(_ramp(draw, stops))
    pick(draw, (_triangles, _waves, _discs, _stripes))(draw, image, stops)
    return np.asarray(image)


def _ramp(draw: Chance, stops: Stops) -> Pixels:
    """A gradient over the stops, at an angle, or around a point; dithered or not."""
    y, x = np.mgrid[0 : 1 : HEIGHT * 1j, 0 : 1 : WIDTH * 1j]
    angle = real(draw, 0, 2 * np.pi)
    at = x * np.cos(angle) + y * np.sin(angle) if often(draw, 0.6) else np.hypot(x - real(draw, 0, 1), y - real(draw, 0, 1))
    at = (at - at.min()) / np.ptp(at) * (len(stops) - 1)
    levels = np.stack([np.interp(at, np.arange(len(stops)), channel) for channel in zip(*stops, strict=True)], -1)
    if often(draw, 0.4):
        levels += draw.uniform(-0.5, 0.5, levels.shape)
    return np.asarray(np.round(np.clip(levels, 0, 255)), np.uint8)


def _triangles(draw: Chance, image: Image.Image, stops: Stops) -> None:
    from matplotlib.tri import Triangulation

    points = draw.uniform(-0.1, 1.1, (whole(draw, 60, 400), 2)) * (WIDTH, HEIGHT)
    mesh = Triangulation(points[:, 0], points[:, 1])
    under, brush = np.asarray(image), ImageDraw.Draw(image)
    contrast = real(draw, 0.05, 0.2)
    for triangle in mesh.triangles:
        corners = points[triangle]
        x, y = np.clip(corners.mean(0), 0, (WIDTH - 1, HEIGHT - 1)).astype(int)
        colour = np.clip(under[y, x] * real(draw, 1 - contrast, 1 + contrast) + np.array(stops[0]) * 0.02, 0, 255).astype(int)
        brush.polygon([tuple(corner) for corner in corners], fill=tuple(map(int, colour)))


def _waves(draw: Chance, image: Image.Image, stops: Stops) -> None:
    for _ in range(whole(draw, 4, 14)):
        mask = Image.new("L", (WIDTH * 2, HEIGHT * 2))
        x = np.linspace(0, WIDTH * 2, 200)
        y = np.full(200, HEIGHT * 2 * real(draw, 0.1, 1))
        for _ in range(2):
            y += real(draw, 20, 160) * np.sin(x / WIDTH * real(draw, 1, 8) + real(draw, 0, 6))
        points = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
        if often(draw, 0.4):
            ImageDraw.Draw(mask).line(points, fill=255, width=whole(draw, 3, 24))
        else:
            ImageDraw.Draw(mask).polygon([*points, (WIDTH * 2, HEIGHT * 2), (0, HEIGHT * 2)], fill=whole(draw, 60, 255))
        colour = Image.new("RGB", image.size, pick(draw, stops))
        image.paste(colour, mask=mask.resize(image.size, Image.Resampling.BOX))


def _discs(draw: Chance, image: Image.Image, stops: Stops) -> None:
    for _ in range(whole(draw, 12, 60)):
        mask, reach = Image.new("L", (WIDTH, HEIGHT)), real(draw, 12, 150)
        x, y = real(draw, 0, WIDTH), real(draw, 0, HEIGHT)
        ImageDraw.Draw(mask).ellipse(
            (x - reach, y - reach, x + reach, y + reach), fill=whole(draw, 40, 200), outline=whole(draw, 100, 255), width=2
        )
        if often(draw, 0.5):
            mask = mask.filter(ImageFilter.GaussianBlur(real(draw, 0, 6)))
        image.paste(Image.new("RGB", image.size, pick(draw, stops)), mask=mask)


def _stripes(draw: Chance, image: Image.Image, stops: Stops) -> None:
    """Lines in parallel or from a point, half transparent."""
    layer = Image.new("RGBA", (WIDTH * 2, HEIGHT * 2))
    brush = ImageDraw.Draw(layer)
    angle, fan = real(draw, 0, np.pi), often(draw, 0.4)
    for place in range(-30, 60):
        turn = angle + place * 0.07 * fan
        along = np.array([np.cos(turn), np.sin(turn)]) * 3000
        start = np.array([WIDTH, HEIGHT]) + (1 - fan) * place * whole(draw, 20, 60) * np.array([-np.sin(angle), np.cos(angle)])
        colour = (*pick(draw, stops), whole(draw, 60, 255))
        brush.line([tuple(start - along), tuple(start + along)], fill=colour, width=whole(draw, 2, 40))
    layer = layer.resize(image.size, Image.Resampling.BOX)
    image.paste(layer, mask=layer)
