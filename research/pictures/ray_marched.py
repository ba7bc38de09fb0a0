"""Scenes of simple bodies by ray marching: lights, shadows, a checked floor, fog."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.research.pictures.chance import Chance, hue, often, palette, pick, real, rgb, whole
from causalprint.schemas.arrays import Pixels

Array = npt.NDArray[np.float64]
HEIGHT, WIDTH = 320, 400
STEPS, FAR, NEAR = 64, 24.0, 2e-3


class Body(NamedTuple):
    """A sphere, a box, a torus or a capsule: its kind, place, size and colour, 0 to 1."""

    kind: int
    place: Array
    size: float
    colour: Array


def draw_scene(draw: Chance) -> Pixels:
    """A picture of a scene, sampled once or four times a pixel."""
    colours = palette(draw)
    bodies = []
    for _ in range(whole(draw, 3, 7)):
        size = real(draw, 0.35, 1.0)
        place = np.array([real(draw, -3, 3), size + real(draw, 0, 0.8), real(draw, -2, 3)])
        bodies.append(Body(whole(draw, 0, 3), place, size, np.array(rgb(pick(draw, colours))) / 255))
    light = np.array([real(draw, -1, 1), real(draw, 0.6, 1.4), real(draw, -1, 0.2)])
    light /= np.linalg.norm(light)
    sky = np.array(rgb(hue(draw, real(draw, 0, 0.5), real(draw, 0.4, 1)))) / 255
    tile, gloss, ambient = real(draw, 0.5, 1.5), real(draw, 0, 0.8), real(draw, 0.15, 0.4)
    floor = [np.array(rgb(colour)) / 255 for colour in (pick(draw, ("#ffffff", colours[0])), pick(draw, ("#222222", colours[1])))]
    eye, lens = np.array([real(draw, -1, 1), real(draw, 1.2, 3.5), -6.0]), real(draw, 1.1, 1.9)
    samples = pick(draw, (1, 4))
    shifts = ((0.0, 0.0),) if samples == 1 else ((-0.25, -0.25), (-0.25, 0.25), (0.25, -0.25), (0.25, 0.25))
    mirror = often(draw, 0.5)
    picture = np.zeros((HEIGHT * WIDTH, 3))
    for down, across in shifts:
        rays = _rays(eye, lens, down, across)
        start = np.broadcast_to(eye, rays.shape)
        colour, hit, normal = _look(bodies, start, rays, light, sky, floor, (tile, gloss, ambient))
        if mirror:
            met = normal.any(1)
            along, facing = rays[met], (rays[met] * normal[met]).sum(1, keepdims=True)
            bounce = along - 2 * facing * normal[met]
            seen, _, _ = _look(bodies, hit[met] + normal[met] * 0.02, bounce, light, sky, floor, (tile, gloss, ambient))
            share = 0.08 + 0.5 * (1 - np.abs(facing)) ** 3
            colour[met] = (1 - share) * colour[met] + share * seen
        picture += colour / samples
    return np.round(255 * np.clip(picture, 0, 1) ** (1 / real(draw, 1, 2.2))).astype(np.uint8).reshape(HEIGHT, WIDTH, 3)


def _rays(eye: Array, lens: float, down: float, across: float) -> Array:
    """Unit directions (N, 3) from the eye through each pixel."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    ahead = np.array([0, 0.6, 0.5]) - eye
    ahead /= np.linalg.norm(ahead)
    right = np.cross([0, 1, 0], ahead)
    right /= np.linalg.norm(right)
    up = np.cross(ahead, right)
    sides = ((x + across) / WIDTH - 0.5) * 2 * WIDTH / HEIGHT, (0.5 - (y + down) / HEIGHT) * 2
    rays = sides[0][..., None] * right + sides[1][..., None] * up + lens * 1.4 * ahead
    return np.asarray((rays / np.linalg.norm(rays, axis=-1, keepdims=True)).reshape(-1, 3))


def _distance(bodies: list[Body], points: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """To the nearest surface, and whose it is; that of the floor is -1."""
    nearest, owner = points[:, 1].copy(), np.full(len(points), -1)
    for place, body in enumerate(bodies):
        x, y, z = (points[:, axis] - body.place[axis] for axis in range(3))
        if body.kind == 0:
            reach = np.sqrt(x * x + y * y + z * z) - body.size
        elif body.kind == 1:
            sides = [np.abs(along) - body.size * 0.7 for along in (x, y, z)]
            outside = np.sqrt(sum(np.maximum(side, 0) ** 2 for side in sides))
            reach = outside + np.minimum(np.maximum(np.maximum(sides[0], sides[1]), sides[2]), 0) - 0.06
        elif body.kind == 2:
            ring = np.sqrt(x * x + y * y) - body.size * 0.7
            reach = np.sqrt(ring * ring + z * z) - body.size * 0.28
        else:
            y = y - np.clip(y, -body.size * 0.5, body.size * 0.5)
            reach = np.sqrt(x * x + y * y + z * z) - body.size * 0.4
        closer = reach < nearest
        nearest[closer], owner[closer] = reach[closer], place
    return nearest, owner


def _march(bodies: list[Body], start: Array, rays: Array, steps: int = STEPS) -> Array:
    """How far each ray goes, ``FAR`` where it meets nothing."""
    travel = np.full(len(rays), 0.02)
    going = np.arange(len(rays))
    for _ in range(steps):
        step, _ = _distance(bodies, start[going] + rays[going] * travel[going, None])
        travel[going] += step
        going = going[(step > NEAR) & (travel[going] < FAR)]
        if not len(going):
            break
    return np.asarray(np.minimum(travel, FAR))


def _look(
    bodies: list[Body],
    start: Array,
    rays: Array,
    light: Array,
    sky: Array,
    floor: list[Array],
    finish: tuple[float, float, float],
) -> tuple[Array, Array, Array]:
    """Colours (N, 3) of what rays meet, where, and its normal: zero where they meet the sky."""
    tile, gloss, ambient = finish
    far = _march(bodies, start, rays)
    hit = start + rays * far[:, None]
    met = far < FAR
    normal = np.zeros_like(rays)
    points = hit[met]
    _, owner = _distance(bodies, points)
    sides = [_distance(bodies, points + offset)[0] - _distance(bodies, points - offset)[0] for offset in np.eye(3) * 1e-3]
    slope = np.stack(sides, 1)
    slope /= np.linalg.norm(slope, axis=1, keepdims=True) + 1e-12
    normal[met] = slope
    checked = (np.floor(points[:, 0] / tile) + np.floor(points[:, 2] / tile)) % 2
    base = np.where(checked[:, None] == 0, floor[0], floor[1])
    for place, body in enumerate(bodies):
        base[owner == place] = body.colour
    shadow = _march(bodies, points + slope * 0.03, np.broadcast_to(light, points.shape), 32) < FAR
    bright = np.where(shadow, 0, np.clip(slope @ light, 0, 1))
    half = light - rays[met]
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    shine = gloss * np.where(shadow, 0, np.clip((slope * half).sum(1), 0, 1) ** 60)
    haze = np.exp(-0.004 * far[met] ** 2)[:, None]
    colour = sky * (1 - 0.5 * np.clip(rays[:, 1:2], 0, 1))
    colour[met] = haze * (base * (ambient + 0.9 * bright[:, None]) + shine[:, None]) + (1 - haze) * sky
    return colour, hit, normal
