"""The output's root: names of files below it, and how one is put there whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from causalprint.schemas.config import DEFAULT_READING, Slicing, Storage
from causalprint.schemas.elements import ShardDamageError
from causalprint.schemas.urls import public
from causalprint.transforms.faults import is_machine_fault, told
from causalprint.transforms.storage.retries import LIST_SECONDS, is_final, retried, timed
from causalprint.transforms.storage.storage import filesystem

Result = TypeVar("Result")

GUESSED_BYTES = 64 * 1024 * 1024
"""Of a file of the output, whose size is not asked for before it is read."""

MARK = "attributions"
"""The table of an audit whose file commits a slice."""

EMPTY = "without-rows"
"""The name of the file without rows in a partition, which is there so that every table has a file.

It sorts last: DuckDB guesses by the first file of a glob how many rows there are, and plans its joins by that.
"""


class OutputError(OSError):
    """The output's store did not take or give a file; the message says which, and why."""


MANY_UNWRITTEN = 3
"""Slices and accounts in a row, of one process, that could not be written: then none can be."""


class Failures:
    """How many times in a row something failed. Threads may share it."""

    def __init__(self, most: int = MANY_UNWRITTEN) -> None:
        self._most = most
        self._count = 0
        self._lock = threading.Lock()

    def end(self) -> None:
        """Something did not fail."""
        with self._lock:
            self._count = 0

    def forgiven(self, error: Exception, what: str) -> str:
        """In words, why ``what`` could not be written, though others may be.

        Raises:
            OutputError: no others can be: it is the last of too many in a row.
            Exception: ``error`` itself: the store's answer to others would be the same, or a package is missing.
        """
        if isinstance(error, ImportError) or any(is_final(one) for one in (error, error.__cause__) if isinstance(one, OSError)):
            raise error
        with self._lock:
            self._count += 1
            count = self._count
        if count >= self._most:
            raise OutputError(f"{what} could not be written, nor {count - 1} others before it: {told(error)}") from error
        report = "" if isinstance(error, OSError) or is_machine_fault(error) else "; please report this"
        return f"{what} was not written ({told(error)}{report}); run the same command again"


