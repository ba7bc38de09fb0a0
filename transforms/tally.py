"""How workers of one machine tell the command line how far they are: records appended to one file in a temporary folder."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

FILE = "tally"
_RECORD = struct.Struct("<7q")


class Tally(NamedTuple):
    """What was done; tallies add up.

    Attributes:
        images: images computed or rejected by this run.
        rejects: those of them that were rejected.
        encoded_bytes: their encoded bytes.
        kept: images that an earlier run had committed.
        shards: shards that are done with.
        shard_bytes: bytes of those shards.
        kept_bytes: bytes of those of them that an earlier run had done.
    """

    images: int = 0
    rejects: int = 0
    encoded_bytes: int = 0
    kept: int = 0
    shards: int = 0
    shard_bytes: int = 0
    kept_bytes: int = 0

    def plus(self, other: Tally) -> Tally:
        """The sum, field by field."""
        return Tally(*(mine + its for mine, its in zip(self, other, strict=True)))


def tally(
    folder: str | None,
    *,
    images: int = 0,
    rejects: int = 0,
    encoded_bytes: int = 0,
    kept: int = 0,
    shards: int = 0,
    shard_bytes: int = 0,
    kept_bytes: int = 0,
) -> None:
    """Add to the count that the command line watches; see :class:`Tally` for the fields.

    One append of one small record, which the kernel keeps whole between processes and threads. Does nothing where nobody
    watches (``None``), and nothing once the folder is gone: a lost count must not stop work.
    """
    if folder is None:
        return
    record = _RECORD.pack(*Tally(images, rejects, encoded_bytes, kept, shards, shard_bytes, kept_bytes))
    try:
        descriptor = os.open(Path(folder) / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        return
    try:
        os.write(descriptor, record)
    finally:
        os.close(descriptor)


def read_tally(folder: str, offset: int = 0) -> tuple[Tally, int]:
    """The sum of the whole records from byte ``offset`` on, and the offset of the first that was not read yet."""
    try:
        with (Path(folder) / FILE).open("rb") as stream:
            stream.seek(offset)
            data = stream.read()
    except FileNotFoundError:
        return Tally(), offset
    whole = len(data) - len(data) % _RECORD.size
    total = Tally()
    for record in _RECORD.iter_unpack(data[:whole]):
        total = total.plus(Tally(*record))
    return total, offset + whole
