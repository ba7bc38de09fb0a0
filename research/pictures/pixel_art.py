"""Pixel art: sprites, tiles and scenes of few colours, with pixels of two to eight."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from causalprint.research.pictures.chance import Chance, hue, often, palette, pick, real, rgb, whole
from causalprint.schemas.arrays import Pixels

Colours = npt.NDArray[np.uint8]


def draw_pixel_art(draw: Chance) -> Pixels:
    """A scene or a sheet of sprites, every pixel repeated."""
    scale = pick(draw, (2, 3, 4, 4, 6, 8, 8))
    height, width = whole(draw, 280, 560) // scale + 1, whole(draw, 280, 760) // scale + 1
    colours = np.array(
        [rgb(colour) for colour in (*palette(draw), hue(draw), hue(draw, 0.4, 0.95), hue(draw, 0.9, 0.4))], np.uint8
    )
    small = pick(draw, (_scene, _sheet, _tiles, _scene))(draw, height, width, colours)
    if often(draw, 0.12):  # an old screen shows gaps between its lines
        large = small.repeat(scale, 0).repeat(scale, 1)
        large[::scale] = large[::scale] // 2
        return large
    return small.repeat(scale, 0).repeat(scale, 1)


def _sprite(draw: Chance, side: int, colours: Colours) -> tuple[Colours, npt.NDArray[np.bool_]]:
    """A symmetric figure with an outline, and where it is."""
    half = draw.random((side, side // 2)) < 0.55
    for _ in range(2):  # lone pixels join their neighbours
        padded = np.pad(half.astype(int), 1)
        near = sum(padded[1 + a : 1 + a + side, 1 + b : 1 + b + side // 2] for a in (-1, 0, 1) for b in (-1, 0, 1))
        half = np.asarray(near) >= 5
    body = np.concatenate([half, half[:, ::-1]], 1)
    shade = np.concatenate([tone := draw.integers(0, 3, half.shape), tone[:, ::-1]], 1)
    chosen = colours[draw.permutation(len(colours))[:3]]
    sprite = chosen[shade]
    padded = np.pad(body, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    sprite[body & ~inside] = chosen[0] // 3
    return sprite, body


def _put(canvas: Colours, sprite: tuple[Colours, npt.NDArray[np.bool_]], top: int, left: int) -> None:
    figure, mask = sprite
    window = canvas[top : top + len(figure), left : left + figure.shape[1]]
    part = mask[: window.shape[0], : window.shape[1]]
    window[part] = figure[: window.shape[0], : window.shape[1]][part]


def _sheet(draw: Chance, height: int, width: int, colours: Colours) -> Colours:
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = pick(draw, (np.array([255, 255, 255]), np.array([0, 0, 0]), np.array([255, 0, 255]), colours[0]))
    side = pick(draw, (10, 12, 16, 20))
    for top in range(1, height, side + 2):
        for left in range(1, width, side + 2):
            _put(canvas, _sprite(draw, side, colours), top, left)
    return canvas


def _tiles(draw: Chance, height: int, width: int, colours: Colours) -> Colours:
    side = pick(draw, (8, 12, 16))
    kinds = []
    for place in range(5):
        tile = np.empty((side, side, 3), np.int64)
        tile[:] = colours[place]
        tile += draw.integers(-12, 13, (side, side, 1)) * (draw.random((side, side, 1)) < 0.3)
        if place % 2:
            tile[0], tile[:, 0], tile[side // 2], tile[: side // 2, side // 2] = (colours[place] // 2,) * 4
        kinds.append(np.clip(tile, 0, 255).astype(np.uint8))
    rows, columns = height // side + 1, width // side + 1
    level = np.cumsum(draw.normal(size=(rows, columns)), 1) + np.cumsum(draw.normal(size=(rows, columns)), 0)
    chosen = np.digitize(level, np.quantile(level, (0.2, 0.4, 0.6, 0.8)))
    canvas = np.concatenate([np.concatenate([kinds[int(kind)] for kind in row], 1) for row in chosen], 0)[:height, :width]
    for _ in range(whole(draw, 2, 8)):
        _put(canvas, _sprite(draw, side, colours), whole(draw, 0, height - side), whole(draw, 0, width - side))
    return canvas


def _scene(draw: Chance, height: int, width: int, colours: Colours) -> Colours:
    """Sky in bands or dithered, hills, ground and figures."""
    blend = np.repeat(np.linspace(0, 1, height)[:, None], width, 1)
    grain = np.tile(np.array([[0, 2], [3, 1]]) / 4, (height // 2 + 1, width // 2 + 1))[:height, :width]
    steps = whole(draw, 4, 9)
    tone = np.floor(np.clip(blend, 0, 0.999) * steps + (grain if often(draw, 0.6) else 0)) / steps
    canvas: Colours = (colours[5] * (1 - tone[..., None]) + colours[6] * tone[..., None]).astype(np.uint8)
    for _ in range(whole(draw, 10, 60)):
        canvas[whole(draw, 0, height // 2), whole(draw, 0, width - 1)] = 255
    for layer in range(whole(draw, 2, 4)):
        rise = np.cumsum(draw.integers(-1, 2, width)) + height * real(draw, 0.4 + 0.12 * layer, 0.6 + 0.12 * layer)
        hill = np.arange(height)[:, None] > rise
        canvas[hill] = colours[layer]
        canvas[hill & (np.arange(height)[:, None] <= rise + 2)] = np.minimum(colours[layer].astype(int) + 50, 255).astype(
            np.uint8
        )
        speck = hill & (draw.random((height, width)) < 0.05)
        canvas[speck] = colours[layer] // 2
    for _ in range(whole(draw, 3, 9)):
        side = pick(draw, (10, 14, 16, 20))
        if side < min(height // 2, width):
            _put(canvas, _sprite(draw, side, colours), whole(draw, height // 3, height - side), whole(draw, 0, width - side))
    return canvas
