"""Fractals: Mandelbrot and Julia sets in smooth colours, Newton's basins, plasma and flames of points."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from causalprint.research.pictures.chance import Chance, hue, often, pick, real, rgb, whole
from causalprint.schemas.arrays import Pixels

SIDE = 420
ZOOMS = (
    (-0.743643, 0.131825, 0.003),
    (-0.7453, 0.1127, 0.008),
    (-1.25066, 0.02012, 0.004),
    (-0.16, 1.0405, 0.03),
    (0.285, 0.01, 0.02),
    (-0.5, 0, 1.4),
)
JULIA = (-0.4 + 0.6j, 0.285 + 0.01j, -0.8 + 0.156j, -0.7269 + 0.1889j, -0.835 - 0.2321j, 0.45 + 0.1428j)


def draw_fractal(draw: Chance) -> Pixels:
    """A square picture of one fractal."""
    values = pick(draw, (_mandelbrot, _mandelbrot, _julia, _newton, _plasma, _flame))(draw)
    return _coloured(draw, values)


def _coloured(draw: Chance, values: npt.NDArray[np.float64]) -> Pixels:
    turns = real(draw, 0.6, 4)
    if often(draw, 0.5):
        colours = mpl.colormaps[pick(draw, ("twilight", "magma", "inferno", "viridis", "cubehelix", "gnuplot2", "ocean", "hsv"))]
        folded = np.abs((values * turns) % 2 - 1)
        return np.round(255 * np.asarray(colours(folded))[..., :3]).astype(np.uint8)
    stops = np.array([rgb(hue(draw, real(draw, 0.3, 1), value)) for value in (0.15, 0.9, 0.5, 1, 0.2)], np.float64)
    at = (values * turns * 4) % 4
    levels = [np.interp(at, np.arange(5), np.append(stops[:4, channel], stops[0, channel])) for channel in range(3)]
    return np.round(np.stack(levels, -1)).astype(np.uint8)


def _escape(z: npt.NDArray[np.complex128], c: npt.NDArray[np.complex128] | complex, most: int) -> npt.NDArray[np.float64]:
    """Smooth time of escape under z -> z^2 + c, 0 to 1."""
    count = np.full(z.shape, float(most))
    for step in range(most):
        z = z * z + c
        size = np.abs(z)
        gone = (size > 32) & (count == most)
        count[gone] = step + 1 - np.log2(np.log(size[gone]) / np.log(32))
        z = np.where(size > 1e3, 1e3, z)
    return np.asarray(np.sqrt(np.clip(count, 0, most) / most))


def _plane(across: float, up: float, reach: float) -> npt.NDArray[np.complex128]:
    y, x = np.mgrid[up - reach : up + reach : SIDE * 1j, across - reach : across + reach : SIDE * 1j]
    return np.asarray(x + 1j * y)


def _mandelbrot(draw: Chance) -> npt.NDArray[np.float64]:
    across, up, reach = pick(draw, ZOOMS)
    reach *= real(draw, 0.4, 1.5)
    plane = _plane(across + reach * real(draw, -0.3, 0.3), up + reach * real(draw, -0.3, 0.3), reach)
    return _escape(np.zeros_like(plane), plane, 160)


def _julia(draw: Chance) -> npt.NDArray[np.float64]:
    reach = real(draw, 0.3, 1.4)
    return _escape(
        _plane(real(draw, -0.3, 0.3), real(draw, -0.3, 0.3), reach), pick(draw, JULIA) + complex(*draw.normal(0, 0.005, 2)), 120
    )


def _newton(draw: Chance) -> npt.NDArray[np.float64]:
    degree = whole(draw, 3, 6)
    z = _plane(0, 0, real(draw, 0.5, 2)) + 1e-9
    for _ in range(whole(draw, 8, 20)):
        z = z - (z**degree - 1) / (degree * z ** (degree - 1) + 1e-12)
    return (np.angle(z) / (2 * np.pi) + 0.5) * degree / 3 + 0.1 * np.clip(np.abs(z**degree - 1), 0, 1)


def _plasma(draw: Chance) -> npt.NDArray[np.float64]:
    """Noise whose spectrum falls by a power, as clouds and terrains are drawn."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(draw.normal(size=(SIDE, SIDE))) / frequency ** real(draw, 1.4, 2.4)
    field = np.fft.ifft2(spectrum).real
    return np.asarray((field - field.min()) / np.ptp(field))


def _flame(draw: Chance) -> npt.NDArray[np.float64]:
    """An iterated function system, its density on a logarithmic scale."""
    maps = draw.uniform(-0.85, 0.85, (4, 2, 3))
    points = draw.uniform(-1, 1, (60000, 2))
    heap = np.zeros((SIDE, SIDE))
    for step in range(60):
        chosen = maps[draw.integers(4, size=len(points))]
        points = np.einsum("nij,nj->ni", chosen[:, :, :2], points) + chosen[:, :, 2]
        radius = np.hypot(*points.T)[:, None] + 1e-9
        points = np.sin(points) if step % 2 else points / radius * np.minimum(radius, 1.5)
        if step > 10:
            heap += np.histogram2d(points[:, 1], points[:, 0], SIDE, ((-1.6, 1.6), (-1.6, 1.6)))[0]
    return np.asarray(np.log1p(heap) / np.log1p(heap.max()))
