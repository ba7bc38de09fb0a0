"""Headers of tar members: ustar, GNU and PAX (POSIX.1-2001), each checked before it is believed."""

from __future__ import annotations

from typing import NamedTuple
from zlib import adler32

from causalprint.schemas.names import text_of

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)

EXTENDED_KINDS = frozenset("xgLKX")  # their data describe the next member, or all that follow
SYMBOLIC_LINK = "2"
LINK_KINDS = frozenset(("1", SYMBOLIC_LINK))  # 1: a hard link, another name of a member before
FOLDER = "5"
DATALESS_KINDS = {"3": "character device", "4": "block device", FOLDER: "folder", "6": "named pipe"}
SPARSE_KIND = "S"
SPECIAL_KINDS = frozenset("VMND")  # GNU: volume labels, parts of files, old names, listings
_ADLER = 65_521
MAX_PLAIN_SIZE = 8**11 - 1  # the most that a plain header can say


class Header(NamedTuple):
    """One header block.

    Attributes:
        name: of the member, cut to 255 bytes by the format.
        size: of its data, in bytes.
        kind: the type flag.
        link: of a link, the name that it leads to, cut to 100 bytes by the format.
        sparse_map_follows: whether blocks with a map stand between the header and the data (GNU sparse files).
    """

    name: str
    size: int
    kind: str
    link: str
    sparse_map_follows: bool


class Extended(NamedTuple):
    """What extended headers say of the member after them; ``None`` where they say nothing."""

    name: str | None = None
    size: int | None = None
    link: str | None = None
    sparse: bool = False


def parse_header(block: bytes) -> Header | None:
    """The header in ``block`` (512 bytes), or ``None`` where its checksum or its fields are wrong.

    The checksum counts the block's bytes with the checksum's own field as spaces; some old writers counted signed bytes.
    """
    if len(block) != BLOCK:
        return None
    stated = _octal(block[148:156])
    if not stated or not _is_sum(stated, b"".join((block[:148], b" " * 8, block[156:]))):
        return None
    size = _number(block[124:136])
    if size is None:
        return None
    kind = chr(block[156])
    name = decode_name(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{decode_name(block[345:500])}/{name}"
    link = decode_name(block[157:257]) if block[157] else ""
    return Header(name, size, kind, link, kind == SPARSE_KIND and block[482] != 0)


def guess_name(block: bytes) -> str:
    """The name in the part of a header that was read, though its checksum fails; empty where it cannot be made out."""
    name, end, _ = block[:100].partition(b"\0")
    if not end or describes_next(block) or any(byte < 32 for byte in name):
        return ""
    return text_of(name)


def describes_next(block: bytes) -> bool:
    """Whether a header whose checksum fails was one that describes the next member, by the names that writers give those."""
    return any(name in block[:100] for name in (b"PaxHeader", b"@LongLink"))


def decode_name(field: bytes) -> str:
    r"""A name as text that any table can hold, up to the first NUL; see :func:`~causalprint.schemas.names.text_of`."""
    return text_of(field.partition(b"\0")[0])


def _is_sum(stated: int, block: bytes) -> bool:
    """Whether ``stated`` is the sum of the bytes, or that of signed ones; but for 65,521, the modulus of a sum that is fast."""
    if stated % _ADLER == adler32(block, 0) & 0xFFFF:
        return True
    return stated == sum(block) - 256 * sum(byte > 127 for byte in block)


def _octal(field: bytes) -> int | None:
    digits = field.strip(b"\0 ")
    if digits.strip(b"01234567"):
        return None
    return int(digits or b"0", 8)


def _number(field: bytes) -> int | None:
    if field[0] == 0x80:  # GNU: base 256
        return int.from_bytes(field[1:], "big")
    return _octal(field)