unwritten = Failures()
"""Of this process."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where one run writes slices, and finds those that it or an earlier run has committed.

    Attributes:
        root: URL of the output's root.
        bundle_id: names slices and accounts, and the partition ``bundle=<bundle_id>`` of every table. Of features, from which a
            bundle is to be learned, their key.
        bundle_digest: SHA-256 of the bundle, lower-case hex, for the files' metadata.
        storage: fsspec options.
        mark: the table whose file is written last of a slice's: with it, and its receipt in the footer, the slice is committed.
        slicing: where shards are cut, for the receipts; only slices that were cut alike count as committed. ``None``: not told.
        scored: where verdicts on stored fingerprints are written, the id of the bundle that computed these. It names the slices,
            and in its partition lie their other tables.
        fingerprint_digest: of what fingerprints depend on, for the files' metadata; empty where it is not known.
        replaces: whether slices are written that are there already, and may have had rows in tables where they have none now.
    """

    root: str
    bundle_id: str
    bundle_digest: str
    storage: Storage
    mark: str = MARK
    slicing: Slicing | None = None
    scored: str = ""
    fingerprint_digest: str = ""
    replaces: bool = False

    @property
    def slices_by(self) -> str:
        """The bundle id that names slices."""
        return self.scored or self.bundle_id

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables in which a slice has a file, in the order in which these are written: that of the mark last."""
        return ("images", "embeddings", "rejects", MARK) if self.mark == MARK else (self.mark,)

    def folder(self, table: str) -> str:
        """The partition of ``table`` below the root."""
        return f"{table}/bundle={self.bundle_id if table in (self.mark, 'shards') else self.slices_by}"

    def path(self, table: str, name: str) -> str:
        """Where file ``name`` (a slice's or shard's id) of ``table`` lies below the root."""
        return f"{self.folder(table)}/{name}.parquet"

    def put(self, path: str, data: bytes) -> None:
        """Writes one file below the root; see :func:`put`."""
        put(self.root, path, data, self.storage)

    def get(self, path: str, *, tail: int | None = None, size: int | None = None) -> bytes | None:
        """Reads one file below the root; see :func:`get`."""
        return get(self.root, path, self.storage, tail=tail, size=size)

    def remove(self, path: str) -> None:
        """Removes one file below the root; one that is gone already is no error."""
        fs, base = filesystem(self.root, self.storage)
        with suppress(FileNotFoundError):
            fs.rm_file(f"{base}/{path}")


def put(root: str, path: str, data: bytes, storage: Storage, *, exclusive: bool = False, part: str | None = None) -> None:
    """Writes ``data`` to ``root/path``, durably and in one step: readers see the old file, or none, or all of the new one.

    On an object store that is one put. On a local disk the bytes go to ``.<name>.part`` beside the file, which is renamed
    when they are safe. A process killed in between leaves that part; whoever writes the file next overwrites it.

    Args:
        root: URL of the output.
        path: below the root, with ``/``.
        data: all of it.
        storage: fsspec options.
        exclusive: refuse to replace a file.
        part: name of the part, where nobody is going to write this very file again and clear up.

    Raises:
        FileExistsError: ``exclusive``, and there is one.
    """
    fs, base = filesystem(root, storage)
    target = f"{base}/{path}"
    if isinstance(fs, LocalFileSystem):
        # The dot keeps readers that take a whole folder (pyarrow.dataset, Spark) from opening a part as a table.
        try:
            _put_local(Path(target), data, Path(target).with_name(f".{part or Path(target).name}.part"), exclusive=exclusive)
        except OSError as error:  # of a full disk it names no file
            if error.errno is None or error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, target) from error
    else:
        what = f"{public(root)}/{path} could not be written"
        stored(lambda: _create(fs, target, data) if exclusive else _pipe(fs, target, data), what)


def get(root: str, path: str, storage: Storage, *, tail: int | None = None, size: int | None = None) -> bytes | None:
    """Reads ``root/path``, or its last ``tail`` bytes (all of it where it is shorter); ``None`` where there is no such file.

    Where the file's ``size`` is known, a store need not be asked for it first.
    """
    fs, base = filesystem(root, storage)
    seconds = DEFAULT_READING.seconds_for(GUESSED_BYTES if size is None else size)
    start = None if tail is None else -tail if size is None else max(0, size - tail)
    call = partial(timed, fs, "cat_file", f"{base}/{path}", start=start, end=size, seconds=seconds)
    try:
        data: bytes = stored(call, f"{public(root)}/{path} could not be read") if size != 0 else b""
    except FileNotFoundError:
        return None
    return data if tail is None else data[-tail:]  # a server may answer a range with everything


def folder_names(root: str, folder: str, storage: Storage) -> list[str]:
    """Names in ``root/folder``, sorted; none where there is no such folder."""
    fs, base = filesystem(root, storage)
    path = f"{base}/{folder}"
    try:
        call = partial(timed, fs, "ls", path, detail=False, seconds=LIST_SECONDS)
        found = [str(name).rstrip("/") for name in stored(call, f"{public(root)}/{folder} could not be listed")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name.rpartition("/")[2] for name in found if name != path)


def listed(root: str, folder: str, storage: Storage) -> dict[str, int | None]:
    """Names in ``root/folder`` and the bytes of each file, ``None`` of a folder; none where there is no such folder.

    One listing, whatever it holds: on an object store a request for every thousand names.
    """
    fs, base = filesystem(root, storage)
    path = f"{base}/{folder}".rstrip("/")
    try:
        call = partial(timed, fs, "ls", path, detail=True, seconds=LIST_SECONDS)
        found = stored(call, f"{public(root)}/{folder} could not be listed")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    names = {str(info["name"]).rstrip("/").rpartition("/")[2]: info for info in found if str(info["name"]).rstrip("/") != path}
    return {name: None if info["type"] == "directory" else int(info["size"] or 0) for name, info in names.items()}


def stored(call: Callable[[], Result], what: str) -> Result:
    """What ``call`` gives, tried again as all that a store is asked; that a file is not there, or is there already, is an answer.

    Raises:
        FileNotFoundError, FileExistsError: as ``call`` did.
        OutputError: the store failed, as often as it was asked.
    """
    try:
        return retried(call, what, DEFAULT_READING)
    except ShardDamageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError | FileExistsError):
            raise error.__cause__ from None
        raise OutputError(str(error)) from error.__cause__


def _pipe(fs: AbstractFileSystem, target: str, data: bytes, **mode: str) -> None:
    timed(fs, "pipe_file", target, data, seconds=DEFAULT_READING.seconds_for(len(data)), **mode)


def _create(fs: AbstractFileSystem, target: str, data: bytes) -> None:
    try:
        _pipe(fs, target, data, mode="create")
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        # Some stores that speak S3 know no conditional put: look first, which is as near as one gets.
        if fs.exists(target):
            raise FileExistsError(target) from error
        _pipe(fs, target, data)


def _put_local(path: Path, data: bytes, part: Path, *, exclusive: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(part) as stream:
        if exclusive and path.exists():
            part.unlink()
            raise FileExistsError(path)
        stream.truncate()
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
        part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a power cut could undo this rename and keep a later one: the commit mark's
    finally:
        os.close(folder)


@contextmanager
def _alone(part: Path) -> Iterator[BinaryIO]:
    """Opens ``part`` for this process and thread alone; the kernel frees it when either ends, however it ends."""
    while True:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if _is(part, stream):
                yield stream
                return
        # While this one waited, another writer renamed the part it held: what was opened is the finished file now.


def _is(path: Path, stream: BinaryIO) -> bool:
    try:
        return path.stat().st_ino == os.fstat(stream.fileno()).st_ino
    except FileNotFoundError:
        return False
