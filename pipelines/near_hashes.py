"""All pairs of perceptual hashes within a Hamming distance, exactly, without comparing each with each.

Two hashes of 64 bits that differ in at most d bits agree in one of four blocks of 16 bits up to floor(d / 4) bits, since four
blocks that all differ in more have more between them (the pigeonhole principle). So each listed hash is looked up, block by
block, by every value that is that near, and only what is found there is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

BLOCKS, BITS = 4, 16
MOST = 11
"""The largest distance: beyond it as many hashes are near by chance as for a reason, and values to look up become thousands."""
PROBES = 6_000_000
"""Values that are looked up at once."""


def near_pairs(
    sql: Callable[[str], pa.Table], add: Callable[[str, pa.Table], None], images: str, listed: Sequence[str], within: int
) -> pa.Table:
    """The pairs ``listed``, ``phash`` (one of the images') and ``distance`` in bits, each once.

    Args:
        sql: the rows of a query of DuckDB's.
        add: has queries find rows under a name, which it may replace.
        images: SQL that gives a column ``phash`` of 16 hexadecimal digits, or null.
        listed: different hashes, 16 hexadecimal digits each.
        within: bits, 0 to :data:`MOST`.
    """
    import pyarrow as pa

    add("known", sql(f"SELECT DISTINCT phash, ('0x' || phash)::UBIGINT AS number FROM ({images}) WHERE phash IS NOT NULL"))  # noqa: S608
    found = []
    for probed in _probes(listed, within):
        add("probed", probed)
        found.append(sql(_query(within)))
    return pa.concat_tables(found)


def _query(within: int) -> str:
    part = f"((number >> ({BITS} * ({BLOCKS - 1} - block))) & 65535)::USMALLINT"
    return f"""
        WITH parts AS (SELECT phash, number, block::UTINYINT AS block, {part} AS part FROM known, range({BLOCKS}) blocks(block)),
             pairs AS (
                SELECT DISTINCT probed.number AS sought, phash, bit_count(xor(parts.number, probed.number))::INTEGER AS distance
                FROM parts JOIN probed USING (block, part)
             )
        SELECT printf('%016x', sought) AS listed, phash, distance FROM pairs WHERE distance <= {within}
    """  # noqa: S608 - numbers


def _probes(listed: Sequence[str], within: int) -> Iterator[pa.Table]:
    """What to look up: `number`, a listed hash, and a `part` of 16 bits of its `block`, 0 to 3 from the first digits."""
    import pyarrow as pa

    flips = [sum(1 << bit for bit in bits) for count in range(within // BLOCKS + 1) for bits in combinations(range(BITS), count)]
    shifts = np.array([BITS * (BLOCKS - 1 - block) for block in range(BLOCKS)], np.uint64)
    together = PROBES // (BLOCKS * len(flips))
    for start in range(0, len(listed), together):
        numbers = np.array([int(text, 16) for text in listed[start : start + together]], np.uint64)
        parts = (numbers[:, None] >> shifts & np.uint64(0xFFFF))[..., None] ^ np.array(flips, np.uint64)
        number = np.broadcast_to(numbers[:, None, None], parts.shape).ravel()
        block = np.broadcast_to(np.arange(BLOCKS, dtype=np.uint8)[:, None], parts.shape).ravel()
        yield pa.table({"number": number, "block": block, "part": parts.ravel().astype(np.uint16)})
