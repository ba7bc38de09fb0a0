"""The members of a tar, read block by block.

Python's ``tarfile`` ends without an error where a shard is cut at a member's boundary or inside a header, and where one byte of
a header is wrong. This reader believes only what is checked: every header by its checksum, the end by its two zero blocks and by
the object's size. Behind a header that fails it looks for the next good one, on 512-byte boundaries, and goes on.
Nothing is extracted; names are data.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, Skipped
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.faults import raise_foreign, unforeseen
from causalprint.transforms.formats.items import LARGE_SIDECAR, Damage, Item, lost, too_large, unparsed
from causalprint.transforms.formats.samples import Sidecar
from causalprint.transforms.formats.tar_headers import (
    BLOCK,
    DATALESS_KINDS,
    EXTENDED_KINDS,
    FOLDER,
    LINK_KINDS,
    MAX_PLAIN_SIZE,
    SPARSE_KIND,
    SPECIAL_KINDS,
    SYMBOLIC_LINK,
    ZERO_BLOCK,
    Extended,
    Header,
    decode_name,
    describes_next,
    guess_name,
    parse_header,
)
from causalprint.transforms.formats.tar_index import TarIndex, target_of
from causalprint.transforms.formats.tar_pax import PaxError, read_pax
from causalprint.transforms.images.kinds import (
    image_format,
    is_image_name,
    is_other_name,
    is_sidecar_name,
    looks_like_image,
    other_format,
)
from causalprint.transforms.storage.streams import Stream

MAX_NAME_READ = 1024 * 1024
SNIFFED_BYTES = 512
MAX_PADDING = 1024 * 1024
"""Zeros at the end: of two blocks and what fills a record, which has 10 KiB, and of the tapes of some 1 MiB."""
FEW_BYTES = 16  # set in a block that was all zeros before it was damaged

Entries = Generator[Item | Sidecar, None, bytes | None]
"""Gives entries, and returns the block to go on with: short where the stream ends, ``None`` where the end is settled."""


def header_in(block: bytes) -> Header | None:
    """The header in ``block``, or ``None`` where it is none, or makes its parser raise what nobody foresaw."""
    try:
        return parse_header(block)
    except Exception as error:  # noqa: BLE001 - it costs this header
        raise_foreign(error)
        return None


def _why_no_header(block: bytes) -> str | None:
    """What ``block`` makes its parser raise; ``None`` of one that fails its checksum."""
    try:
        parse_header(block)
    except Exception as error:  # noqa: BLE001 - told
        return f"could not be parsed ({unforeseen(error)})"
    return None


def _guess(block: bytes) -> str:
    """The name in what is no header, where it can be made out."""
    try:
        return guess_name(block)
    except Exception as error:  # noqa: BLE001 - a guess
        raise_foreign(error)
        return ""


def _instead(first: bytes) -> str:
    """What a file is that begins with ``first`` and is no tar, where that can be told."""
    found = image_format(first) or other_format(first)
    return f" but {found}" if found else ""


class TarReader:
    """Members of a tar over a stream of its bytes. What is wrong goes to ``damage``."""

    def __init__(self, stream: Stream, options: ReadOptions, damage: Damage, index: TarIndex | None = None) -> None:
        self._stream = stream
        self._options = options
        self._damage = damage
        self._index = index
        self._extended = Extended()  # said of the member to come
        self._members = 0
        self._ended = False  # an end mark was met

    def entries(self) -> Iterator[Item | Sidecar]:
        """Members in order, to the end of the stream."""
        block: bytes | None = self._stream.read(BLOCK)
        while block is not None and len(block) == BLOCK:
            header = header_in(block)
            if block == ZERO_BLOCK:
                block = self._zeros()
            elif header is None:
                block = yield from self._hole(block)
            elif header.kind in EXTENDED_KINDS:
                block = self._describe(header)
            else:
                self._members += 1
                self._ended = False
                block = yield from self._member(header)
        if block is not None:
            yield from self._no_end(block)

    def _zeros(self) -> bytes | None:
        start = self._stream.position - BLOCK
        count = 1
        while (block := self._stream.read(BLOCK)) == ZERO_BLOCK:
            count += 1
        self._ended = count >= 2
        if block.strip(b"\0"):
            self._damage.note(
                f"{count} zero blocks at byte {start} mark the end, but data follow at byte {start + count * BLOCK}"
            )
            return block
        if count * BLOCK > MAX_PADDING:
            self._damage.note(
                f"nothing but zeros from byte {start} to byte {start + count * BLOCK}: more than a tar is padded with, as where "
                "a file was made in its size and not filled in"
            )
        if self._ended and self._stream.failure:
            self._damage.note(f"all members were read, but {self._stream.failure}")
        return None if self._ended else b""

    def _hole(self, first: bytes) -> Entries:
        """From a block that is no header to the next one that is."""
        start = self._stream.position - BLOCK
        name = self._extended.name or _guess(first)
        self._extended = Extended()
        block = self._next_header()
        end = self._stream.position - len(block or b"")
        if not block and self._ended:  # rubbish behind the end, which has been noted
            return None
        if not block and not self._members and first[257:262] != b"ustar":
            self._damage.note(f"this is no tar{_instead(first)}: no header in {end} bytes")
            return None
        header, why = f"the header{f' of {name!r}' if name else ''} at byte {start}", _why_no_header(first)
        self._damage.note(f"{header} {why or 'is corrupt'}, so bytes {start} to {end} could not be read")
        if not describes_next(first) and (block or BLOCK - first.count(0) > FEW_BYTES):
            self._members += 1
            yield lost(name, start + BLOCK, Reason.CORRUPT_HEADER, f"{header} {why or 'fails its checksum'}")
        return block

    def _describe(self, header: Header) -> bytes | None:
        """An extended header, said of the member after it. One of kind ``g``, of all members, tells nothing."""
        start = self._stream.position
        if self._beyond(header.size):
            self._damage.note(f"the extended header at byte {start} claims {header.size} bytes, beyond the shard's end")
            return self._next_header()
        try:
            self._extended = self._told(header)
        except Exception as error:  # noqa: BLE001 - it costs what this header says of a member, and not the member
            why = str(error) if isinstance(error, PaxError) else f"could not be read ({unforeseen(error)})"
            self._extended = error.told if isinstance(error, PaxError) else self._extended
            short = "" if self._extended.name else "; the next member keeps its short name"
            self._damage.note(f"the extended header at byte {start} {why}{short}")
        self._stream.skip(start + header.size + -header.size % BLOCK - self._stream.position)
        return self._stream.read(BLOCK)

    def _told(self, header: Header) -> Extended:
        """What an extended header says of the member to come, with what others before it said."""
        if header.kind in "xX":
            return read_pax(self._stream, header.size, self._extended)
        if header.kind == "g":
            return self._extended
        name = decode_name(self._stream.read(min(header.size, MAX_NAME_READ)))
        return self._extended._replace(name=name) if header.kind == "L" else self._extended._replace(link=name)

    def _member(self, header: Header) -> Entries:
        extended, self._extended = self._extended, Extended()
        name = extended.name or header.name
        size = self._size_of(name, header, extended)
        if header.kind in DATALESS_KINDS:
            yield self._dataless(name, self._stream.position, header.kind)
            return self._stream.read(BLOCK)
        if header.kind in LINK_KINDS:
            link = extended.link or header.link
            yield self._parsed(name, self._stream.position, lambda at: self._link(name, at, header.kind, link))
            return self._stream.read(BLOCK)
        more = header.sparse_map_follows
        while more:
            block = self._stream.read(BLOCK)
            more = len(block) == BLOCK and block[504] != 0
        offset = self._stream.position
        if self._beyond(size):
            self._damage.note(
                f"member {name!r} at byte {offset} has {size} bytes, but the shard ends at byte {self._stream.length}"
            )
            yield lost(
                name, offset, Reason.TRUNCATED_MEMBER, f"{self._stream.length} is the shard's end, {offset + size} the member's"
            )
            return self._next_header() or None
        if header.kind == SPARSE_KIND or extended.sparse:
            yield self._parsed(name, offset, lambda at: _unless_image(name, at, "stored as a sparse file, which is not read"))
        elif header.kind in SPECIAL_KINDS:
            yield Skipped(name, offset)
        else:
            yield self._parsed(name, offset, lambda at: self._content(name, at, size))
        self._stream.skip(offset + size - self._stream.position)
        if self._stream.position < offset + size:
            return None
        self._stream.skip(-size % BLOCK)
        return self._stream.read(BLOCK)

    def _parsed(self, name: str, offset: int, parse: Callable[[int], Item | Sidecar]) -> Item | Sidecar:
        """What ``parse`` makes of the member at ``offset``; where it fails, that member is lost, and those after it are not."""
        try:
            return parse(offset)
        except Exception as error:  # noqa: BLE001 - whatever a member makes it raise costs that member alone
            return unparsed(name, offset, error, self._damage)

    def _content(self, name: str, offset: int, size: int) -> Item | Sidecar:  # noqa: PLR0911 - one a case
        """A regular member; what it does not need of its data is left in the stream."""
        if is_sidecar_name(name):
            if size > self._options.max_sidecar_bytes:
                return Skipped(name, offset, LARGE_SIDECAR)
            data = self._stream.read(size)
            return Sidecar(name, offset, data) if self._whole(name, offset, size, data) else Skipped(name, offset)
        head = self._stream.read(min(size, SNIFFED_BYTES))
        if not (is_image_name(name) or looks_like_image(head)):
            self._stream.skip(size - len(head))
            self._whole(name, offset, size)
            return Skipped(name, offset, head=head)
        if size == 0:
            return _reject(name, offset, Reason.EMPTY, "0 bytes")
        if size > self._options.max_encoded_bytes:
            self._stream.skip(size - len(head))
            whole = self._whole(name, offset, size)
            reason = Reason.TOO_LARGE if whole else Reason.TRUNCATED_MEMBER
            return _reject(name, offset, reason, too_large(size, self._options))
        data = head + self._stream.read(size - len(head))
        if not self._whole(name, offset, size, data):
            return _reject(name, offset, Reason.TRUNCATED_MEMBER, f"{len(data)} of {size} bytes are there")
        return EncodedImage(name, offset, data)

    def _dataless(self, name: str, offset: int, kind: str) -> Reject | Skipped:
        """A folder; or a device or a pipe, which is no image even where it is called like one."""
        what = DATALESS_KINDS[kind]
        if kind == FOLDER:
            return Skipped(name, offset, what)
        if not is_image_name(name):
            return Skipped(name, offset)
        self._damage.note(f"member {name!r} at byte {offset} has no bytes: it is a {what}")
        return _reject(name, offset, Reason.NO_BYTES, f"a {what} has none")

    def _link(self, name: str, offset: int, kind: str, link: str) -> Item | Sidecar:
        """A link: an image, or a sidecar, with the bytes of the member that it leads to."""
        place = stream = None
        if self._index and not is_other_name(name):
            place = self._index.find(target_of(name, link, symbolic=kind == SYMBOLIC_LINK), offset)
        if self._index and place:
            stream = self._index.stream_at(place)
        if place is not None and stream is not None:
            target = TarReader(stream, self._options, self._damage)
            return target._content(name, place.offset, place.size)._replace(offset=offset)
        if not is_image_name(name):
            return Skipped(name, offset)
        what = f"a {'symbolic' if kind == SYMBOLIC_LINK else 'hard'} link to {link!r}"
        why = f"{what}, which is not in the shard" if place is None else f"{what}, one of too many links in this shard"
        self._damage.note(f"member {name!r} at byte {offset} is {why}")
        return _reject(name, offset, Reason.NO_BYTES, why)

    def _whole(self, name: str, offset: int, size: int, data: bytes | None = None) -> bool:
        """Whether the member was read, or passed over, to its end; if not, that is damage."""
        there = self._stream.position - offset if data is None else len(data)
        if there < size:
            why = self._stream.failure or f"the stream ends at byte {self._stream.position}"
            self._damage.note(f"{there} of {size} bytes of member {name!r} at byte {offset} are there: {why}")
        return there == size

    def _size_of(self, name: str, header: Header, extended: Extended) -> int:
        if extended.size is None or extended.size == header.size:
            return header.size
        if header.size == 0 or extended.size > MAX_PLAIN_SIZE or self._goes_on_after(extended.size):
            return extended.size
        # No checksum covers an extended header, so the plain one is believed where the shard does not go on as the other says.
        self._damage.note(
            f"the extended header of {name!r} says {extended.size} bytes, its header {header.size}; the latter were read"
        )
        return header.size

    def _goes_on_after(self, size: int) -> bool:
        """Whether behind a member of ``size`` bytes, of which the data come next, there is a header, a zero block or the end."""
        if size > self._options.max_encoded_bytes or self._beyond(size):
            return False
        padded = size + -size % BLOCK
        block = self._stream.look(padded, BLOCK)
        return block == ZERO_BLOCK or header_in(block) is not None or self._stream.position + padded == self._stream.length

    def _beyond(self, size: int) -> bool:
        return self._stream.length is not None and self._stream.position + size > self._stream.length

    def _next_header(self) -> bytes | None:
        """The next block that is a header. At the end of the stream ``None`` where it ends in zero blocks, else too short."""
        zeros = 0
        while len(block := self._stream.read(BLOCK)) == BLOCK:
            if block == ZERO_BLOCK:
                zeros += 1
            elif header_in(block):
                return block
            else:
                zeros = 0
        return None if zeros >= 2 else b""

    def _no_end(self, rest: bytes) -> Iterator[Reject | Skipped]:
        """The stream ended with ``rest``, part of a header or nothing, and without its end mark."""
        end = self._stream.position
        why = f" ({self._stream.failure})" if self._stream.failure else ""
        name = self._extended.name or _guess(rest)
        if self._ended:  # what follows the end mark has been noted
            return
        if end == 0:
            nothing = f"nothing of the shard could be read: {self._stream.failure}" if self._stream.failure else None
            self._damage.note(nothing or "the shard is empty: no member and no end-of-archive mark")
        elif end == len(rest) and (instead := _instead(rest)):
            self._damage.note(f"this is no tar{instead}: no header in {end} bytes")
        elif rest.strip(b"\0") or self._extended.name:
            self._damage.note(f"the shard ends inside a header, at byte {end}, without an end-of-archive mark{why}")
            if self._members or name:
                yield lost(name, end, Reason.TRUNCATED_MEMBER, f"the shard ends inside its header, at byte {end}")
        else:
            self._damage.note(f"no end-of-archive mark: the shard ends at byte {end} after {self._members} members{why}")


def _reject(name: str, offset: int, reason: Reason, detail: str) -> Reject:
    return Reject(name, offset, Stage.READ, reason, detail)


def _unless_image(name: str, offset: int, why: str) -> Reject | Skipped:
    """A member that is not read: a rejected image where its name says that it is one."""
    return _reject(name, offset, Reason.UNSUPPORTED_FORMAT, why) if is_image_name(name) else Skipped(name, offset)
