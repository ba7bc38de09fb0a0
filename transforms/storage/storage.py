"""Objects and files by URI, through fsspec: what they are, their generation, and reads of them that are tried again."""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from fsspec.spec import AbstractBufferedFile

from causalprint.schemas.config import DEFAULT_READING, ReadOptions, Storage
from causalprint.schemas.elements import Shard, ShardDamageError, digest
from causalprint.schemas.names import raw_path, text_of
from causalprint.schemas.urls import bare, public, query_of
from causalprint.transforms.storage.protocols import LOCAL, opened, protocol_of
from causalprint.transforms.storage.retries import StoreRefusalError, is_final, retried, timed
from causalprint.transforms.storage.streams import BlockStream

SIDECARS = (".json", ".txt")
ASKED_TOGETHER = 8
MODIFIED = ("mtime", "LastModified", "Last-Modified", "last_modified", "updated", "modified", "created")
TAKEOUT = ".supplemental-metadata.json"


class StoredFile(NamedTuple):
    """One object or file: its path for the filesystem, bytes, what tells this version of it from others, whether it is a link.

    What has a name and no bytes to read says in ``absent`` what it is: ``link that leads nowhere``, ``named pipe``.
    """

    path: str
    size: int
    generation: str
    link: bool = False
    absent: str | None = None

    @property
    def name(self) -> str:
        """The last part of the path, as text; the path itself is what opens it."""
        return text_of(bare(self.path).rsplit("/", 1)[-1])

    @property
    def parent(self) -> str:
        """The path of the folder that holds it."""
        return bare(self.path).rsplit("/", 1)[0]


def filesystem(uri: str, storage: Storage, *, patient: bool = False, listings: bool = False) -> tuple[Any, str]:
    """The fsspec filesystem of ``uri`` and the path of ``uri`` in it.

    A local path is absolute and without ``.`` and ``..``, so that one file has one URI; remote ones may mean those literally.
    Where a local name is no UTF-8, the path is its bytes as Python has them, and ``uri`` may be the text that tables hold.

    Args:
        uri: a URL or a local path.
        storage: fsspec options.
        patient: leave the library's own retries on, for whoever uses the filesystem without :func:`~.retries.retried`.
        listings: a filesystem of its own that remembers for a minute what it listed, for whoever opens many files again and
            again; by default nothing is remembered.

    Raises:
        ImportError: the package that speaks the protocol is not installed.
        ValueError: no filesystem speaks the protocol, or it does not take these options.
    """
    fs = opened(uri, storage, patient=patient, listings=listings)
    path: str = fs._strip_protocol(uri)  # noqa: SLF001 - fsspec's own documented way
    return fs, _straight(raw_path(path)) if is_local(uri) else path


def is_local(uri: str) -> bool:
    """Whether ``uri`` names something on a disk of this machine."""
    return protocol_of(uri) in LOCAL


def stored_file(info: dict[str, Any]) -> StoredFile:
    """One entry of an fsspec listing that is no folder, links followed.

    The generation is the object's generation number or etag, of Hugging Face's Hub the digest of the file; of stores that have
    none, size and time of modification.
    """
    link = bool(info.get("islink"))
    if info["type"] != "file":
        return StoredFile(info["name"], 0, "", link, _absent(info))
    size = int(info["size"] or 0)
    for key in ("generation", "ETag", "etag", "blob_id"):
        if info.get(key):
            return StoredFile(info["name"], size, str(info[key]).strip('"'), link=link)
    modified = next((info[key] for key in MODIFIED if info.get(key)), "")
    return StoredFile(info["name"], size, f"{size}-{modified}", link=link)


