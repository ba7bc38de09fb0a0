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
from typing import NamedTuple

from causalprint.schemas.config import MEBIBYTE, ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, Skipped
from causalprint.schemas.names import text_of
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.faults import raise_foreign, told, unforeseen
from causalprint.transforms.formats.items import (
    LARGE_SIDECAR,
    Damage,
    Item,
    bounded,
    checked_image,
    lost,
    nothing_read,
    too_large,
    unparsed,
)
from causalprint.transforms.formats.samples import Sidecar, group_samples
from causalprint.transforms.formats.tar_index import target_of
from causalprint.transforms.formats.zip_directory import Directory, directory_of
from causalprint.transforms.images.kinds import is_image_name, is_sidecar_name, looks_like_image
from causalprint.transforms.storage.storage import RangeFile, ShardSource

SUFFIXES = (".zip", ".cbz")
SNIFFED_BYTES = 512
LOCAL_BUFFER = 64 * 1024
CHUNKS = {zipfile.ZIP_STORED: MEBIBYTE, zipfile.ZIP_DEFLATED: MEBIBYTE}
"""Bytes asked of a member at once; of other methods few, since nothing else bounds what these become (150 MiB at most)."""
SMALL_CHUNK = 4096
MAX_LINKS = 8
"""That lead to each other before a member."""
MAX_LINK = 4096
"""Bytes of the name that a link leads to."""
UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


def read(source: ShardSource, options: ReadOptions) -> Iterator[Item]:
    """Every member of the archive, in the order of its central directory. The offset is that of the member's header.

    A member that is encrypted, or compressed in a way that Python cannot undo, is a reject; so is one whose entry in the
    directory cannot be read. A member's CRC-32 is checked, and their number. A link is the member that it leads to.

    Raises:
        ShardDamageError: there is no central directory, or a member, an entry or what a link leads to is corrupt or missing,
            after everything else was given. Or the connection broke (retryable).
    """
    damage = Damage()
    entries = _entries(_Archive(source, options), options, damage)
    yield from group_samples(bounded(entries, source.size, options, damage), options, damage)
    damage.raise_if_any()


