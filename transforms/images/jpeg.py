"""A JPEG file's segments and scans (ISO/IEC 10918-1, annex B), read before it is decoded: what it costs, and whether it is whole.

libjpeg fills in what a file lacks and says nothing: where the coded data of a scan end, zeros stand for the rest. So each scan
is followed here by :data:`ENDS` of ones, which no code begins with, and given to libjpeg up to there. Of a scan that is whole it
needs no more of them than it reads ahead, and passes over the rest; one that is not keeps some of them, and waits for more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from causalprint.schemas.config import MEBIBYTE
from causalprint.transforms.images.headers import HOLE, Found

MAX_SEGMENTS = 4_096
"""Segments that are no scans: a profile has up to 255, extended XMP of 64 MiB 1,000; libjpeg reads each one for itself."""
MAX_SCANS = 100
"""libjpeg writes 10, optimisers up to 20. Each one runs over the whole image, whatever its length."""
MAX_SCANNED_PIXELS = 1_000_000_000
"""Scans times pixels: a progressive file of 89 megapixels may have 11 scans, and takes seconds."""
HOLE_AT_END = 16
"""As many at a scan's end are padding or one: a scan ends in ones. The pixels must be there without them."""
SURPLUS = 256
"""So many bytes, and more, that no coefficient is read from are no padding but a scan that went wrong before."""
ENDS = b"\xff\0" * 8
"""Ones, as many as libjpeg reads ahead: 64 bits."""
MORE_ENDS = (b"\xff\0",) * 4
"""Given one by one behind these where other scans follow: what waits for more keeps one of them at least."""

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
_SOI, _EOI, _SOS, _DHT, _DRI, _APP0, _APP1, _APP14, _COM = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD, 0xE0, 0xE1, 0xEE, 0xFE
LONE = frozenset((0x00, 0x01, _SOI, *range(0xD0, 0xD8)))  # no length follows
_FRAMES = frozenset((*range(0xC0, 0xD0), 0xF7)) - {_DHT, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2
_READ = (0xC0, 0xC1, _PROGRESSIVE)
_VARIANTS = {
    **dict.fromkeys((0xC3, 0xC7), "lossless"),
    **dict.fromkeys((0xC5, 0xC6), "hierarchical"),
    **dict.fromkeys((0xC9, 0xCA), "arithmetic coding"),
    **dict.fromkeys((0xCB, 0xCD, 0xCE, 0xCF), "arithmetic coding, lossless or hierarchical"),
    0xF7: "JPEG-LS",
}
_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_FILL = re.compile(rb"\xff*")
_HOLE_FOUND = "zero bytes stand where coefficients should"


class Scan(NamedTuple):
    """One scan: components ``[(id, DC table, AC table)]``, coefficients ``first`` to ``last`` down to bit ``low``."""

    components: list[tuple[int, int, int]]
    first: int
    last: int
    high: int
    low: int
    interval: int
    begin: int
    end: int
    coefficients: bool
    """Whether zero bits are codes of coefficients there, and not of nothing."""


class Jpeg(NamedTuple):
    """What :func:`read_jpeg` found.

    Attributes:
        found: as of every format; its ``data`` are all up to the first scan.
        size: width and height, in pixels.
        single: whether one scan holds all.
        parts: the rest, to be decoded one by one. Of a single scan, all but its end; then its end, with :data:`ENDS` in place of
            an end mark: where the pixels are whole before that, it is surplus, and where they are not with it, the file is cut.
            Of several, each with :data:`ENDS`, then :data:`MORE_ENDS`; at last the end mark: where any of what comes before that
            is left, a scan is cut.
    """

    found: Found
    size: tuple[int, int]
    single: bool
    parts: list[bytes | memoryview]


class _Segments:
    """Walks a file once."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.kept = [b"\xff\xd8"]
        self.scans: list[Scan] = []
        self.frame = b""
        self.frame_marker = 0
        self.interval = 0
        self.number = 0
        self._first: dict[int, int] = {}  # of a Huffman table, by class and number: what its first code means
        self._seen: set[int] = set()
        self.end = self._walk()

    @property
    def size(self) -> tuple[int, int]:
        return int.from_bytes(self.frame[3:5], "big"), int.from_bytes(self.frame[1:3], "big")

    @property
    def sampling(self) -> list[tuple[int, int, int]]:
        """Of each component its number, and how often it is sampled across and down."""
        parts = (self.frame[at : at + 3] for at in range(6, len(self.frame) - 2, 3))
        return [(part[0], part[1] >> 4 or 1, part[1] & 15 or 1) for part in parts]

    def _walk(self) -> int:
        """Returns where the end mark stands, or should."""
        data, at = self.data, 2
        while self.number <= MAX_SEGMENTS and len(self.scans) <= MAX_SCANS:
            at = data.find(b"\xff", at)
            if at < 0:
                return len(data)
            at = _after_fill(data, at)
            marker = data[at] if at < len(data) else _EOI
            if marker == _EOI:
                return min(at - 1, len(data))
            self.number += 1
            if marker in LONE:
                at += 1
                continue
            end = at + 1 + max(2, int.from_bytes(data[at + 1 : at + 3], "big"))
            at = self._segment(marker, at - 1, end)
            if marker == _SOS and len(self.scans) == 1 and self.is_single():
                return at
        return at

    def is_single(self) -> bool:
        """Whether the first scan holds all components, each whole."""
        return self.frame_marker != _PROGRESSIVE and len(self.scans[0].components) >= len(self.sampling)

    def _segment(self, marker: int, begin: int, end: int) -> int:
        data = self.data
        body = data[begin + 4 : end]
        if marker == _SOS:
            self.number -= 1
            if not self.scans:
                self.kept.append(data[begin:end])
            return self._scan(body, end)
        if marker in _FRAMES and not self.frame and 6 <= len(body) == end - begin - 4:
            self.frame, self.frame_marker = body, marker
        elif marker == _DRI:
            self.interval = int.from_bytes(body[:2], "big")
        elif marker == _DHT:
            self._tables(body)
        if not self.scans and self._is_kept(marker, body):
            self.kept.append(data[begin:end])
        return end

    def _is_kept(self, marker: int, body: bytes) -> bool:
        """Texts, profiles, previews and what cameras note are left out: only these say how pixels are meant."""
        if marker != _COM and not _APP0 <= marker <= 0xEF:
            return True
        says = marker in (_APP0, _APP14) or (marker == _APP1 and body.startswith(b"Exif\0\0"))
        if not says or marker in self._seen:
            return False
        self._seen.add(marker)
        return True

    def _tables(self, body: bytes) -> None:
        at = 0
        while at + 17 <= len(body):
            codes = sum(body[at + 1 : at + 17])
            if codes and at + 17 < len(body):
                self._first[body[at]] = body[at + 17]
            at += 17 + codes

    def _scan(self, body: bytes, end: int) -> int:
        data = self.data
        count = body[0] if body else 0
        components = [
            (part[0], part[1] >> 4, part[1] & 15) for at in range(count) if len(part := body[1 + 2 * at : 3 + 2 * at]) == 2
        ]
        first, last, bits = (*body[1 + 2 * count : 4 + 2 * count], 0, 0, 0)[:3]
        mark = _SCAN_END.search(data, end)
        stop = mark.start() if mark else len(data)
        if self.frame_marker == _PROGRESSIVE:
            coefficients = first > 0
        else:
            coefficients = any(self._first.get(0x10 | table, 0) & 15 for _, _, table in components)
        self.scans.append(Scan(components, first, last, bits >> 4, bits & 15, self.interval, end, stop, coefficients))
        return stop


def read_jpeg(data: bytes) -> Jpeg:
    """What a JPEG file says before it is decoded."""
    file = _Segments(data)
    head = b"".join(file.kept)
    found = Found(head, _cost(file), _variant(file) if file.frame else None)
    if not file.scans:
        return Jpeg(found, file.size, False, [])
    if file.is_single():
        scan = file.scans[0]
        end = _end_of_codes(data, scan) if scan.coefficients else scan.end
        hole = _HOLE_FOUND if scan.coefficients and data.find(bytes(HOLE), scan.begin, end) >= 0 else None
        ends = ENDS if scan.end < len(data) or end < scan.end else b""  # without a mark the file is cut, and the decoder says so
        last = max(scan.begin, end - SURPLUS)
        parts: list[bytes | memoryview] = [memoryview(data)[scan.begin : last], data[last:end] + ends]
        return Jpeg(found._replace(truncated=hole, damaged=_restarts(file)), file.size, True, parts)
    hole = _HOLE_FOUND if any(scan.coefficients and _has_hole(data, scan) for scan in file.scans) else None
    parts, at = [], file.scans[0].begin
    for scan in file.scans:
        parts += [data[at : scan.end] + ENDS, *MORE_ENDS]
        at = scan.end
    parts.append(data[at : file.end + 2])
    damaged = _restarts(file) or _missing_bits(file)
    return Jpeg(found._replace(truncated=hole, damaged=damaged), file.size, False, parts)


@cache
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
    distances = np.minimum(*(np.abs(tables - found).sum(axis=1) for tables in (ijg_tables(255), ijg_tables(32767))))
    nearest = 100 - int(np.argmin(distances[::-1]))
    return nearest if distances[nearest - 1] == 0 else -nearest


def _cost(file: _Segments) -> str | None:
    """Why it would cost too much."""
    if file.number > MAX_SEGMENTS:
        return f"more than {MAX_SEGMENTS:,} segments"
    scans, (width, height) = len(file.scans), file.size
    if scans > MAX_SCANS:
        return f"more than {MAX_SCANS} scans"
    if scans > 1 and scans * width * height > MAX_SCANNED_PIXELS:
        return f"{scans} scans of {width} x {height} pixels"
    return None


def _variant(file: _Segments) -> str | None:
    """What of the file this decoder lacks."""
    precision, components = file.frame[0], len(file.sampling)
    if file.frame_marker not in _READ:
        return _VARIANTS.get(file.frame_marker, "an unknown process")
    if precision != 8:
        return f"{precision}-bit samples"
    if file.size[1] == 0 and file.size[0]:
        return "its height stands behind the scan (DNL)"
    return None if components in (0, 1, 3, 4) else f"{components} components"


def _restarts(file: _Segments) -> str | None:
    """What is wrong with the restart markers: where one is missing, pixels are from elsewhere or invented."""
    width, height = file.size
    sampling = {number: (across, down) for number, across, down in file.sampling}
    most = tuple(max((part[side] for part in sampling.values()), default=1) for side in (0, 1))
    for scan in file.scans:
        if len(scan.components) == 1:  # blocks of that component alone
            part = sampling.get(scan.components[0][0], most)
            across, down = (8 * whole / own for whole, own in zip(most, part, strict=True))
        else:
            across, down = 8 * most[0], 8 * most[1]
        units = ceil(width / across) * ceil(height / down)
        expected = max(0, ceil(units / scan.interval) - 1) if scan.interval else 0
        count = len(_RESTART.findall(file.data, scan.begin, scan.end)) if scan.interval else 0
        if count != expected:
            return f"{count:,} restart markers where {expected:,} should stand"
    return None


def _missing_bits(file: _Segments) -> str | None:
    """Whether scans that would complete a coefficient are not there: a file that is cut between two scans, or meant so."""
    lowest: dict[tuple[int, int], int] = {}
    for scan in file.scans:
        for component, _, _ in scan.components:
            for coefficient in range(scan.first, min(scan.last, 63) + 1):
                lowest[component, coefficient] = scan.low
    if file.frame_marker != _PROGRESSIVE:
        missing = {part[0] for part in file.sampling} - {component for component, _ in lowest}
        return f"no scan of {len(missing)} of {len(file.sampling)} components" if missing else None
    whole = all(lowest.get((part[0], coefficient)) == 0 for part in file.sampling for coefficient in range(64))
    return None if whole else "its scans end before the last bits of all coefficients"


def _end_of_codes(data: bytes, scan: Scan) -> int:
    """Where the zeros begin that fill up the end of a scan, or the scan's end."""
    end, zeros = scan.end, bytes(MEBIBYTE)
    if end - scan.begin <= HOLE_AT_END or not data.endswith(zeros[:HOLE_AT_END], scan.begin, end):
        return end
    while data.endswith(zeros, scan.begin, end):
        end -= len(zeros)
    start = max(scan.begin, end - len(zeros))
    return start + len(data[start:end].rstrip(b"\0"))


def _has_hole(data: bytes, scan: Scan) -> bool:
    tail = data[max(scan.begin, scan.end - HOLE_AT_END) : scan.end]
    return (len(tail) == HOLE_AT_END and not tail.strip(b"\0")) or data.find(bytes(HOLE), scan.begin, scan.end) >= 0


def _after_fill(data: bytes, at: int) -> int:
    fill = _FILL.match(data, at)
    return fill.end() if fill else at
