"""Samples of more than 8 bits to 8, by what the image holds: no range is written in most files, and none is clipped."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras, scanners and converters give a sample."""
_ROWS = 256  # at once, so that a large image is never held twice


def integers_to_eight_bits(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Integers of any shape to 0 to 255, the lower bits lost.

    - Below 0: 32,768 is added where all then fit into 16 bits (signed samples), else the smallest is taken off.
    - As many bits as the least of :data:`DEPTHS` in which the largest fits (8 bits that were stored in 16 are as they are); else
      as many as it has. Where all are multiples of 256 or of 257, 8 bits were widened to 16, however dark they are.
    """
    if not samples.size:
        return samples.astype(np.uint8)
    smallest, largest = int(samples.min()), int(samples.max())
    offset = 0
    if smallest < 0:
        offset = 1 << 15 if smallest >= -(1 << 15) and largest < 1 << 15 else -smallest
        largest = max(largest + offset, 4096)  # a signed range is whole
    bits = next((bits for bits in DEPTHS if largest < 1 << bits), largest.bit_length())
    if largest >= 256 and bits < 16 and any(all(not (rows % step).any() for rows in _blocks(samples)) for step in (256, 257)):
        bits = 16
    found = np.empty(samples.shape, np.uint8)
    for rows, out in zip(_blocks(samples), _blocks(found), strict=True):
        out[...] = ((rows.astype(np.int64) + offset) if offset else rows) >> bits - 8
    return found


def floats_to_eight_bits(samples: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Floating point (H, W) to 0 to 255, rounded; what is not a number is 0, what is infinite the end of the range.

    White is 1 where the largest is at most 1; else the largest itself up to 2 (an overshoot), the white of the least of
    :data:`DEPTHS` in which it fits (255, 1,023, …, 65,535), and the largest itself above. Black is 0 where the smallest is above
    minus a tenth of white (an undershoot); else minus white where the smallest is not below that; else the smallest itself.
    """
    finite = [block[np.isfinite(block)] for block in _blocks(samples)]
    finite = [block for block in finite if block.size]
    smallest, largest = (float(min(b.min() for b in finite)), float(max(b.max() for b in finite))) if finite else (0.0, 1.0)
    whites = ((1.0, 1.0), (2.0, largest), *((float(1 << bits) - 0.5, float(1 << bits) - 1) for bits in DEPTHS))
    white = next((white for most, white in whites if largest <= most), largest)
    black = 0.0 if smallest >= -white / 10 else min(-white, smallest)
    grey = np.empty(samples.shape, np.uint8)
    for block, out in zip(_blocks(samples), _blocks(grey), strict=True):
        scaled = (block.astype(np.float64) - black) * (255 / (white - black))
        out[...] = np.rint(np.clip(np.nan_to_num(scaled, nan=0, posinf=255, neginf=0), 0, 255))
    return grey


def _blocks(rows: NDArray[Any]) -> list[NDArray[Any]]:
    return [rows[at : at + _ROWS] for at in range(0, len(rows), _ROWS)]
