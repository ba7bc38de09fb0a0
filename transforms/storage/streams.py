"""Streams of bytes read once from the start: blocks fetched ahead, and what a decompressor makes of them.

Of either kind, ``position`` is the bytes passed so far, ``length`` the bytes in all, where that is known, and ``failure`` why the
stream ended before its end, with the byte of the shard; ``None`` while nothing is wrong.
"""

from __future__ import annotations

import bz2
import logging
import lzma
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from causalprint.transforms.faults import MachineFaultError, is_shortage, told

logger = logging.getLogger(__name__)

Fetch = Callable[[int, int], bytes]

PIECE_BYTES = 512
"""Compressed bytes given to a decompressor at once: at zstd's highest ratio they become 16 MiB."""
MADE_BYTES = 1024 * 1024
"""What bzip2 and xz, which could make gigabytes of a piece, make of it at once."""
DROPPED_BYTES = 4 * 1024 * 1024
"""Read bytes are cut from the front of a decompressed buffer when they are so many."""
XZ_MEMORY = 256 * 1024 * 1024
"""Bytes that an xz decompressor may take; the highest preset needs 65 MiB."""
XZ_WINDOW = 192 * 1024 * 1024
"""The largest window that fits into that: the next that a frame may have is 256 MiB."""
FRAME_HEAD_BYTES = 32
"""More than any frame's header has."""
MAX_WINDOW = 128 * 1024 * 1024
"""What zstd itself decompresses unless it is asked for more memory."""
SKIPPABLE = tuple(bytes([low, 0x2A, 0x4D, 0x18]) for low in range(0x50, 0x60))
"""Frames of zstd that hold no data: pzstd and the seekable format begin or end with one."""

_STARTS = {
    "gzip": (b"\x1f\x8b\x08",),
    "zstd": (b"\x28\xb5\x2f\xfd", *SKIPPABLE),
    "bzip2": (b"BZh",),
    "xz": (b"\xfd7zXZ\0",),
}


class FrameError(Exception):
    """A sound frame that is not read; the message says why, and what to do."""


class BlockStream:
    """A stream over ranges of an object, fetched in aligned blocks, some of them ahead and in the background.

    Args:
        fetch: bytes ``start`` to ``end`` of the object, however often it has to be tried.
        attempt: the same, tried once; used in the background, so that nothing goes on there when the stream is closed.
        length: bytes of the object.
        block_bytes: fetched at once.
        read_ahead: blocks to fetch ahead.
        start: the first byte to read.
    """

    def __init__(self, fetch: Fetch, attempt: Fetch, length: int, block_bytes: int, read_ahead: int, start: int = 0) -> None:
        self.position = start
        self.length: int | None = length
        self.failure: str | None = None
        self._end = length
        self._fetch = fetch
        self._attempt = attempt
        self._block_bytes = block_bytes
        self._read_ahead = read_ahead
        self._pool = ThreadPoolExecutor(read_ahead, thread_name_prefix="read-ahead") if read_ahead else None
        self._ahead: dict[int, Future[bytes]] = {}
        self._index = -1
        self._block = b""

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer only at the end."""
        within = self.position - self._index * self._block_bytes
        if within >= 0 and within + size <= len(self._block):  # as nearly always
            self.position += size
            return self._block[within : within + size]
        parts = []
        end = min(self.position + size, self._end)
        while self.position < end:
            index, start = divmod(self.position, self._block_bytes)
            if index != self._index:
                self._block, self._index = self._take(index), index
            part = self._block[start : start + end - self.position]
            self.position += len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def peek(self, size: int) -> bytes:
        """What :meth:`read` would give, without passing it."""
        data = self.read(size)
        self.position -= len(data)
        return data

    def look(self, ahead: int, size: int) -> bytes:
        """The ``size`` bytes that come after the next ``ahead``, fewer only at the end, without passing them."""
        before = self.position
        self.position = min(before + ahead, self._end)
        try:
            return self.peek(size)
        finally:
            self.position = before

    def skip(self, size: int) -> int:
        """Passes over ``size`` bytes, which are not fetched; the number passed, smaller only at the end."""
        passed = max(0, min(size, self._end - self.position))
        self.position += passed
        return passed

    def close(self) -> None:
        """Forgets what was fetched ahead."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _take(self, index: int) -> bytes:
        ready = self._ahead.pop(index, None)
        if self._pool:
            last = (self._end - 1) // self._block_bytes
            wanted = range(index + 1, min(index + self._read_ahead, last) + 1)
            for late in [key for key in self._ahead if key not in wanted]:
                self._ahead.pop(late).cancel()
            for key in wanted:
                if key not in self._ahead:
                    self._ahead[key] = self._pool.submit(self._attempt, *self._range(key))
        if ready:
            try:
                return ready.result()
            except Exception as error:  # noqa: BLE001 - it is tried again, and then told
                logger.info("reading ahead failed: %r", error)
        return self._fetch(*self._range(index))

    def _range(self, index: int) -> tuple[int, int]:
        start = index * self._block_bytes
        return start, min(start + self._block_bytes, self._end)