class ShardSource:
    """The stored bytes of one shard, read with retries.

    Attributes:
        uri, size, generation, columns, apart: as of :class:`~causalprint.schemas.elements.Shard`.
        is_local: whether it lies on a local disk, so that fetching ahead gains nothing.
    """

    def __init__(self, shard: Shard, storage: Storage, options: ReadOptions) -> None:
        self.uri = shard.uri
        self.size = shard.size
        self.generation = shard.generation
        self.columns = shard.columns
        self.apart = frozenset(shard.apart)
        self._fs, self._path = filesystem(shard.location, storage)
        self._options = options
        self._is_folder = shard.format == "folder"
        self._list = list_files if shard.uri.endswith("/") else with_sidecars
        self._whole: BinaryIO | None = None
        self._lock = threading.Lock()
        self.is_local = is_local(shard.uri)

    def stream(self, start: int = 0, *, read_ahead: bool = True) -> BlockStream:
        """The shard's bytes in order from ``start``, fetched ahead."""
        blocks = 0 if self.is_local or not read_ahead else self._options.read_ahead
        return BlockStream(self.fetch, self._attempt, self.size, self._options.block_bytes, blocks, start)

    def file(self) -> RangeFile:
        """The shard as a file to seek in."""
        return RangeFile(self.fetch, self.size)

    def beside(self, suffix: str) -> RangeFile | None:
        """The file beside an archive that has its stem and ``suffix``, to seek in; ``None`` where there is none, or it is a link.

        Raises:
            ShardDamageError: retryable; the store did not answer.
        """
        stem = re.sub(r"\.(tar(\.\w+)?|tgz|tzst)$", "", self._path, flags=re.IGNORECASE)
        if stem == self._path:
            return None
        try:
            path = f"{stem}{suffix}"
            info = retried(lambda: asked(self._fs, "info", path), f"{public(path)} could not be looked up", self._options)
        except ShardDamageError as error:
            if error.__cause__ is not None and (isinstance(error.__cause__, StoreRefusalError) or is_final(error.__cause__)):
                return None
            raise
        if info["type"] != "file" or info.get("islink"):
            return None
        file = stored_file(info)
        return RangeFile(lambda start, end: self.fetch(start, end, file), file.size)

    def fetch(self, start: int, end: int, file: StoredFile | None = None) -> bytes:
        """Bytes ``start`` to ``end`` (not included) of the shard, or of a ``file`` that :meth:`files` named.

        Raises:
            ShardDamageError: retryable; the store did not give them.
        """
        path = file.path if file else self._path
        what = f"bytes {start} to {end} of {public(self._fs.unstrip_protocol(path))} could not be read"
        return retried(lambda: self._attempt(start, end, path), what, self._options)

    def files(self) -> list[StoredFile]:
        """The files directly in the folder that the shard is, ordered by name; of an image file by itself, that and its sidecars.

        Raises:
            ShardDamageError: retryable; the store did not list them.
        """
        found = retried(lambda: self._list(self._fs, self._path), f"{self.uri} could not be listed", self._options)
        return sorted(found, key=lambda file: (file.name, file.path))

    def check_generation(self) -> None:
        """Makes sure that the store still holds the version that was matched.

        Raises:
            ShardDamageError: retryable; it does not, or did not tell.
        """
        if self._is_folder:
            found = folder_generation(self.files())
        else:
            info = retried(lambda: asked(self._fs, "info", self._path), f"{self.uri} could not be looked up", self._options)
            found = stored_file(info).generation
        if found != self.generation:
            message = (
                f"{self.uri} changed: generation {self.generation} was matched, {found} is there; run the same command again"
            )
            raise ShardDamageError(message, retryable=True)

    def _attempt(self, start: int, end: int, path: str | None = None) -> bytes:
        if start >= end:
            return b""
        path = path or self._path
        whole = self._whole if path == self._path else None
        if whole is None:
            try:
                seconds = self._options.seconds_for(end - start)
                data: bytes = timed(self._fs, "cat_file", path, start=start, end=end, seconds=seconds)
            except StoreRefusalError:
                if not hasattr(self._fs, "_keep_whole") or path != self._path:
                    raise
                whole = self._download()
        if whole is not None:
            data = os.pread(whole.fileno(), end - start, start)
        if len(data) != end - start:
            raise EOFError(f"got {len(data)} of {end - start} bytes")
        return data

    def _download(self) -> BinaryIO:
        """Keeps all of the shard in a file without a name: its server gives no part of it."""
        with self._lock:
            if self._whole is None:
                whole: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this source
                weakref.finalize(self, whole.close)
                timed(self._fs, "keep_whole", self._path, whole, seconds=self._options.seconds_for(self.size))
                whole.flush()
                self._whole = whole
            return self._whole


