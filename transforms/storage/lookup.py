"""What a store has under a name: objects, folders and all below them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import ShardDamageError
from causalprint.transforms.storage.storage import RangeFile, StoredFile, followed, is_local, retried, stored_file

OUTPUT_MARK = "_causalprint.json"
LISTED_TOGETHER = 8
ASKED_TOGETHER = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


class InputError(ValueError):
    """An input that matches nothing, or nothing that can be read; the message says which and what to do."""


class Found(NamedTuple):
    """What a store has: a ``file``, or a folder where that is ``None``."""

    path: str
    file: StoredFile | None


@dataclass(frozen=True, slots=True)
class Store:
    """The store of one input.

    Attributes:
        given: the input, for errors.
        fs: its fsspec filesystem.
        options: for the retries.
    """

    given: str
    fs: Any
    options: ReadOptions

    def ask(self, call: Callable[[], Result]) -> Result | None:
        """What ``call`` says, or ``None`` where there is no such object.

        Raises:
            InputError: the store did not answer.
        """
        try:
            return retried(call, self.given, self.options)
        except ShardDamageError as error:
            cause = error.__cause__
            if isinstance(cause, FileNotFoundError | NotADirectoryError):
                return None
            message = f"cannot look up {self.given!r}, {type(cause).__name__}: {cause}; check URL, credentials, --storage-options"
            raise InputError(message) from cause

    def info(self, path: str) -> Found | None:
        """What is at ``path``."""
        info = self.ask(lambda: self.fs.info(path))
        return None if info is None else self._found(info)

    def infos(self, paths: Sequence[str]) -> Iterator[tuple[str, Found | None]]:
        """What is at each path; where many are in one folder, it is listed once, if it may be."""
        for parent, group in groupby(sorted(set(paths)), key=lambda path: path.rpartition("/")[0]):
            together = list(group)
            listing = self._listing(parent) if len(together) > LISTED_TOGETHER else None
            yield from ((path, self.info(path) if listing is None else listing.get(path)) for path in together)

    def glob(self, pattern: str) -> list[Found]:
        """What matches ``pattern``."""
        matches: dict[str, dict[str, Any]] = self.ask(lambda: self.fs.glob(pattern, detail=True)) or {}
        return [self._found(info) for _, info in sorted(matches.items())]

    def below(self, folder: str) -> Iterator[list[StoredFile]]:
        """The files of each folder in and below ``folder``, ordered by name.

        Left out are folders that begin with a dot, links to folders and out of ``folder``, and folders that this program wrote
        its output to.
        """
        infos: dict[str, dict[str, Any]] = self.ask(lambda: self.fs.find(folder, detail=True)) or {}
        visible = [info for name, info in infos.items() if not _in_hidden(name, folder)]
        files = [
            found.file for found in (self._found(info, folder) for info in visible) if found.file and not found.path.endswith("/")
        ]
        outputs = {file.parent for file in files if file.name == OUTPUT_MARK}
        for parent, group in groupby(sorted(files, key=lambda file: (file.parent, file.name)), key=lambda file: file.parent):
            if not any(f"{parent}/".startswith(f"{output}/") for output in outputs):
                yield list(group)

    def each(self, call: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """``call`` of each item, in order; of some at once where the store is not a local disk."""
        if is_local(self.given) or len(items) == 1:
            yield from map(call, items)
            return
        with ThreadPoolExecutor(ASKED_TOGETHER, thread_name_prefix="look-up") as pool:
            yield from pool.map(call, items)

    def head(self, file: StoredFile, size: int) -> bytes:
        """The first ``size`` bytes of a file, fewer where it is shorter."""
        end = min(size, file.size)
        return self.ask(lambda: self.fs.cat_file(file.path, start=0, end=end)) or b""

    def file(self, file: StoredFile) -> RangeFile:
        """``file`` to seek in; its reads raise a retryable ``ShardDamageError`` where the store does not give them."""
        what = f"{self.fs.unstrip_protocol(file.path)} could not be read"
        return RangeFile(lambda start, end: retried(lambda: self._range(file, start, end), what, self.options), file.size)

    def _range(self, file: StoredFile, start: int, end: int) -> bytes:
        data: bytes = self.fs.cat_file(file.path, start=start, end=end) if start < end else b""
        if len(data) != end - start:
            raise EOFError(f"got {len(data)} of {end - start} bytes")
        return data

    def _listing(self, folder: str) -> dict[str, Found] | None:
        try:
            infos = self.ask(lambda: self.fs.ls(folder, detail=True)) or []
        except InputError:  # objects of a bucket may be open to those who may not list it
            return None
        return {info["name"]: self._found(info) for info in infos}

    def _found(self, info: dict[str, Any], within: str | None = None) -> Found:
        told = followed(self.fs, info, within)
        return Found(info["name"], stored_file(told) if told["type"] == "file" else None)


def _in_hidden(path: str, folder: str) -> bool:
    return "/." in path.removeprefix(folder).rpartition("/")[0]
