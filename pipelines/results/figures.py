"""Figures of results as small PNGs: confusion, reliability, robustness, a map of fingerprints, spectra of residuals."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.schemas.estimates import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.floating[Any]]
COLOURS = 64
"""Of the PNGs' palette, which keeps a figure below about 60 kB."""
GREYS = 16
DPI = 80
TITLE = 9
POINTS = 1500
"""A map shows at most so many images, evenly taken."""


class FiguresError(ImportError):
    """Figures cannot be drawn here; the message says what to install."""


class Points(NamedTuple):
    """A line: x, y, and how far the interval goes below and above y, (P,) each."""

    x: Sequence[float]
    y: Sequence[float]
    below: Sequence[float] = ()
    above: Sequence[float] = ()


def line(estimates: Sequence[Estimate]) -> Points:
    """A point for each estimate, with its interval."""
    return Points(range(len(estimates)), [one.value for one in estimates], *zip(*(one.arms for one in estimates), strict=True))


def check_figures() -> None:
    """Makes sure that figures can be drawn, before hours of computing.

    Raises:
        FiguresError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure as _  # noqa: F401
    except ImportError as error:
        raise FiguresError("figures need matplotlib: pip install 'causalprint[compare]'") from error


def confusion(truth: Sequence[str], answers: Sequence[str], counts: npt.NDArray[np.int64], title: str) -> bytes:
    """Shares of each row in percent: what images of a source (T) are taken for (A), of ``counts`` (T, A)."""
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, (axes,) = _figure(2.2 + 0.42 * len(answers), 1.6 + 0.36 * len(truth))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(answers)), answers, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(truth)), [f"{name} ({count:,})" for name, count in zip(truth, counts.sum(axis=1), strict=True)])
    for (row, column), share in np.ndenumerate(shares):
        if share >= 1:
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", color="white" if share > 60 else "black", size=7)
    axes.set_title(title, size=TITLE)
    axes.set(xlabel="taken for", ylabel="made by")
    return _png(figure)


def reliability(curves: Mapping[str, Points], title: str) -> bytes:
    """Accuracy over confidence, a line for each key of ``curves``; calibrated probabilities lie on the diagonal."""
    figure, (axes,) = _figure(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, curve in curves.items():
        axes.plot(curve.x, curve.y, marker="o", markersize=3, linewidth=1.2, label=name)
    axes.set_title(title, size=TITLE)
    axes.set(xlabel="probability of the best candidate", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=7, frameon=False)
    return _png(figure)


def robustness(names: Sequence[str], panels: Mapping[str, Mapping[str, Points]], title: str) -> bytes:
    """A panel for each measure, in it a line for each bundle or method; ``x`` counts the perturbations ``names``."""
    figure, places = _figure(4.4 * len(panels), 3.6, len(panels))
    for axes, (measure, lines) in zip(places, panels.items(), strict=True):
        for shift, (name, line) in enumerate(lines.items()):
            x = np.asarray(line.x) + 0.08 * (shift - (len(lines) - 1) / 2)
            axes.errorbar(x, line.y, [line.below, line.above], marker="o", markersize=3, linewidth=1, capsize=2, label=name)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_title(measure, size=TITLE)
        axes.set(ylim=(0, 1))
        axes.grid(axis="y", alpha=0.3)
    places[0].legend(fontsize=7, frameon=False)
    figure.suptitle(title, size=TITLE)
    return _png(figure)


def bars(names: Sequence[str], line: Points, chosen: Sequence[bool], title: str) -> bytes:
    """A bar for each of ``names``, the first on top, its length ``line.y`` with the interval; those ``chosen`` stand out."""
    figure, (axes,) = _figure(6.2, 0.9 + 0.22 * len(names))
    places = range(len(names))
    colours = ["tab:blue" if each else "0.7" for each in chosen]
    axes.barh(places, line.y, xerr=[line.below, line.above], color=colours, error_kw={"linewidth": 1, "capsize": 2})
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(title, size=TITLE)
    axes.set(xlim=(0, 1))
    return _png(figure)


def fingerprint_map(fingerprints: npt.NDArray[np.float16], groups: npt.NDArray[np.str_], title: str) -> bytes:
    """The first two principal components of fingerprints (N, D), a colour for each of ``groups`` (N,)."""
    places = principal_components(fingerprints.astype(np.float64))
    shown = np.unique(np.linspace(0, len(groups) - 1, min(len(groups), POINTS)).astype(int))
    figure, (axes,) = _figure(6.4, 4.4)
    names = np.unique(groups).tolist()
    for name, colour in zip(names, _colours(len(names)), strict=True):
        here = places[shown][groups[shown] == name]
        axes.scatter(here[:, 0], here[:, 1], s=5, color=colour, label=name, linewidths=0)
    figure.suptitle(title, size=TITLE)
    axes.set(xticks=[], yticks=[])
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2)
    return _png(figure)


def principal_components(values: Floats) -> npt.NDArray[np.float64]:
    """Coordinates (N, 2) on the first two principal axes of values (N, D), D >= 2; the largest loading of each is positive."""
    centred = values - values.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    signed = np.zeros((2, values.shape[1]))
    for row, axis in enumerate(axes[:2]):
        signed[row] = axis * np.sign(axis[np.abs(axis).argmax()] or 1)
    return np.asarray(centred @ signed.T)


def spectra(panels: Mapping[str, Floats], title: str) -> bytes:
    """Spectra (S, S) in decibels, frequency 0 in the middle, a panel for each source, on one grey scale."""
    columns = min(len(panels), 6)
    figure, places = _figure(1.25 * columns, 1.45 * math.ceil(len(panels) / columns) + 0.35, len(panels), columns)
    values = np.concatenate([np.ravel(panel) for panel in panels.values()])
    low, high = np.percentile(values, [1, 99.7])
    for axes, (name, panel) in zip(places, panels.items(), strict=True):
        axes.imshow(panel, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axes.set_title(name, size=6)
        axes.set_axis_off()
    figure.suptitle(f"{title}; black {low:.0f} dB, white {high:.0f} dB", size=8)
    return _png(figure, GREYS)


def _figure(width: float, height: float, panels: int = 1, columns: int | None = None) -> tuple[Figure, list[Axes]]:
    """A figure of its own, in inches, with no state shared between threads."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    across = columns or panels
    places = [figure.add_subplot(math.ceil(panels / across), across, place + 1) for place in range(panels)]
    for axes in places:
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set_fontsize(8)
        axes.yaxis.label.set_fontsize(8)
    return figure, places


def _colours(count: int) -> list[tuple[float, ...]]:
    from matplotlib import colormaps

    if count <= 20:
        return [tuple(colormaps["tab20"](place)) for place in range(count)]
    return [tuple(colormaps["turbo"](place / (count - 1))) for place in range(count)]


def _png(figure: Figure, colours: int = COLOURS) -> bytes:
    """The figure's bytes: a palette, and no metadata, so that the same figures give the same file."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, bbox_inches="tight")  # wider where a title is
    small = io.BytesIO()
    palette = Image.open(drawn).convert("RGB").quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette.save(small, "PNG", optimize=True)
    return small.getvalue()