def asked(fs: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    """What a filesystem tells in few bytes, asked once; see :func:`~causalprint.transforms.storage.retries.timed`."""
    return timed(fs, method, *args, seconds=DEFAULT_READING.seconds_for(0), **kwargs)


def sized(fs: Any, infos: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``infos`` of files with their sizes: where a listing (of a web server) has none, each file is asked for its own."""
    unknown = [info for info in infos if info["type"] == "file" and info["size"] is None]
    if not unknown:
        return infos
    with ThreadPoolExecutor(ASKED_TOGETHER, thread_name_prefix="sizes") as pool:
        told = dict(
            zip((info["name"] for info in unknown), pool.map(lambda info: asked(fs, "info", info["name"]), unknown), strict=True)
        )
    return [told.get(info["name"], info) for info in infos]


def list_files(fs: Any, path: str) -> list[StoredFile]:
    """Files directly in folder ``path``; links to files in and below it are followed, links to folders are left out."""
    entries = sized(fs, [followed(fs, info, within=path) for info in asked(fs, "ls", path, detail=True)])
    return [stored_file(info) for info in entries if not is_folder(info) and not info["name"].endswith("/")]


def with_sidecars(fs: Any, path: str) -> list[StoredFile]:
    """The file at ``path``, and those beside it that may describe it, as far as they are there and may be seen.

    Raises:
        FileNotFoundError: there is no such file.
    """
    infos = [asked(fs, "info", path)]
    for beside in sidecar_paths(path):
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            info = asked(fs, "info", beside)
            infos += [] if info.get("islink") else [info]  # what a link would bring into the tables, nobody has named
    files = [stored_file(info) for info in (followed(fs, info) for info in infos) if info["type"] == "file"]
    if not files or files[0].path != infos[0]["name"]:
        raise FileNotFoundError(f"{path} is no file")
    return files


def sidecar_paths(path: str) -> list[str]:
    """Where a file's sidecars would be: beside it, of its stem (``a.json``) or its name (``a.jpg.json``; Takeout's).

    A URL with a query has none: what opens one file opens no other.
    """
    if query_of(path):
        return []
    stem = path[: -len(ending)] if (ending := PurePosixPath(path).suffix) else path
    return [f"{base}{suffix}" for base in dict.fromkeys((stem, path)) for suffix in SIDECARS] + [f"{path}{TAKEOUT}"]


def is_folder(info: dict[str, Any]) -> bool:
    """Whether an entry of a listing, its link followed, is a folder or a link to one."""
    return info["type"] == "directory" or (bool(info.get("islink")) and os.path.isdir(info["name"]))  # noqa: PTH112 - any text


def folder_generation(files: list[StoredFile]) -> str:
    """The generation of a folder, or of a file with its sidecars: a digest over the files' names, sizes and generations."""
    parts = [part for file in sorted(files) for part in (file.name, file.size, file.generation)]
    return digest(*parts)[:32]


def followed(fs: Any, info: dict[str, Any], within: str | None = None) -> dict[str, Any]:
    """The file that a local link leads to, under the link's own name; anything else as it is.

    Args:
        fs: the filesystem.
        info: an entry of a listing.
        within: a folder: links that lead out of it are left as they are, for they may lead anywhere on this machine.
    """
    if not info.get("islink") or (within is not None and not _leads_into(info["name"], within)):
        return info
    try:
        target: dict[str, Any] = fs.info(info["name"])
    except OSError:  # a link that leads nowhere
        return info
    return target if target["type"] == "file" else info


def _leads_into(link: str, folder: str) -> bool:
    return os.path.realpath(link).startswith(os.path.join(os.path.realpath(folder), ""))  # noqa: PTH118 - any text


def _absent(info: dict[str, Any]) -> str:
    if info.get("islink"):
        return "link out of the folder" if os.path.exists(info["name"]) else "link that leads nowhere"  # noqa: PTH110 - any text
    mode = int(info.get("mode", 0))
    kinds = {"named pipe": stat.S_ISFIFO, "socket": stat.S_ISSOCK}
    return next((kind for kind, does in kinds.items() if does(mode)), "device or other special file")


def _straight(path: str) -> str:
    straight, real = os.path.normpath(path), os.path.realpath(path)
    return straight if os.path.realpath(straight) == real else real  # behind a link, `..` is not the folder before it


class RangeFile(AbstractBufferedFile):
    """A read-only file over ranges of ``size`` bytes: each read fetches just what it asks for, and is short only at the end."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        super().__init__(fs=None, path="", cache_type="none", size=size)
        self._range = fetch
        self._failure: ShardDamageError | None = None

    def seek(self, loc: int, whence: int = 0) -> int:
        """Goes to a byte, counted as of any file.

        Raises:
            OSError: it would be one before the start, as of files on disk.
        """
        if (place := loc + (0, self.loc, self.size)[whence]) < 0:
            raise OSError(errno.EINVAL, f"byte {place} is before the start of the file")
        return int(super().seek(loc, whence))

    def raise_failure(self) -> None:
        """Raises what the store failed with, if it did: libraries in between may have made another error of it.

        Raises:
            ShardDamageError: retryable.
        """
        if self._failure:
            raise self._failure

    def _fetch_range(self, start: int, end: int) -> bytes:
        try:
            return self._range(start, min(end, self.size))
        except ShardDamageError as error:
            self._failure = error
            raise
