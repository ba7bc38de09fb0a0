"""Streams of bytes read once from the start: blocks fetched ahead, and what a decompressor makes of them."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

logger = logging.getLogger(__name__)

Fetch = Callable[[int, int], bytes]

PIECE_BYTES = 512
"""Compressed bytes given to a decompressor at once: at zstd's highest ratio they become 16 MiB."""
DROPPED_BYTES = 4 * 1024 * 1024
"""Read bytes are cut from the front of a decompressed buffer when they are so many."""


class Stream(Protocol):
    """Bytes in order.

    Attributes:
        position: bytes passed so far.
        length: bytes in all, where that is known.
        failure: why the stream ended before its end, with the byte of the shard; ``None`` while nothing is wrong.
    """

    position: int
    length: int | None
    failure: str | None

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer only at the end."""

    def skip(self, size: int) -> int:
        """Passes over ``size`` bytes; the number passed, smaller only at the end."""

    def close(self) -> None:
        """Lets go of what it holds."""


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
        """As of :class:`Stream`."""
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

    def skip(self, size: int) -> int:
        """As of :class:`Stream`; what lies between is not fetched."""
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


class FrameError(Exception):
    """A compressed frame is corrupt. ``before`` is what was decompressed of the last piece, as far as it can be had."""

    def __init__(self, message: str, before: bytes = b"") -> None:
        super().__init__(message)
        self.before = before


class Frame(Protocol):
    """The decompressor of one compressed frame."""

    @property
    def eof(self) -> bool:
        """Whether the frame ended."""

    @property
    def unused_data(self) -> bytes:
        """What came after its end."""

    def decompress(self, data: bytes, /) -> bytes:
        """The bytes that ``data`` completes; raises :class:`FrameError`."""


class DecompressedStream:
    """A gzip or zstd stream, decompressed as it is read, frame after frame.

    A frame that is cut short or corrupt ends the stream with a ``failure``; everything before it has been given.
    """

    def __init__(self, raw: BlockStream, name: str, frame: Callable[[], Frame]) -> None:
        self.position = 0
        self.length: int | None = None
        self.failure: str | None = None
        self._raw = raw
        self._name = name
        self._new_frame = frame
        self._frame: Frame | None = None
        self._input = b""
        self._output = bytearray()
        self._start = 0  # of what is left in the output

    def read(self, size: int) -> bytes:
        """As of :class:`Stream`."""
        while len(self._output) - self._start < size and self._more():
            pass
        data = bytes(self._output[self._start : self._start + size])
        self._start += len(data)
        self.position += len(data)
        if self._start > DROPPED_BYTES or self._start == len(self._output):
            del self._output[: self._start]
            self._start = 0
        return data

    def skip(self, size: int) -> int:
        """As of :class:`Stream`; what is passed over is decompressed and dropped."""
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
        if self.failure:
            return False
        if not self._input:
            self._input = self._raw.read(PIECE_BYTES)
        if not self._input:
            if self._frame is not None:
                self.failure = f"the {self._name} stream ends early, at byte {self._raw.position}"
            return False
        if self._frame is None:
            if not self._input.strip(b"\0"):  # padding between and after frames
                self._input = b""
                return True
            self._frame = self._new_frame()
        try:
            self._output += self._frame.decompress(self._input)
        except FrameError as error:
            self._output += error.before
            self.failure = f"the {self._name} stream is corrupt near byte {self._raw.position - len(self._input)} ({error})"
            return bool(error.before)
        self._input = b""
        if self._frame.eof:
            self._input = self._frame.unused_data
            self._frame = None
        return True


def decompressed(raw: BlockStream, is_plain: Callable[[bytes], bool]) -> BlockStream | DecompressedStream:
    """``raw``, or what it decompresses to: by content, since names lie.

    Args:
        raw: the shard's bytes.
        is_plain: whether the first 512 bytes are those of the format itself, not compressed.

    Raises:
        ImportError: zstd, and the package ``zstandard`` is not installed.
    """
    head = raw.peek(512)
    if is_plain(head):
        return raw
    if head.startswith(b"\x1f\x8b\x08"):
        return DecompressedStream(raw, "gzip", _GzipMember)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return DecompressedStream(raw, "zstd", _zstd_frames())
    return raw


class _GzipMember:
    """One gzip member; a copy of it before each piece tells what comes before an error in that piece."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: bytes, /) -> bytes:
        before = self._member.copy()
        try:
            return self._member.decompress(data)
        except zlib.error as error:
            raise FrameError(str(error), _until_error(before.decompress, data)) from error


def _until_error(decompress: Callable[[bytes], bytes], data: bytes) -> bytes:
    done = bytearray()
    try:
        for byte in data:
            done += decompress(bytes([byte]))
    except zlib.error:
        pass
    return bytes(done)


def _zstd_frames() -> Callable[[], Frame]:
    """Makes decompressors of zstd frames, which have checksums only if their writer wished so."""
    try:
        import zstandard  # noqa: PLC0415 - needed by few
    except ImportError as error:
        raise ImportError("reading a .zst shard needs the package zstandard: pip install zstandard") from error

    class ZstdFrame:
        def __init__(self) -> None:
            self._frame = zstandard.ZstdDecompressor().decompressobj()

        @property
        def eof(self) -> bool:
            return self._frame.eof

        @property
        def unused_data(self) -> bytes:
            return self._frame.unused_data

        def decompress(self, data: bytes, /) -> bytes:
            try:
                return self._frame.decompress(data)
            except zstandard.ZstdError as error:
                raise FrameError(str(error)) from error

    return ZstdFrame
