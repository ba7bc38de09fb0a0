"""All pairs of perceptual hashes within a Hamming distance, exactly, without comparing each with each.

Two hashes of 64 bits that differ in at most d bits agree in one of four blocks of 16 bits up to floor(d / 4) bits, since four
blocks that all differ in more have more between them (the pigeonhole principle). So each listed hash is looked up, block by
block, by every value that is that near, and only what is found there is compared.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

BLOCKS, BITS = 4, 16
MOST = 11
"""The largest distance: beyond it as many hashes are near by chance as for a reason, and values to look up become thousands."""


def probes(hashes: list[str], within: int) -> pa.Table:
    """What to look up for each hash: columns ``phash``, ``block`` (0 to 3, from the first digits) and ``part`` (of 16 bits).

    Args:
        hashes: 16 hexadecimal digits each.
        within: bits, 0 to :data:`MOST`.
    """
    import pyarrow as pa

    flips = [sum(1 << bit for bit in bits) for count in range(within // BLOCKS + 1) for bits in combinations(range(BITS), count)]
    numbers = np.array([int(text, 16) for text in hashes], np.uint64)
    shifts = np.array([BITS * (BLOCKS - 1 - block) for block in range(BLOCKS)], np.uint64)
    parts = (numbers[:, None] >> shifts & np.uint64(0xFFFF))[..., None] ^ np.array(flips, np.uint64)
    blocks = np.broadcast_to(np.arange(BLOCKS, dtype=np.uint8)[:, None], parts.shape)
    which = np.broadcast_to(np.arange(len(hashes))[:, None, None], parts.shape)
    return pa.table(
        {
            "phash": pa.array(hashes, pa.string()).take(pa.array(which.ravel())),
            "block": blocks.ravel(),
            "part": parts.ravel().astype(np.uint16),
        }
    )


def near_query(images: str, probed: str, within: int) -> str:
    """SQL for pairs ``listed``, ``phash`` (one of the images') and ``distance`` in bits, each pair once.

    Args:
        images: a relation with column ``phash``.
        probed: one with the columns of :func:`probes`.
        within: as there.
    """
    part = f"((number >> ({BITS} * ({BLOCKS - 1} - block))) & 65535)::USMALLINT"
    return f"""
        WITH known AS (SELECT DISTINCT phash, ('0x' || phash)::UBIGINT AS number FROM {images} WHERE phash IS NOT NULL),
             parts AS (SELECT phash, number, block::UTINYINT AS block, {part} AS part FROM known, range({BLOCKS}) blocks(block)),
             pairs AS (
                SELECT DISTINCT probed.phash AS listed, parts.phash AS phash,
                       bit_count(xor(parts.number, ('0x' || probed.phash)::UBIGINT)) AS distance
                FROM parts JOIN {probed} probed USING (block, part)
             )
        SELECT listed, phash, distance FROM pairs WHERE distance <= {within}
    """  # noqa: S608 - names of our own
