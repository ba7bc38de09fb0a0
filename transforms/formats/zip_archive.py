"""Zip archives: members in the order of the central directory, at the archive's end, which alone says what there is.

Nothing is extracted; names are data.
"""

from __future__ import annotations

import io
import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from causalprint.schemas.config import MEBIBYTE, ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, ShardDamageError, Skipped
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.formats.items import Damage, Item, bounded, checked_image, too_large
from causalprint.transforms.formats.samples import Sidecar, group_samples
from causalprint.transforms.images.kinds import is_image_name, is_sidecar_name, looks_like_image
from causalprint.transforms.storage.storage import RangeFile, ShardSource

SUFFIXES = (".zip", ".cbz")
SNIFFED_BYTES = 64
LOCAL_BUFFER = 64 * 1024
CHUNKS = {zipfile.ZIP_STORED: MEBIBYTE, zipfile.ZIP_DEFLATED: MEBIBYTE}
"""Bytes asked of a member at once; of other methods few, since nothing else bounds what these become (150 MiB at most)."""
SMALL_CHUNK = 4096
UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


def read(source: ShardSource, options: ReadOptions) -> Iterator[Item]:
    """Every member of the archive, in the order of its central directory. The offset is that of the member's header.

    A member that is encrypted, or compressed in a way that Python cannot undo, is a reject. A member's CRC-32 is checked.

    Raises:
        ShardDamageError: there is no central directory, or a member is corrupt, after everything else was given. Or the
            connection broke (retryable).
    """
    damage = Damage()
    with _open(source, options) as archive:
        yield from group_samples(bounded(_entries(archive, options, damage), source.size, options, damage), options)
    damage.raise_if_any()


def read_one(source: ShardSource, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image ``member`` whose header is at byte ``offset``."""
    with _open(source, options) as archive:
        infos = (each for each in archive.file.infolist() if (each.header_offset, each.filename) == (offset, member))
        info = next(infos, None)
        item = _content(archive, info, options, Damage()) if info else None
        return item if isinstance(item, EncodedImage) else None


def is_zip(head: bytes) -> bool:
    """Whether ``head`` begins a zip archive, an empty one too."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


class _Archive(NamedTuple):
    """An open archive, the stored bytes below it, and where they come from."""

    source: ShardSource
    file: zipfile.ZipFile
    stored: RangeFile


class _UnreadableError(Exception):
    """A member that cannot be read, with the reason and a sentence."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@contextmanager
def _open(source: ShardSource, options: ReadOptions) -> Iterator[_Archive]:
    stored = source.file()
    buffered = io.BufferedReader(stored, LOCAL_BUFFER if source.is_local else options.block_bytes)
    try:
        file = zipfile.ZipFile(buffered)
    except UNREADABLE as error:
        stored.raise_failure()
        what = f"no central directory can be read from {source.size} bytes" if source.size else "the shard is an empty file"
        raise ShardDamageError(f"{what}, so none of its members can: {error}") from error
    with file:
        yield _Archive(source, file, stored)


def _entries(archive: _Archive, options: ReadOptions, damage: Damage) -> Iterator[Item | Sidecar]:
    infos = archive.file.infolist()
    first = min((info.header_offset for info in infos), default=archive.file.start_dir)
    if first > 0 and is_zip(archive.source.fetch(0, 4)):
        damage.note(f"bytes 0 to {first} are another archive before this one, whose central directory does not list them")
    for info in infos:
        yield _content(archive, info, options, damage)


def _content(archive: _Archive, info: zipfile.ZipInfo, options: ReadOptions, damage: Damage) -> Item | Sidecar:  # noqa: PLR0911
    name, offset = info.filename, info.header_offset
    if info.is_dir():
        return Skipped(name, offset)
    try:
        if is_sidecar_name(name):
            if info.file_size > options.max_sidecar_bytes:
                return Skipped(name, offset)
            return Sidecar(name, offset, _data(archive, info, info.file_size))
        if not is_image_name(name) and not looks_like_image(_data(archive, info, SNIFFED_BYTES)):
            return Skipped(name, offset)
        if stat.S_ISLNK(info.external_attr >> 16):
            return Reject(name, offset, Stage.READ, Reason.NO_BYTES, "a link has none")
        if info.file_size > options.max_encoded_bytes:
            return Reject(name, offset, Stage.READ, Reason.TOO_LARGE, too_large(info.file_size, options))
        return checked_image(name, offset, _data(archive, info, info.file_size), None, options)
    except _UnreadableError as error:
        if error.reason != Reason.UNSUPPORTED_FORMAT:
            damage.note(f"member {name!r} at byte {offset}: {error}")
        if is_sidecar_name(name):
            return Skipped(name, offset)
        return Reject(name, offset, Stage.READ, error.reason, str(error))


def _data(archive: _Archive, info: zipfile.ZipInfo, size: int) -> bytes:
    """The member's first ``size`` bytes; its checksum is checked where these are all.

    Raises:
        _UnreadableError: they cannot be had.
        ShardDamageError: retryable; the store did not give them.
    """
    if info.flag_bits & 1:
        raise _UnreadableError(Reason.UNSUPPORTED_FORMAT, "encrypted")
    chunk = CHUNKS.get(info.compress_type, SMALL_CHUNK)
    parts: list[bytes] = []
    left = size
    try:
        with archive.file.open(info) as member:
            while left > 0 and (part := member.read(min(left, chunk))):
                parts.append(part)
                left -= len(part)
    except NotImplementedError as error:
        raise _UnreadableError(Reason.UNSUPPORTED_FORMAT, f"compressed by method {info.compress_type}, {error}") from error
    except UNREADABLE as error:
        archive.stored.raise_failure()
        reason = Reason.TRUNCATED_MEMBER if isinstance(error, EOFError) else Reason.CORRUPT_RECORD
        raise _UnreadableError(reason, f"{type(error).__name__}: {error}") from error
    if left > 0 and size == info.file_size:
        raise _UnreadableError(Reason.TRUNCATED_MEMBER, f"{size - left} of {size} bytes are there")
    return b"".join(parts)
