"""The first value of a column of bytes, from the first bytes of its first page: pages of images have megabytes."""

from __future__ import annotations

import zlib

import zstandard

from causalprint.transforms.formats.parquet_footer import Chunk, Fetch, page_at

FETCHED = 32 * 1024
WANTED = 4096
LENGTH = 4
_PLAIN, _SNAPPY, _GZIP, _ZSTD = 0, 1, 2, 6
_FIXED = 7


def first_values(fetch: Fetch, chunk: Chunk) -> list[bytes]:
    """What may begin the chunk's first value: what comes first, or after the marks of nulls; nothing where that is unknown."""
    page = page_at(fetch, chunk.offset)
    if page is None or page.packed <= 0:
        return []
    start = page.end - page.packed
    head = _decompressed(fetch(start, min(page.end, start + FETCHED)), chunk.codec)
    levels = LENGTH + int.from_bytes(head[:LENGTH], "little")
    length = 0 if chunk.kind == _FIXED else LENGTH
    return [head[at + length :] for at in (0, levels) if len(head) > at + length]


def _decompressed(data: bytes, codec: int) -> bytes:
    """The first bytes of what ``data`` begin; nothing where that cannot be told."""
    try:
        if codec == _PLAIN:
            return data[:WANTED]
        if codec == _SNAPPY:
            return _snappy(data)
        if codec == _GZIP:
            return zlib.decompressobj(wbits=47).decompress(data, WANTED)
        if codec == _ZSTD:
            # In pieces, each of which becomes little enough: all at once might be gigabytes.
            frame, head = zstandard.ZstdDecompressor().decompressobj(), b""
            for at in range(0, len(data), 512):
                head += frame.decompress(data[at : at + 512])
                if len(head) >= WANTED:
                    break
            return head[:WANTED]
    except (zlib.error, zstandard.ZstdError, IndexError):
        return b""
    return b""


def _snappy(data: bytes) -> bytes:
    """As of https://github.com/google/snappy/blob/main/format_description.txt, up to the wanted bytes."""
    at = next((place for place, byte in enumerate(data) if byte < 0x80), len(data)) + 1
    head = bytearray()
    while at < len(data) and len(head) < WANTED:
        tag, at = data[at], at + 1
        kind, size = tag & 3, tag >> 2
        if kind == 0:
            more = max(0, size - 59)
            size, at = int.from_bytes(data[at : at + more], "little") if more else size, at + more
            head += data[at : at + min(size + 1, WANTED)]
            at += size + 1
            continue
        width = (1, 2, 4)[kind - 1]
        back = int.from_bytes(data[at : at + width], "little") | ((tag >> 5) << 8 if kind == 1 else 0)
        at += width
        for _ in range(4 + (size & 7) if kind == 1 else size + 1):
            head.append(head[-back])
    return bytes(head)
