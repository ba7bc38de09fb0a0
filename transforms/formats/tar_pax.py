r"""Records ``b"27 path=some/name\n"`` of PAX headers, whose length counts itself, taken one by one from the stream.

What is not needed (extended attributes of megabytes, say) is passed over and never held.
"""

from __future__ import annotations

from causalprint.transforms.formats.tar_headers import Extended, decode_name
from causalprint.transforms.storage.streams import Stream

MAX_VALUE_BYTES = 1024 * 1024
"""Of a value that is needed: a name or a number."""
MAX_RECORDS = 10_000
"""Of one header; the rest are passed over, so that no header costs more than milliseconds."""
_MAX_DIGITS = 19
_MAX_KEYWORD = 256
_CHUNK = 64 * 1024


class PaxError(Exception):
    """What is wrong with a header's records, in a few words; ``told`` is what those before it say."""

    def __init__(self, message: str, told: Extended) -> None:
        super().__init__(message)
        self.told = told


def read_pax(stream: Stream, size: int, before: Extended) -> Extended:
    """What the records in the next ``size`` bytes say of the member to come; all of them are passed.

    Args:
        stream: of the tar, at the first record.
        size: bytes of records.
        before: what other headers said of the same member.

    Raises:
        PaxError: a record is not one, there are too many, or the stream ends.
    """
    end = stream.position + size
    told, trouble = before, None
    try:
        told = _read(stream, size, told)
    except PaxError as error:
        told, trouble = error.told, error
    stream.skip(end - stream.position)
    if trouble:
        raise trouble
    return told


def _read(stream: Stream, left: int, told: Extended) -> Extended:
    data, at = b"", 0
    for _ in range(MAX_RECORDS):
        if len(data) - at < _MAX_KEYWORD + _MAX_DIGITS and left:
            data, at = data[at:] + stream.read(min(left, _CHUNK)), 0
            left = max(0, left - _CHUNK)
        if at >= len(data) or data[at] == 0:
            return told
        space = data.find(b" ", at, at + _MAX_DIGITS + 1)
        equals = data.find(b"=", space + 1, space + 1 + _MAX_KEYWORD)
        if space < 0 or equals < 0 or not data[at:space].isdigit():
            raise PaxError("is corrupt", told)
        end = at + int(data[at:space])
        if end <= equals or end > len(data) + left:
            raise PaxError("is corrupt", told)
        keyword = data[space + 1 : equals]
        if keyword not in _NEEDED and not keyword.startswith(b"GNU.sparse."):
            left -= stream.skip(max(0, end - len(data)))
        elif end - equals > MAX_VALUE_BYTES:
            raise PaxError(f"has a {keyword.decode()} of {end - equals - 2} bytes", told)
        else:
            more = stream.read(max(0, end - len(data)))
            data, left = data + more, left - len(more)
            if data[end - 1 : end] != b"\n":
                raise PaxError("is corrupt", told)
            told = _with(told, keyword, data[equals + 1 : end - 1])
        at = end
    raise PaxError(f"has more than {MAX_RECORDS:,} records", told)


def _with(told: Extended, keyword: bytes, value: bytes) -> Extended:
    if keyword.startswith(b"GNU.sparse."):
        return told._replace(sparse=True, name=decode_name(value) if keyword == b"GNU.sparse.name" else told.name)
    if keyword == b"path":
        return told if told.sparse and told.name else told._replace(name=decode_name(value))
    if keyword == b"linkpath":
        return told._replace(link=decode_name(value))
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise PaxError(f"says a size of {len(value)} characters that is no size", told)
    return told._replace(size=int(value))


_NEEDED = frozenset((b"path", b"size", b"linkpath"))
