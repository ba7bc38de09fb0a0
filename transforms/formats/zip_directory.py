"""The central directory of a zip archive: what its end says of it, and each of its entries as an archive of its own.

Python's ``zipfile`` reads a directory as a whole or not at all, and does not count the entries.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from causalprint.schemas.names import text_of
from causalprint.transforms.formats.parquet_footer import Fetch
from causalprint.transforms.storage.storage import RangeFile

ENTRY = b"PK\x01\x02"
_END, _END64, _LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_FORM, _END64_FORM, _LOCATOR64_FORM = "<4sHHHHIIH", "<4sQHHIIQQQQ", "<4sIQI"
_END_BYTES, _END64_BYTES, _LOCATOR64_BYTES = map(struct.calcsize, (_END_FORM, _END64_FORM, _LOCATOR64_FORM))
_ENTRY_BYTES = 46
_TAIL_BYTES = 64 * 1024 + _END_BYTES + _END64_BYTES + _LOCATOR64_BYTES


class Entry(NamedTuple):
    """One entry of a directory: its bytes, and of its member the name and the byte of the archive at which it begins."""

    data: bytes
    name: str
    offset: int


class Directory(NamedTuple):
    """Where a directory is, by the records at an archive's end (APPNOTE.TXT, sections 4.3.14 to 4.3.16).

    Attributes:
        fetch: bytes of the archive, from where to where.
        archive_bytes: of all of it.
        start, size: of the directory.
        shift: bytes before the archive, which its offsets do not count.
        total: members that it should list.
        is_large: whether ``total`` is told in full; else it is modulo 65,536, or no more than 65,535, as writers like.
    """

    fetch: Fetch
    archive_bytes: int
    start: int
    size: int
    shift: int
    total: int
    is_large: bool

    def counts(self, members: int) -> bool:
        """Whether these are all members that the archive's end counts."""
        return self.total == members if self.is_large else self.total in (members % 65_536, min(members, 65_535))

    def entries(self) -> Iterator[Entry]:
        """The entries in order, told apart by how they begin, since their lengths may be what is wrong."""
        data = self.fetch(self.start, self.start + self.size)
        at = data.find(ENTRY)
        while at >= 0 and at + _ENTRY_BYTES <= len(data):
            following = data.find(ENTRY, at + _ENTRY_BYTES)
            entry = data[at : following if following >= 0 else None]
            name_bytes, offset = struct.unpack("<28xH12xI", entry[:_ENTRY_BYTES])
            yield Entry(entry, text_of(entry[_ENTRY_BYTES : _ENTRY_BYTES + name_bytes]), offset + self.shift)
            at = following

    def alone(self, entry: Entry) -> RangeFile:
        """An archive of the same bytes whose directory lists this entry alone."""
        before, size = self.archive_bytes, len(entry.data)
        place = size, before - self.shift
        end64 = struct.pack(_END64_FORM, _END64, _END64_BYTES - 12, 45, 45, 0, 0, 1, 1, *place)
        locator = struct.pack(_LOCATOR64_FORM, _LOCATOR64, 0, before + size, 1)
        end = struct.pack(_END_FORM, _END, 0, 0, 1, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        tail = entry.data + end64 + locator + end

        def fetch(start: int, end: int) -> bytes:
            stored = self.fetch(start, min(end, before)) if start < before else b""
            return stored + tail[max(0, start - before) : max(0, end - before)]

        return RangeFile(fetch, before + len(tail))


def directory_of(fetch: Fetch, size: int) -> Directory | None:
    """The directory of an archive of ``size`` bytes; ``None`` where its end does not say."""
    first = max(0, size - _TAIL_BYTES)
    tail = fetch(first, size)
    at = len(tail) - _END_BYTES
    if tail[at : at + 4] != _END or tail[-2:] != b"\0\0":  # else there is a comment behind
        at = tail.rfind(_END)
    if at < 0 or at + _END_BYTES > len(tail):
        return None
    *_, total, directory_bytes, start, _ = struct.unpack(_END_FORM, tail[at : at + _END_BYTES])
    end, is_large = at, False
    at -= _LOCATOR64_BYTES + _END64_BYTES
    if at >= 0 and tail[at : at + 4] == _END64 and tail[at + _END64_BYTES :].startswith(_LOCATOR64):
        *_, total, directory_bytes, start = struct.unpack(_END64_FORM, tail[at : at + _END64_BYTES])
        end, is_large = at, True
    begins = first + end - directory_bytes
    return Directory(fetch, size, begins, directory_bytes, begins - start, total, is_large) if begins >= 0 else None