class DecompressedStream:
    """A stream of gzip, zlib, zstd, bzip2 or xz, decompressed as it is read, frame after frame.

    A frame that is cut short or corrupt ends the stream with a ``failure``; everything before it has been given. A decompressor
    that has no memory is no failure of the stream, but raises ``MachineFaultError``.

    Args:
        raw: the compressed bytes.
        name: of the compression.
        frame: gives a decompressor of the frame that begins with the bytes it is given (32, fewer at the end), with
            ``decompress``, ``eof`` and ``unused_data``; or raises :class:`FrameError`.
        corrupt: what that raises.
        most: bytes that come out of it; more are a failure.
    """

    def __init__(self, raw: BlockStream, name: str, frame: Callable[[bytes], Any], corrupt: type[Exception], most: int) -> None:
        self.position = 0
        self.length: int | None = None
        self.failure: str | None = None
        self._raw = raw
        self._name = name
        self._new_frame = frame
        self._corrupt = corrupt
        self._most = most
        self._frame: Any = None
        self._input = b""
        self._output = bytearray()
        self._start = 0  # of what is left in the output

    def read(self, size: int) -> bytes:
        """As of :class:`BlockStream`."""
        while len(self._output) - self._start < size and self._more():
            pass
        data = bytes(self._output[self._start : self._start + size])
        self._start += len(data)
        self.position += len(data)
        if self._start > DROPPED_BYTES or self._start == len(self._output):
            del self._output[: self._start]
            self._start = 0
        return data

    def look(self, ahead: int, size: int) -> bytes:
        """As of :class:`BlockStream`; all of it is held."""
        while len(self._output) - self._start < ahead + size and self._more():
            pass
        return bytes(self._output[self._start + ahead : self._start + ahead + size])

    def skip(self, size: int) -> int:
        """As of :class:`BlockStream`; what is passed over is decompressed and dropped."""
        passed = 0
        while passed < size:
            data = self.read(min(size - passed, 1 << 20))
            if not data:
                break
            passed += len(data)
        return passed

    def close(self) -> None:
        """Closes what it reads from."""
        self._raw.close()

    def _more(self) -> bool:
        if self.failure or not self._has_input():
            return False
        if self._frame is None:
            if not self._input.strip(b"\0"):  # padding between and after frames
                self._input = b""
                return True
            self._frame = self._begin()
            if self._frame is None:
                return False
        # A copy before each piece, where there can be one (of zlib), tells what comes before an error in that piece.
        before = self._frame.copy() if hasattr(self._frame, "copy") else None
        try:
            most = (MADE_BYTES,) if hasattr(self._frame, "needs_input") else ()  # of bzip2 and xz
            self._output += self._frame.decompress(self._input, *most)
        except self._corrupt as error:
            self.failure = self._why(error)
            return before is not None and self._until_error(before)
        self._input = b""
        if self._frame.eof:
            self._input = self._frame.unused_data
            self._frame = None
        return True

    def _has_input(self) -> bool:
        """Whether there is more to decompress, of what was read or to be read; else why not."""
        if not self._input and getattr(self._frame, "needs_input", True):
            self._input = self._raw.read(PIECE_BYTES)
            if not self._input:
                if self._frame is not None:
                    self.failure = f"the {self._name} stream ends early, at byte {self._raw.position}"
                return False
        if self.position + len(self._output) - self._start > self._most:
            self.failure = f"the {self._name} stream becomes more than {self._most} bytes, of {self._raw.length}"
        return self.failure is None

    def _why(self, error: Exception) -> str:
        if is_shortage(error):
            raise MachineFaultError(told(error)) from error
        near = f"near byte {self._raw.position - len(self._input)}"
        if isinstance(error, lzma.LZMAError) and "Memory usage limit" in str(error):
            need = f"needs a window of more than {XZ_WINDOW // 2**20} MiB {near}"
            return f"the {self._name} stream {need}; recompress with a smaller dictionary, as xz -9 has"
        return f"the {self._name} stream is corrupt {near} ({error})"

    def _begin(self) -> Any:
        """A decompressor of the frame to come, or ``None`` where it is not read, which is a failure."""
        if len(self._input) < FRAME_HEAD_BYTES:
            self._input += self._raw.read(PIECE_BYTES)
        try:
            return self._new_frame(self._input[:FRAME_HEAD_BYTES])
        except FrameError as error:
            self.failure = f"the {self._name} frame at byte {self._raw.position - len(self._input)} {error}"
            return None

    def _until_error(self, frame: Any) -> bool:
        start = len(self._output)
        with suppress(self._corrupt):
            for byte in self._input:
                self._output += frame.decompress(bytes([byte]))
        return len(self._output) > start


