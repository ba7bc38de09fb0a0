"""What a store has under a name: objects, folders and all below them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

from fsspec.implementations.local import LocalFileSystem

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import ShardDamageError
from causalprint.schemas.losses import LeftOut
from causalprint.schemas.names import well_formed
from causalprint.schemas.urls import is_web, public, query_of, scrubbed
from causalprint.transforms.storage.retries import LIST_SECONDS, StoreRefusalError, is_unreachable, remedy, retried, timed, told
from causalprint.transforms.storage.storage import (
    RangeFile,
    StoredFile,
    asked,
    followed,
    is_folder,
    is_local,
    sized,
    stored_file,
)

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


class Below(NamedTuple):
    """What lies in and below a folder: the files of each folder, ordered by name, and what was left out."""

    folders: list[list[StoredFile]]
    left_out: list[LeftOut]


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

    def url(self, path: str) -> str:
        """The URL of what is at ``path``, with what signs it."""
        return well_formed(self.fs.unstrip_protocol(path))

    def uri(self, path: str) -> str:
        """The URI of what is at ``path``, as tables hold it."""
        return public(self.url(path))

    def ask(self, call: Callable[[], Result]) -> Result | None:
        """What ``call`` says, or ``None`` where there is no such object.

        Raises:
            InputError: the store did not answer.
        """
        try:
            return retried(call, self.given, self.options)
        except TypeError as error:
            if "unexpected keyword" not in str(error):
                raise
            raise InputError(scrubbed(f"input {self.given!r}: its store takes other --storage-options: {error}")) from error
        except ShardDamageError as error:
            cause = error.__cause__
            if isinstance(cause, FileNotFoundError | NotADirectoryError):
                return None
            if cause is None or isinstance(cause, StoreRefusalError):
                raise InputError(scrubbed(f"input {self.given!r}: {cause}")) from cause
            what = "reach" if is_unreachable(cause) else "look up"
            otherwise = "check URL, credentials, --storage-options, or run the same command again later"
            message = f"cannot {what} {self.given!r}, {told(cause)}; {remedy(cause, otherwise)}"
            raise InputError(scrubbed(message)) from cause

    def info(self, path: str) -> Found | None:
        """What is at ``path``."""
        info = self.ask(lambda: asked(self.fs, "info", path))
        return None if info is None else self._found(info)

    def infos(self, paths: Sequence[str]) -> Iterator[tuple[str, Found | None]]:
        """What is at each path; where many are in one folder, it is listed once, if it may be, and if a listing tells all."""
        if any(map(is_web, paths)):  # pages of web servers may leave files out, and have no sizes
            with ThreadPoolExecutor(LISTED_TOGETHER, thread_name_prefix="lookup") as pool:
                wanted = sorted(set(paths))
                yield from zip(wanted, pool.map(self.info, wanted), strict=True)
            return
        for parent, group in groupby(sorted(set(paths)), key=lambda path: path.rpartition("/")[0]):
            together = list(group)
            listing = self._listing(parent) if len(together) > LISTED_TOGETHER else None
            yield from ((path, self.info(path) if listing is None else listing.get(path)) for path in together)

    def glob(self, pattern: str) -> list[Found]:
        """What matches ``pattern``."""
        if query_of(pattern):
            raise InputError(
                f"input {public(self.given)!r}: a glob takes no query; name the shards, as in a range: {{00000..00099}}"
            )

        def globbed() -> list[dict[str, Any]]:
            matches = timed(self.fs, "glob", pattern, detail=True, seconds=LIST_SECONDS)
            return sized(self.fs, [info for _, info in sorted(matches.items())])

        return [self._found(info) for info in self.ask(globbed) or []]

    def below(self, folder: str) -> Below:
        """What lies in and below ``folder``.

        Left out are folders that begin with a dot, links to folders and out of ``folder``, folders that this program wrote its
        output to, and on a local disk folders that cannot be listed. What a link to a folder leads to is missing, unless it is
        listed under its own name.
        """
        found: list[Found] = []
        left_out: dict[str, LeftOut] = {}
        for path, info in self._everything(folder, left_out):
            hidden = _hidden_folder(path, folder)
            if hidden:
                left_out[hidden] = self._left_out("hidden folder", hidden)
            elif not path.endswith("/"):
                found.append(self._found(info, folder))
        outputs = {each.file.parent for each in found if each.file and each.file.name == OUTPUT_MARK}
        left_out |= {output: self._left_out("output of this program", output) for output in outputs}
        left_out |= {each.path: self._left_out_link(each.path, folder) for each in found if each.file is None}
        files = [each.file for each in found if each.file and not _is_below(each.file.parent, outputs)]
        files.sort(key=lambda file: (file.parent, file.name))
        folders = [list(group) for _, group in groupby(files, key=lambda file: file.parent)]
        return Below(folders, [each for path, each in left_out.items() if not _is_below(path.rpartition("/")[0], outputs)])

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
        return self.ask(lambda: asked(self.fs, "cat_file", file.path, start=0, end=end)) or b""

    def file(self, file: StoredFile) -> RangeFile:
        """``file`` to seek in; its reads raise a retryable ``ShardDamageError`` where the store does not give them."""
        what = f"{public(self.fs.unstrip_protocol(file.path))} could not be read"
        return RangeFile(lambda start, end: retried(lambda: self._range(file, start, end), what, self.options), file.size)

    def _range(self, file: StoredFile, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        seconds = self.options.seconds_for(end - start)
        data: bytes = timed(self.fs, "cat_file", file.path, start=start, end=end, seconds=seconds)
        if len(data) != end - start:
            raise EOFError(f"got {len(data)} of {end - start} bytes")
        return data

    def _everything(self, folder: str, left_out: dict[str, LeftOut]) -> Iterator[tuple[str, dict[str, Any]]]:
        """All files, and links to folders, below ``folder`` with their entries in the listing."""
        if not isinstance(self.fs, LocalFileSystem):

            def found() -> list[dict[str, Any]]:
                infos = timed(self.fs, "find", folder, detail=True, seconds=LIST_SECONDS)
                return sized(self.fs, list(infos.values()))

            yield from ((info["name"], info) for info in self.ask(found) or [])
            return
        waiting = [folder]  # find() of fsspec passes over folders that cannot be listed
        while waiting:
            path = waiting.pop()
            try:
                listed = self.fs.ls(path, detail=True)
            except FileNotFoundError:
                continue
            except OSError:
                left_out[path] = self._left_out("folder that cannot be listed", path, missing=True)
                continue
            for info in listed:
                if info["type"] != "directory":
                    yield info["name"], info
                elif _hidden_folder(f"{info['name']}/", folder):
                    left_out[info["name"]] = self._left_out("hidden folder", info["name"])
                else:
                    waiting.append(info["name"])

    def _left_out(self, kind: str, path: str, *, missing: bool = False) -> LeftOut:
        """A folder that is left out; like those of shards, its URI ends in a slash."""
        return LeftOut(kind, 1, f"{self.uri(path)}/", missing)

    def _left_out_link(self, link: str, folder: str) -> LeftOut:
        root, target = (os.path.join(os.path.realpath(each), "") for each in (folder, link))  # noqa: PTH118 - any text
        listed = target.startswith(root) and not _hidden_folder(target, root)
        return self._left_out("link to a folder", link, missing=not listed)

    def _listing(self, folder: str) -> dict[str, Found] | None:
        try:
            infos = self.ask(lambda: sized(self.fs, timed(self.fs, "ls", folder, detail=True, seconds=LIST_SECONDS))) or []
        except InputError:  # objects of a bucket may be open to those who may not list it
            return None
        return {info["name"]: self._found(info) for info in infos}

    def _found(self, info: dict[str, Any], within: str | None = None) -> Found:
        told = followed(self.fs, info, within)
        return Found(info["name"], None if is_folder(told) else stored_file(told))


def _hidden_folder(path: str, folder: str) -> str | None:
    """The first folder below ``folder`` on the way to ``path`` whose name begins with a dot."""
    parts = path.removeprefix(folder).split("/")[:-1]
    return next((folder + "/".join(parts[: index + 1]) for index, part in enumerate(parts) if part.startswith(".")), None)


def _is_below(folder: str, outputs: set[str]) -> bool:
    return any(f"{folder}/".startswith(f"{output}/") for output in outputs)
