"""A TIFF file's first directory (TIFF 6.0, section 2; BigTIFF too), read before Pillow reads it."""

from __future__ import annotations

import struct
from math import ceil
from struct import unpack_from
from typing import NamedTuple

from causalprint.transforms.images.headers import HOLE, Found

MAX_TAGS = 1_024
"""Cameras' raw files have some hundred."""
MAX_NUMBERS = 400_000
"""Of one tag: 89 megapixels in tiles of 16 x 16 have 350,000."""
MAX_SAMPLE_BYTES = 3 * 89_478_485
"""256 MiB, as of the largest image of 8 bits: samples of 32 bits are kept whole until they are converted."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TEXTS = (1, 2, 7)  # bytes, however many, are read as they are
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 254, 256, 257, 258, 259, 262, 277
_OFFSETS, _ROWS, _COUNTS, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 273, 278, 279, 284, 322, 323
_TILE_OFFSETS, _TILE_COUNTS, _FORMAT = 324, 325, 339
_REDUCED = 1  # bit 0 of the kind of subfile: a smaller copy of another image of the file
_CR2 = b"CR\2\0"
_FLAT_BYTES = 1_000
_USUAL = {
    _COMPRESSION: frozenset((1, 2, 3, 4, 5, 7, 8, 32773, 32946)),
    _PHOTOMETRIC: frozenset((0, 1, 2, 3, 5, 6, 8)),
    _PLANAR: frozenset((1,)),
}
_PLAIN = (1, 2, 3, 4, 32773)  # nothing, facsimile, run lengths
_WORDS = {_COMPRESSION: "compression", _PHOTOMETRIC: "photometric interpretation", _PLANAR: "planar configuration"}


class _Entry(NamedTuple):
    kind: int
    length: int
    at: int


class Directory:
    """The entries of a directory, the first by default; raises :class:`struct.error` where it goes beyond the file."""

    def __init__(self, data: bytes, start: int | None = None) -> None:
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"
        big = 43 in data[2:4]
        if start is None:
            (start,) = self._at("Q" if big else "I", 8 if big else 4)
        (self.number,) = self._at("Q" if big else "H", start)
        start += 8 if big else 2
        step, width = (20, 8) if big else (12, 4)
        self.entries: dict[int, _Entry] = {}
        self.value_bytes = self.most_numbers = 0
        for at in range(start, start + step * min(self.number, MAX_TAGS), step):
            tag, kind, count = self._at("HHQ" if big else "HHI", at)
            size = count * _SIZES.get(kind, 1)
            if size > width:
                (value,) = self._at("Q" if big else "I", at + step - width)
                there = max(0, min(size, len(data) - value))
                self.value_bytes += there
                if kind not in _TEXTS:
                    self.most_numbers = max(self.most_numbers, there // _SIZES.get(kind, 1))
            else:
                value = at + step - width
            self.entries.setdefault(tag, _Entry(kind, count, value))

    def numbers(self, tag: int, default: int, most: int = MAX_NUMBERS) -> list[int]:
        """The first values of a tag that are integers."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _INTEGERS:
            return [default]
        return [*self._at(f"{min(entry.length, most)}{_INTEGERS[entry.kind]}", entry.at)]

    def text(self, tag: int, most: int) -> bytes:
        """The first bytes of a tag that is text or any bytes; empty where it is not there."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _TEXTS:
            return b""
        return self.data[entry.at : entry.at + min(entry.length, most)]

    def number_of(self, tag: int, default: int) -> int:
        """The first of them."""
        return (self.numbers(tag, default, 1) or [default])[0]

    def _at(self, form: str, at: int) -> tuple[int, ...]:
        return unpack_from(self.order + form, self.data, at)


def read_tiff(data: bytes) -> Found:
    """What the first directory says of cost and of strips that are not there."""
    try:
        directory = Directory(data)
        if directory.number > MAX_TAGS:
            return Found(data, f"{directory.number:,} tags are more than {MAX_TAGS:,}")
        if directory.value_bytes > 2 * len(data):  # one broken tag may claim all
            return Found(data, f"its tags hold {directory.value_bytes:,} bytes in a file of {len(data):,}")
        if directory.most_numbers > MAX_NUMBERS:
            return Found(data, f"a tag of {directory.most_numbers:,} numbers is longer than {MAX_NUMBERS:,}")
        # Of plain samples Pillow reads just what it needs, and says where that is not there; zeros may be black.
        if _previews(directory):
            return Found(data, variant="its first picture is a preview of another, as in a camera's raw file")
        plain = directory.number_of(_COMPRESSION, 1) in _PLAIN
        costly = _costly_samples(directory) or _costly_parts(directory)
        missing = _unlisted(directory) or (None if plain or costly else _beyond(directory) or _hole(directory))
        return Found(data, costly, truncated=missing)
    except (struct.error, OverflowError, IndexError):
        return Found(data)


def tiff_ends_early(data: bytes) -> bool:
    """Whether the first directory, which often stands at a file's end, goes beyond it."""
    try:
        directory = Directory(data)
        return not directory.number or bool(_unlisted(directory) or _beyond(directory))
    except (struct.error, OverflowError):
        return True


