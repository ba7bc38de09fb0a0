"""The quality that a JPEG file was written with, as far as its quantisation table tells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

# ISO/IEC 10918-1, table K.1, in natural order.
LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)


def ijg_tables(largest: int = 255) -> NDArray[np.int64]:
    """Luminance tables of libjpeg's qualities 1 to 100: (100, 64), each entry 1 to ``largest``.

    libjpeg scales table K.1 by 5000/q below quality 50 and by 200 - 2q from there on, in per cent, and rounds.
    ``largest`` is 255 in baseline files, 32,767 in others.
    """
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    tables: NDArray[np.int64] = np.clip((np.array(LUMINANCE)[None] * scale + 50) // 100, 1, largest)
    return tables


def quality_of(table: Sequence[int]) -> int:
    """The quality of libjpeg for a luminance table of 64 entries in natural order.

    Returns:
        1 to 100 where libjpeg gives just this table; else the negative of the quality whose table is nearest by mean absolute
        difference, the higher one of two that are as near.
    """
    found = np.asarray(table, dtype=np.int64)
    distances = np.minimum(*(np.abs(tables - found).sum(axis=1) for tables in _both_tables()))
    nearest = 100 - int(np.argmin(distances[::-1]))
    return nearest if distances[nearest - 1] == 0 else -nearest


@cache
def _both_tables() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return ijg_tables(255), ijg_tables(32767)
