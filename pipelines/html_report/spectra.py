"""What is measured in residuals, as SQL, and their mean spectra as lines of a chart."""

from __future__ import annotations

from collections.abc import Sequence

from causalprint.pipelines.html_report.words import SCALARS
from causalprint.schemas.tables import SPECTRUM_RINGS

PHOTOGRAPHS = "cleared as a photograph"
"""The group beside which every source is shown."""
GRID = 10.0
"""Decibels between the lines of a chart's grid, on which its axis begins and ends."""
WIDTH, HEIGHT = 10 * SPECTRUM_RINGS, 100

_QUARTILES = ",\n       ".join(
    f"quantile_cont({name}, 0.25) AS {name}_low, median({name}) AS {name}, quantile_cont({name}, 0.75) AS {name}_high"
    for name in SCALARS
)

_DRAWN = f"CASE group_name WHEN '{PHOTOGRAPHS}' THEN coalesce(spread, 0) ELSE 0 END"


def measurements(groups: str) -> str:
    """Quartiles of the scalar columns of table ``embeddings``, as SQL: a row a group, the largest first.

    Args:
        groups: a query of ``group_name``, ``slice_id``, ``member`` and ``offset``.
    """
    return f"""
SELECT group_name, count(*) AS images,
       {_QUARTILES}
FROM ({groups})
JOIN embeddings USING (slice_id, member, "offset")
GROUP BY ALL ORDER BY images DESC, group_name"""


def mean_spectra(groups: str) -> str:
    """Mean spectra, as SQL: a row a group, :data:`PHOTOGRAPHS` first and then the largest; none of tables without spectra.

    Columns: ``group_name``; ``images``; ``decibels`` and ``deviation``, lists of 32, mean and standard deviation of the images'
    decibels, null for one image; ``axis_low`` and ``axis_high``, where an axis for all lines and the band of photographs begins
    and ends. Rounded, since the last digits depend on the order in which rows are added.

    Args:
        groups: as of :func:`measurements`.
    """
    return f"""
SELECT group_name, images, decibels, deviation,
       {GRID} * floor(min(lowest) OVER () / {GRID}) AS axis_low, {GRID} * ceil(max(highest) OVER () / {GRID}) AS axis_high
FROM (SELECT group_name, any_value(n) AS images, list(mean ORDER BY ring) AS decibels, list(spread ORDER BY ring) AS deviation,
             min(mean - {_DRAWN}) AS lowest, max(mean + {_DRAWN}) AS highest
      FROM (SELECT group_name, ring, count(*) AS n, round(avg(spectrum[ring]), 2) AS mean,
                   round(stddev_samp(spectrum[ring]), 2) AS spread
            FROM ({groups})
            JOIN embeddings USING (slice_id, member, "offset"), range(1, {SPECTRUM_RINGS + 1}) rings(ring)
            WHERE spectrum IS NOT NULL GROUP BY group_name, ring)
      GROUP BY group_name)
ORDER BY group_name = '{PHOTOGRAPHS}' DESC, images DESC, group_name"""


def line(decibels: Sequence[float], low: float, high: float) -> str:
    """The points of a line of SVG, within :data:`WIDTH` and :data:`HEIGHT`; frequency 0 would be at the left edge."""
    return " ".join(f"{10 * ring},{height(value, low, high):.2f}" for ring, value in enumerate(decibels, 1))


def band(decibels: Sequence[float], deviation: Sequence[float | None], low: float, high: float) -> str:
    """The points of what lies within one deviation of a line; empty where there is none."""
    pairs = [(mean, spread) for mean, spread in zip(decibels, deviation, strict=True) if spread is not None]
    if len(pairs) < len(decibels):
        return ""
    above, below = ([mean + sign * spread for mean, spread in pairs] for sign in (1, -1))
    return " ".join([line(above, low, high), *reversed(line(below, low, high).split())])


def grid(low: float, high: float) -> list[float]:
    """Where the lines between the ends of the axis are."""
    return [height(low + GRID * step, low, high) for step in range(1, round((high - low) / GRID))]


def height(value: float, low: float, high: float) -> float:
    """Where a value is in the chart, from its top; at an edge where it is beyond."""
    return HEIGHT * (1 - min(max((value - low) / ((high - low) or 1), 0), 1))