def tiff_variant(data: bytes) -> str | None:
    """What is unusual in a TIFF file, in words; asked where it does not decode."""
    try:
        directory = Directory(data)
        if _WIDTH not in directory.entries:
            return None
        for tag, usual in _USUAL.items():
            if (value := directory.number_of(tag, 1)) not in usual:
                return f"{_WORDS[tag]} {value}"
        bits, samples = directory.numbers(_BITS, 1, 16), directory.number_of(_SAMPLES, 1)
        kind = {2: "signed", 3: "floating-point", 5: "complex integer", 6: "complex"}.get(directory.number_of(_FORMAT, 1), "")
        if kind or set(bits) - {8} or samples not in (1, 3, 4):
            return f"{samples} {kind} samples of {max(bits)} bits".replace("  ", " ")
    except (struct.error, OverflowError):
        pass
    return None


def _previews(directory: Directory) -> bool:
    """Whether what a decoder takes for the image is a smaller copy: in DNG, NEF and ARW, which say so, and in CR2."""
    return bool(directory.number_of(_SUBFILE, 0) & _REDUCED) or directory.data[8:12] == _CR2


def _costly_samples(directory: Directory) -> str | None:
    width, height = directory.number_of(_WIDTH, 0), directory.number_of(_HEIGHT, 0)
    bits, samples = max(directory.numbers(_BITS, 1, 16)), directory.number_of(_SAMPLES, 1)
    if bits > 16 and width * height * samples * (bits // 8) > MAX_SAMPLE_BYTES:
        return f"{width} x {height} pixels of {samples * bits} bits are more than {MAX_SAMPLE_BYTES:,} bytes"
    return None


def _costly_parts(directory: Directory) -> str | None:
    """Strips or tiles may share bytes, as those of one colour do, but not all of them all bytes."""
    together = sum(end - begin for begin, end in _parts(directory) if end <= len(directory.data))
    if together > 2 * len(directory.data) + MAX_SAMPLE_BYTES:
        return f"its strips or tiles have {together:,} bytes in a file of {len(directory.data):,}"
    return None


def _unlisted(directory: Directory) -> str | None:
    """Whether its lists of strips or tiles are too short for the size that it declares."""
    width, height = directory.number_of(_WIDTH, 0), directory.number_of(_HEIGHT, 0)
    if tiled := _TILE_OFFSETS in directory.entries:
        across, down = directory.number_of(_TILE_WIDTH, 0), directory.number_of(_TILE_HEIGHT, 0)
        needed = ceil(width / across) * ceil(height / down) if across and down else 0
    else:
        needed = ceil(height / max(1, min(height, directory.number_of(_ROWS, height))))
    if directory.number_of(_PLANAR, 1) != 1:
        needed *= directory.number_of(_SAMPLES, 1)
    offsets = directory.numbers(_TILE_OFFSETS if tiled else _OFFSETS, 0)
    if len(offsets) < min(needed, MAX_NUMBERS):
        return f"{len(offsets):,} of {needed:,} strips or tiles are listed"
    return None


def _beyond(directory: Directory) -> str | None:
    """Whether a strip or tile goes beyond the end of the file."""
    for begin, end in _parts(directory):
        if end > len(directory.data):
            return f"a strip or tile of {end - begin:,} bytes goes beyond the end"
    return None


def _hole(directory: Directory) -> str | None:
    """Zeros in coded strips or tiles; deflate makes a byte of 1,032 that are alike."""
    width, height, samples = (directory.number_of(tag, 1) for tag in (_WIDTH, _HEIGHT, _SAMPLES))
    hole = bytes(HOLE + width * height * samples // _FLAT_BYTES) if width * height * samples < MAX_SAMPLE_BYTES else b""
    holes = bool(hole) and any(directory.data.find(hole, begin, end) >= 0 for begin, end in _parts(directory))
    return f"{len(hole):,} zero bytes and more stand where pixels should" if holes else None


def _parts(directory: Directory) -> list[tuple[int, int]]:
    """Where each strip or tile, whose length is given, begins and ends."""
    tiled = _TILE_OFFSETS in directory.entries
    offsets = directory.numbers(_TILE_OFFSETS if tiled else _OFFSETS, 0)
    counts = directory.numbers(_TILE_COUNTS if tiled else _COUNTS, 0)
    return [(offset, offset + count) for offset, count in zip(offsets, counts, strict=False)]