Stream = BlockStream | DecompressedStream


def decompressed(raw: BlockStream, is_plain: Callable[[bytes], bool], most: int) -> Stream:
    """``raw``, or what it decompresses to: by content, since names lie.

    Args:
        raw: the shard's bytes.
        is_plain: whether the first 512 bytes are those of the format itself, not compressed.
        most: bytes that may come of them, decompressed.

    Raises:
        ImportError: zstd, and the package ``zstandard`` is not installed.
    """
    head = raw.peek(512)
    name = None if is_plain(head) else compression_of(head)
    if name is None or (name == "zlib" and not is_plain(_of_zlib(head))):  # two bytes that text may begin with
        return raw
    if name == "zstd":
        try:
            import zstandard  # noqa: PLC0415 - needed by few
        except ImportError as error:
            raise ImportError("reading a .zst shard needs the package zstandard: pip install zstandard") from error
        # Its frames have checksums only if their writer wished so.
        return DecompressedStream(raw, name, partial(_zstd_frame, zstandard), zstandard.ZstdError, most)
    if name == "bzip2":
        return DecompressedStream(raw, name, lambda _: bz2.BZ2Decompressor(), OSError, most)
    if name == "xz":
        return DecompressedStream(raw, name, lambda _: lzma.LZMADecompressor(memlimit=XZ_MEMORY), lzma.LZMAError, most)
    if name == "zlib":
        return DecompressedStream(raw, name, lambda _: zlib.decompressobj(), zlib.error, most)
    return DecompressedStream(raw, name, lambda _: zlib.decompressobj(wbits=31), zlib.error, most)


def _zstd_frame(zstandard: Any, head: bytes) -> Any:
    window = 0
    with suppress(zstandard.ZstdError):  # what is wrong with it, decompressing tells
        window = zstandard.get_frame_parameters(head).window_size
    if window > MAX_WINDOW:
        need = f"{window / 2**30:g} GiB" if window >= 2**30 else f"{-(-window // 2**20)} MiB"
        raise FrameError(f"needs a window of {need}, more than {MAX_WINDOW // 2**20} MiB; recompress without --long")
    return zstandard.ZstdDecompressor().decompressobj()


def _of_zlib(head: bytes) -> bytes:
    """What ``head`` decompresses to as the beginning of a zlib stream; nothing where it is none."""
    try:
        return zlib.decompressobj().decompress(head, 512) if head[:1] == b"\x78" else b""
    except zlib.error:
        return b""


def compression_of(head: bytes) -> str | None:
    """What the first bytes of a file say it is compressed with, in a way that is read; else ``None``."""
    name = next((name for name, start in _STARTS.items() if head.startswith(start)), None)
    return "zlib" if name is None and _of_zlib(head) else name


def decompressed_head(data: bytes, size: int) -> bytes:
    """The first ``size`` bytes of what a file that begins with ``data`` decompresses to, as far as these tell them."""

    def fetch(start: int, end: int) -> bytes:
        return data[start:end]

    if compression_of(data) == "zlib":
        return _of_zlib(data)[:size]
    return decompressed(BlockStream(fetch, fetch, len(data), len(data) or 1, 0), lambda _: False, size).read(size)