def read_one(source: ShardSource, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image ``member`` whose header is at byte ``offset``."""
    for each in _Archive(source, options).members(Damage()):
        if isinstance(each, _Member) and (each.info.header_offset, each.info.filename) == (offset, member):
            item = _content(each, options, Damage())
            return item if isinstance(item, EncodedImage) else None
    return None


def is_zip(head: bytes) -> bool:
    """Whether ``head`` begins a zip archive, an empty one too."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


class _Member(NamedTuple):
    """A member: what the directory says of it, the open archive, and the stored bytes below that."""

    info: zipfile.ZipInfo
    file: zipfile.ZipFile
    stored: RangeFile


class _UnreadableError(Exception):
    """A member that cannot be read, with the reason and a sentence."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class _Archive:
    """An archive, opened as a whole, or entry by entry where one makes the whole unreadable."""

    def __init__(self, source: ShardSource, options: ReadOptions) -> None:
        self._source = source
        self._buffer_bytes = LOCAL_BUFFER if source.is_local else options.block_bytes

    def members(self, damage: Damage) -> Iterator[_Member | Item]:
        """The members in the order of the directory; what is wrong with that goes to ``damage``."""
        directory = directory_of(self._source.fetch, self._source.size)
        stored = self._source.file()
        try:
            file = self._open(stored, directory)
        except Exception as error:
            raise_foreign(error)
            if directory is None:
                raise nothing_read(self._source, "central directory", "zip", "members", told(error)) from error
            damage.note(f"the central directory cannot be read as a whole ({told(error)})")
            yield from self._one_by_one(directory, damage)
            return
        with file:
            infos = file.infolist()
            first = min((info.header_offset for info in infos), default=file.start_dir)
            if first > 0 and is_zip(self._source.fetch(0, 4)):
                what = "another archive before this one, whose central directory does not list them"
                damage.note(f"bytes 0 to {first} are {what}")
            yield from (_Member(info, file, stored) for info in infos)

    def _one_by_one(self, directory: Directory, damage: Damage) -> Iterator[_Member | Item]:
        for entry in directory.entries():
            stored = directory.alone(entry)
            try:
                file = self._open(stored)
                (info,) = file.infolist()
            except Exception as error:  # noqa: BLE001 - whatever an entry makes it raise costs that member alone
                raise_foreign(error)
                why = told(error) if isinstance(error, UNREADABLE) else unforeseen(error)
                damage.note(f"the directory's entry of member {entry.name!r} could not be read ({why})")
                yield lost(entry.name, entry.offset, Reason.CORRUPT_HEADER, f"its entry in the directory: {why}")
                continue
            with file:
                yield _Member(info, file, stored)

    def _open(self, stored: RangeFile, directory: Directory | None = None) -> zipfile.ZipFile:
        try:
            file = zipfile.ZipFile(io.BufferedReader(stored, self._buffer_bytes))
        except Exception:
            stored.raise_failure()
            raise
        if directory and not directory.counts(len(file.infolist())):
            raise zipfile.BadZipFile(f"{directory.total} members are counted, {len(file.infolist())} listed")
        return file


def _entries(archive: _Archive, options: ReadOptions, damage: Damage) -> Iterator[Item | Sidecar]:
    for each in archive.members(damage):
        yield _content(each, options, damage) if isinstance(each, _Member) else each


def _content(member: _Member, options: ReadOptions, damage: Damage) -> Item | Sidecar:
    """What a member is; of a link, what the member is that it leads to."""
    name, offset = member.info.filename, member.info.header_offset
    try:
        if name.endswith("/"):
            return Skipped(name, offset)
        target = _target(member)
        return _leads_nowhere(name, offset, damage) if target is None else _read(target, name, offset, options)
    except _UnreadableError as error:
        if error.reason != Reason.UNSUPPORTED_FORMAT:
            damage.note(f"member {name!r} at byte {offset}: {error}")
        return lost(name, offset, error.reason, str(error))
    except Exception as error:  # noqa: BLE001 - whatever a member makes it raise costs that member alone
        return unparsed(name, offset, error, damage)


def _read(member: _Member, name: str, offset: int, options: ReadOptions) -> Item | Sidecar:
    size = member.info.file_size
    if is_sidecar_name(name):
        too_long = size > options.max_sidecar_bytes
        return Skipped(name, offset, LARGE_SIDECAR) if too_long else Sidecar(name, offset, _data(member, size))
    if not is_image_name(name) and not looks_like_image(head := _data(member, SNIFFED_BYTES)):
        return Skipped(name, offset, head=head)
    if size > options.max_encoded_bytes:
        return Reject(name, offset, Stage.READ, Reason.TOO_LARGE, too_large(size, options))
    return checked_image(name, offset, _data(member, size), None, options)


def _target(member: _Member) -> _Member | None:
    """The member; of a symbolic link, whose content is a name, the one that it leads to, and ``None`` where there is none."""
    for _ in range(MAX_LINKS):
        info = member.info
        if not stat.S_ISLNK(info.external_attr >> 16):
            return member
        if info.file_size > MAX_LINK:
            return None
        link = text_of(_data(member, info.file_size))
        target = member.file.NameToInfo.get(target_of(info.filename, link, symbolic=True))
        if target is None:
            return None
        member = member._replace(info=target)
    return None


def _leads_nowhere(name: str, offset: int, damage: Damage) -> Reject | Skipped:
    """A link to what is not in the archive: damage where it is called like an image."""
    if not is_image_name(name):
        return Skipped(name, offset)
    damage.note(f"member {name!r} at byte {offset} has no bytes: it is a link to what is not in the shard")
    return Reject(name, offset, Stage.READ, Reason.NO_BYTES, "a link to what is not in the shard has none")


def _data(member: _Member, size: int) -> bytes:
    """The member's first ``size`` bytes; its checksum is checked where these are all.

    Raises:
        _UnreadableError: they cannot be had.
        ShardDamageError: retryable; the store did not give them.
    """
    info = member.info
    if info.flag_bits & 1:
        raise _UnreadableError(Reason.UNSUPPORTED_FORMAT, "encrypted: unpack the archive with its password, and give the files")
    if info.file_size == info.compress_size == 0:
        return b""
    chunk = CHUNKS.get(info.compress_type, SMALL_CHUNK)
    parts: list[bytes] = []
    left = size
    try:
        with member.file.open(info) as opened:
            while left > 0 and (part := opened.read(min(left, chunk))):
                parts.append(part)
                left -= len(part)
    except Exception as error:
        member.stored.raise_failure()
        raise_foreign(error)
        if isinstance(error, NotImplementedError):
            detail = f"compressed by method {info.compress_type}, {error}: pack the archive anew by another (deflate)"
            raise _UnreadableError(Reason.UNSUPPORTED_FORMAT, detail) from error
        if not isinstance(error, UNREADABLE):
            raise
        reason = Reason.TRUNCATED_MEMBER if isinstance(error, EOFError) else Reason.CORRUPT_RECORD
        raise _UnreadableError(reason, told(error)) from error
    if left > 0 and size == info.file_size:
        raise _UnreadableError(Reason.TRUNCATED_MEMBER, f"{size - left} of {size} bytes are there")
    return b"".join(parts)
