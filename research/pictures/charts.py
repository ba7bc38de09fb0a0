"""Charts by matplotlib: lines, bars, scatters, pies and their like, in its styles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from causalprint.research.pictures.chance import Chance, often, palette, pick, real, title, whole, words
from causalprint.schemas.arrays import Pixels

STYLES = (
    "default", "classic", "ggplot", "bmh", "fivethirtyeight", "dark_background", "grayscale", "Solarize_Light2",
    "seaborn-v0_8", "seaborn-v0_8-whitegrid", "seaborn-v0_8-darkgrid", "seaborn-v0_8-pastel", "tableau-colorblind10",
)  # fmt: skip
FAMILIES = ("sans-serif", "sans-serif", "serif", "monospace", "cursive")
SETTINGS = {
    "sans-serif": ["DejaVu Sans"],
    "serif": ["DejaVu Serif"],
    "monospace": ["DejaVu Sans Mono"],
    "cursive": ["STIXGeneral"],
}
"""The fonts that come with matplotlib, so that machines draw alike."""


def fixed_fonts(family: str) -> dict[str, Any]:
    """Settings of matplotlib for a family, with its own fonts only."""
    return {"font.family": family, **{f"font.{name}": fonts for name, fonts in SETTINGS.items()}, "axes.unicode_minus": False}


def new_figure(draw: Chance) -> Figure:
    """A figure of a usual size."""
    figure = Figure(figsize=(real(draw, 5, 9), real(draw, 4, 6.5)), dpi=pick(draw, (72, 80, 100, 100, 120, 150)))
    FigureCanvasAgg(figure)
    return figure


def pixels_of(figure: Figure) -> Pixels:
    """What the figure shows, uint8 (H, W, 3)."""
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def draw_charts(draw: Chance) -> Pixels:
    """A figure with one chart to four."""
    # Called "default", the style resets what the machine's own settings changed.
    with mpl.rc_context(), style.context(["default", pick(draw, STYLES)]):
        settings: Any = mpl.rcParams
        settings.update(fixed_fonts(pick(draw, FAMILIES)))
        settings["text.antialiased"] = not often(draw, 0.05)
        colours = palette(draw) if often(draw, 0.5) else None
        figure = new_figure(draw)
        rows, columns = pick(draw, ((1, 1), (1, 1), (1, 2), (2, 1), (2, 2)))
        for place in range(rows * columns):
            chart = pick(draw, CHARTS)
            axes = figure.add_subplot(rows, columns, place + 1, polar=chart is _radar)
            if colours:
                axes.set_prop_cycle(color=colours)
            chart(draw, axes)
            axes.set_title(title(draw))
            if chart not in {_pie, _radar}:
                axes.set_xlabel(words(draw, 2))
                axes.set_ylabel(words(draw, 1))
                axes.grid(often(draw, 0.5))
            if axes.get_legend_handles_labels()[0] and often(draw, 0.8):
                axes.legend(fontsize="small", loc="best")
        if often(draw, 0.5):
            figure.suptitle(title(draw, 6))
        figure.subplots_adjust(wspace=0.35, hspace=0.5)
        return pixels_of(figure)


def _walk(draw: Chance, count: int) -> Any:
    return np.cumsum(draw.normal(size=count)) + real(draw, 5, 40)


def _lines(draw: Chance, axes: Any) -> None:
    count = whole(draw, 12, 300)
    for _ in range(whole(draw, 1, 6)):
        axes.plot(
            _walk(draw, count),
            label=words(draw, 1),
            linestyle=pick(draw, ("-", "-", "--", ":", "-.")),
            marker=pick(draw, ("", "", "o", "s", "^", "x")) if count < 60 else "",
            linewidth=real(draw, 0.7, 3),
        )


def _bars(draw: Chance, axes: Any) -> None:
    count, series = whole(draw, 4, 12), whole(draw, 1, 4)
    stacked, base = often(draw, 0.5), np.zeros(count)
    for place in range(series):
        heights = draw.uniform(2, 30, count)
        if stacked:
            axes.bar(np.arange(count), heights, bottom=base, label=words(draw, 1), width=0.7, edgecolor="white")
            base += heights
        else:
            axes.bar(np.arange(count) + place * 0.8 / series, heights, width=0.8 / series, label=words(draw, 1))
    axes.set_xticks(range(count), [words(draw, 1) for _ in range(count)], rotation=pick(draw, (30, 45, 90)), fontsize="x-small")


def _horizontal(draw: Chance, axes: Any) -> None:
    count = whole(draw, 4, 14)
    axes.barh(
        [f"{words(draw, 1)} {place}" for place in range(count)],
        np.sort(draw.uniform(1, 100, count)),
        hatch=pick(draw, ("", "//", "xx", "..")),
    )


def _scatter(draw: Chance, axes: Any) -> None:
    for _ in range(whole(draw, 1, 4)):
        middle, spread = draw.uniform(-4, 4, 2), np.array([[1, real(draw, -0.9, 0.9)], [0, 1]])
        x, y = draw.multivariate_normal(middle, spread, whole(draw, 30, 400), check_valid="ignore").T
        axes.scatter(
            x, y, s=draw.uniform(4, 90, len(x)), alpha=real(draw, 0.3, 1), marker=pick(draw, "osD^v*P"), label=words(draw, 1)
        )


def _pie(draw: Chance, axes: Any) -> None:
    count = whole(draw, 3, 8)
    ring = {"width": real(draw, 0.3, 0.6)} if often(draw, 0.4) else {}
    axes.pie(
        draw.uniform(1, 9, count),
        labels=[words(draw, 1) for _ in range(count)],
        autopct="%1.0f%%",
        wedgeprops=ring,
        shadow=often(draw, 0.2),
    )


def _histogram(draw: Chance, axes: Any) -> None:
    for _ in range(whole(draw, 1, 3)):
        sample = draw.normal(real(draw, -3, 3), real(draw, 0.5, 2), 900)
        axes.hist(
            sample, bins=whole(draw, 12, 60), alpha=0.7, label=words(draw, 1), histtype=pick(draw, ("bar", "stepfilled", "step"))
        )


def _boxes(draw: Chance, axes: Any) -> None:
    samples = [draw.normal(real(draw, -2, 2), real(draw, 0.4, 2), 80) for _ in range(whole(draw, 4, 9))]
    if often(draw, 0.5):
        axes.boxplot(samples, notch=often(draw, 0.4), patch_artist=often(draw, 0.6))
    else:
        axes.violinplot(samples, showmedians=True)


def _areas(draw: Chance, axes: Any) -> None:
    count = whole(draw, 3, 6)
    axes.stackplot(
        range(60), [np.abs(_walk(draw, 60)) for _ in range(count)], labels=[words(draw, 1) for _ in range(count)], alpha=0.85
    )


def _errors(draw: Chance, axes: Any) -> None:
    for _ in range(whole(draw, 1, 3)):
        y = _walk(draw, 15)
        axes.errorbar(
            range(15), y, yerr=draw.uniform(0.3, 2, 15), capsize=3, fmt=pick(draw, ("o-", "s--", "^")), label=words(draw, 1)
        )
    axes.axhline(y.mean(), color="grey", linewidth=0.8)


def _band(draw: Chance, axes: Any) -> None:
    x = np.linspace(0, 10, 200)
    for _ in range(whole(draw, 1, 3)):
        y = np.sin(x * real(draw, 0.4, 3)) * real(draw, 0.5, 3) + x * real(draw, -0.5, 0.5)
        (line,) = axes.step(x, y) if often(draw, 0.3) else axes.plot(x, y, label=words(draw, 1))
        axes.fill_between(x, y - 0.4, y + 0.5, color=line.get_color(), alpha=0.25)


def _radar(draw: Chance, axes: Any) -> None:
    angles = np.linspace(0, 2 * np.pi, whole(draw, 5, 24), endpoint=False)
    if often(draw, 0.5):
        axes.bar(angles, draw.uniform(1, 9, len(angles)), width=5 / len(angles), alpha=0.7)
        return
    for _ in range(3):
        values = draw.uniform(2, 9, len(angles))
        axes.fill(angles, values, alpha=0.3)
        axes.plot(angles, values)


CHARTS: tuple[Callable[[Chance, Any], None], ...] = (
    _lines, _bars, _horizontal, _scatter, _pie, _histogram, _boxes, _areas, _errors, _band, _radar,
)  # fmt: skip
