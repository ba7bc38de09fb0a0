"""Diagrams by matplotlib: heat maps, surfaces, contours, flows, graphs and boxes with arrows; and pages of formulae."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from causalprint.research.pictures.chance import Chance, often, palette, pick, real, sentence, title, whole, words
from causalprint.research.pictures.charts import fixed_fonts, new_figure, pixels_of
from causalprint.schemas.arrays import Pixels

MAPS = (
    "viridis",
    "plasma",
    "magma",
    "cividis",
    "coolwarm",
    "RdBu",
    "jet",
    "hot",
    "terrain",
    "Greys",
    "YlGnBu",
    "Spectral",
    "hsv",
    "tab20",
)

FORMULAE = (
    r"\int_{%s}^{\infty} e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}",
    r"\sum_{n=1}^{\infty} \frac{1}{n^{%s}} = \zeta(%s)",
    r"\nabla \times \mathbf{E} = -\frac{\partial \mathbf{B}}{\partial t}",
    r"i\hbar \frac{\partial \psi}{\partial t} = \hat{H}\psi_{%s}",
    r"P(A\mid B) = \frac{P(B\mid A)\,P(A)}{P(B)}",
    r"\sigma^2 = \frac{1}{N}\sum_{i=1}^{N} (x_i - \mu)^{%s}",
    r"x_{1,2} = \frac{-b \pm \sqrt{b^2 - %sac}}{2a}",
    r"\lim_{n\to\infty}\left(1+\frac{%s}{n}\right)^n = e^{%s}",
    r"\oint_\gamma f(z)\,dz = 2\pi i \sum_k \mathrm{Res}(f, a_k)",
    r"\frac{\partial u}{\partial t} = \alpha_{%s} \nabla^2 u",
    r"G_{\mu\nu} + \Lambda g_{\mu\nu} = \frac{%s\pi G}{c^4} T_{\mu\nu}",
    r"\hat\theta = \arg\max_\theta \prod_{j=1}^{%s} p(y_j \mid \theta)",
)


def draw_diagram(draw: Chance) -> Pixels:
    """A figure with one diagram."""
    with mpl.rc_context():
        mpl.rcdefaults()
        settings: Any = mpl.rcParams
        settings.update(fixed_fonts(pick(draw, ("sans-serif", "serif", "monospace"))))
        if often(draw, 0.15):
            settings.update(
                {"figure.facecolor": "#101418", "text.color": "white", "axes.facecolor": "#101418", "axes.labelcolor": "white"}
            )
            settings.update({"xtick.color": "white", "ytick.color": "white", "axes.edgecolor": "white"})
        figure = new_figure(draw)
        pick(draw, DIAGRAMS)(draw, figure)
        return pixels_of(figure)


def draw_formulae(draw: Chance) -> Pixels:
    """A page of text and formulae."""
    with mpl.rc_context():
        mpl.rcdefaults()
        settings: Any = mpl.rcParams
        settings.update(fixed_fonts(pick(draw, ("serif", "serif", "sans-serif"))))
        settings["mathtext.fontset"] = pick(draw, ("cm", "stix", "dejavuserif", "dejavusans"))
        settings["figure.facecolor"] = pick(draw, ("white", "white", "white", "#fdf6e3", "#1e1e2e", "#0b3d2e"))
        dark = settings["figure.facecolor"] in ("#1e1e2e", "#0b3d2e")
        settings["text.color"] = "#eeeeee" if dark else pick(draw, ("black", "black", "#222266"))
        figure = new_figure(draw)
        size, at = real(draw, 9, 19), 0.96
        while at > 0.02:
            if often(draw, 0.5):
                pattern = pick(draw, FORMULAE)
                formula = pattern % tuple(whole(draw, 2, 9) for _ in range(pattern.count("%s")))
                at -= 0.013 * size * 0.6
                figure.text(real(draw, 0.05, 0.4), at, f"${formula}$", fontsize=size * 1.25, va="center")
                at -= 0.013 * size * 0.6
            else:
                figure.text(0.04, at, f"{sentence(draw)} {sentence(draw)}"[:110], fontsize=size, va="top")
                at -= 0.0042 * size
        return pixels_of(figure)


def _field(draw: Chance, side: int) -> npt.NDArray[np.float64]:
    """A smooth function on a grid."""
    y, x = np.mgrid[-3 : 3 : side * 1j, -3 : 3 : side * 1j]
    field = np.zeros_like(x)
    for _ in range(whole(draw, 2, 7)):
        across, down = draw.uniform(-2.5, 2.5, 2)
        field += real(draw, -1, 1) * np.exp(-((x - across) ** 2 + (y - down) ** 2) / real(draw, 0.3, 3))
    return np.asarray(field + real(draw, 0, 0.4) * np.sin(x * real(draw, 1, 5)) * np.cos(y * real(draw, 1, 5)))


def _heat_map(draw: Chance, figure: Any) -> None:
    axes = figure.add_subplot()
    rows, columns = whole(draw, 5, 12), whole(draw, 5, 12)
    values = draw.normal(size=(rows, columns))
    shown = axes.imshow(values, cmap=pick(draw, MAPS), aspect="auto")
    if often(draw, 0.6):
        for row in range(rows):
            for column in range(columns):
                axes.text(
                    column,
                    row,
                    f"{values[row, column]:.2f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color=pick(draw, ("white", "black")),
                )
    axes.set_xticks(range(columns), [words(draw, 1) for _ in range(columns)], rotation=60)
    axes.set_yticks(range(rows), [words(draw, 1) for _ in range(rows)])
    figure.colorbar(shown)


def _image(draw: Chance, figure: Any) -> None:
    for place in range(side := pick(draw, (1, 2, 2))):
        axes = figure.add_subplot(1, side, place + 1)
        axes.imshow(_field(draw, 160), cmap=pick(draw, MAPS), interpolation=pick(draw, ("nearest", "bilinear", "bicubic")))
        axes.set_title(title(draw))


def _contours(draw: Chance, figure: Any) -> None:
    axes = figure.add_subplot()
    field = _field(draw, 120)
    if often(draw, 0.7):
        figure.colorbar(axes.contourf(field, levels=whole(draw, 8, 30), cmap=pick(draw, MAPS)))
    axes.clabel(axes.contour(field, levels=whole(draw, 6, 14), colors="black", linewidths=0.8), fontsize=7)
    axes.set_title(title(draw))


def _surface(draw: Chance, figure: Any) -> None:
    axes = figure.add_subplot(projection="3d")
    y, x = np.mgrid[-3:3:50j, -3:3:50j]
    field = _field(draw, 50)
    if often(draw, 0.25):
        axes.plot_wireframe(x, y, field, color=pick(draw, palette(draw)), linewidth=0.7)
    elif often(draw, 0.25):
        axes.scatter(*draw.normal(size=(3, 400)), c=draw.random(400), cmap=pick(draw, MAPS))
    elif often(draw, 0.25):
        heights = draw.uniform(0.2, 5, 30)
        axes.bar3d(np.repeat(np.arange(5), 6), np.tile(np.arange(6), 5), 0, 0.7, 0.7, heights, color=palette(draw) * 6)
    else:
        axes.plot_surface(x, y, field, cmap=pick(draw, MAPS), rstride=1, cstride=1, linewidth=pick(draw, (0, 0.2)))
    axes.view_init(real(draw, 15, 60), real(draw, 0, 360))
    axes.set_title(title(draw))


def _flow(draw: Chance, figure: Any) -> None:
    axes = figure.add_subplot()
    y, x = np.mgrid[-3:3:25j, -3:3:25j]
    down, across = np.gradient(_field(draw, 25))
    speed = np.hypot(down, across)
    if often(draw, 0.5):
        axes.streamplot(x[0], y[:, 0], -down, across, color=speed, cmap=pick(draw, MAPS), density=real(draw, 0.8, 2))
    else:
        axes.quiver(x, y, across, down, speed, cmap=pick(draw, MAPS))
    axes.set_title(title(draw))


def _graph(draw: Chance, figure: Any) -> None:
    axes = figure.add_subplot()
    count, colours = whole(draw, 8, 26), palette(draw)
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    places = np.stack([np.cos(angles), np.sin(angles)], 1) if often(draw, 0.3) else draw.uniform(-1, 1, (count, 2))
    for _ in range(count * 2):
        one, other = draw.integers(count, size=2)
        axes.plot(
            *places[[one, other]].T, color=pick(draw, ("grey", "black", colours[0])), linewidth=real(draw, 0.5, 2), zorder=1
        )
    axes.scatter(
        *places.T, s=draw.uniform(100, 900, count), c=[pick(draw, colours) for _ in range(count)], edgecolors="black", zorder=2
    )
    for place in places:
        axes.text(*place, words(draw, 1), ha="center", va="center", fontsize=8)
    axes.set_axis_off()


def _flow_chart(draw: Chance, figure: Any) -> None:
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 4), ylim=(0, 4))
    axes.set_axis_off()
    colours = palette(draw)
    places = [
        (column + real(draw, 0.35, 0.65), row + real(draw, 0.4, 0.6))
        for row in range(4)
        for column in range(4)
        if often(draw, 0.8)
    ]
    for before, after in pairwise(places):
        axes.annotate(
            "",
            after,
            before,
            arrowprops={
                "arrowstyle": pick(draw, ("->", "-|>", "->")),
                "color": "grey",
                "connectionstyle": pick(draw, ("arc3", "arc3,rad=0.3", "angle")),
            },
        )
    for x, y in places:
        shape = pick(draw, ("round,pad=0.5", "square,pad=0.5", "circle,pad=0.3", "rarrow,pad=0.3"))
        axes.text(
            x,
            y,
            title(draw, 2).replace(" ", "\n"),
            ha="center",
            va="center",
            fontsize=real(draw, 8, 11),
            color="black",
            bbox={"boxstyle": shape, "facecolor": pick(draw, colours), "alpha": 0.8},
        )


DIAGRAMS: tuple[Callable[[Chance, Any], None], ...] = (
    _heat_map,
    _image,
    _contours,
    _surface,
    _surface,
    _flow,
    _graph,
    _flow_chart,
)
