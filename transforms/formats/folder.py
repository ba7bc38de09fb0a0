"""A folder of image files: every image file in it, and none below it, is one member. An image file by itself is read alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, Shard, ShardDamageError, Skipped, Unread
from causalprint.schemas.names import well_formed
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.formats.image_lists import is_list, lines_of, read_lists
from causalprint.transforms.formats.items import (
    LARGE_SIDECAR,
    Damage,
    Item,
    checked_image,
    metadata_or_none,
    sidecar_metadata,
    too_large,
    unparsed,
)
from causalprint.transforms.formats.samples import ORPHAN, within_bounds
from causalprint.transforms.formats.sidecars import match_sidecars
from causalprint.transforms.images.kinds import is_image_name, is_sidecar_name, is_silent_name, looks_like_image
from causalprint.transforms.storage.storage import ShardSource, StoredFile, folder_generation

SNIFFED_BYTES = 64
FETCHED_TOGETHER = 8
MANY_UNREAD = 8
"""Files in a row that the store does not give: then it gives none."""


def read(source: ShardSource, options: ReadOptions) -> Iterator[Item | Unread]:
    """Every file of the folder, ordered by name; of an image file by itself, that and those beside it that may describe it.

    An image's sidecars are those that :func:`~causalprint.transforms.formats.sidecars.match_sidecars` says, and of a folder its
    line of ``metadata.jsonl`` or ``metadata.csv``, as of an imagefolder of Hugging Face; lines of no image are skipped members. A
    file whose suffix says nothing is an image if its first bytes are one's. What is a link describes nothing. Files that are
    shards of their own (``source.apart``) are left to these. One file that the store does not give costs itself.

    Raises:
        ShardDamageError: an image has a name and no bytes, after everything else was given (a link that leads nowhere); or
            something could not be parsed. Or (retryable) the store gives nothing more.
    """
    files = source.files()
    damage = Damage()
    sidecars = metadata_or_none(lambda: _sidecars(files, options), "all images", damage) or {}
    lists = read_lists(source, files, options, damage)
    unused = {each.path: each for several in sidecars.values() for _, each in several}
    used = {each.file.path for each in lists} | set(unused)

    def load(file: StoredFile) -> _Loaded:
        beside = _Beside(sidecars.get(file.path, []), lines_of(lists, file.name), Damage(), [])
        try:
            return _Loaded(file, beside, _load(source, file, beside, options))
        except Exception as error:  # noqa: BLE001 - looked at when its turn comes
            return _Loaded(file, beside, error)

    unread = 0
    described: set[str] = set()
    members = [file for file in files if file.path not in used and file.name not in source.apart]
    for loaded in _ahead(members, load, 1 if source.is_local else FETCHED_TOGETHER, options.max_sample_bytes):
        item = loaded.outcome(damage)
        if isinstance(item, Unread):
            unread += 1
            if unread == MANY_UNREAD or not source.uri.endswith("/"):
                raise ShardDamageError(item.why, retryable=True)
        elif not isinstance(item, Skipped):
            unread = 0
        yield from loaded.beside.unread  # first, so that no slice is finished without it
        yield item
        if not isinstance(item, Skipped):
            described.add(loaded.file.name)
            for _, sidecar in loaded.beside.sidecars:
                unused.pop(sidecar.path, None)
    yield from (Skipped(sidecar.name, 0, ORPHAN) for sidecar in unused.values())  # those of files that are no images
    for each in lists:
        yield from each.unused(described)
    _note_absent(files, damage)
    damage.raise_if_any()


def folder_shard(uri: str, files: list[StoredFile]) -> Shard:
    """The shard that a folder of ``files`` is; its size is that of those named as images."""
    size = sum(file.size for file in files if is_image_name(file.name))
    return Shard.at(well_formed(uri), size, folder_generation(files), "folder")


def read_one(source: ShardSource, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image file named ``member``, if it is there."""
    del offset
    file = next((each for each in source.files() if each.name == member), None)
    item = _load(source, file, _Beside([], [], Damage(), []), options) if file else None
    if isinstance(item, Unread):
        raise ShardDamageError(item.why, retryable=True)
    return item if isinstance(item, EncodedImage) else None


def _note_absent(files: list[StoredFile], damage: Damage) -> None:
    for file in files:
        if file.absent and is_image_name(file.name):
            damage.note(f"{file.name!r} has no bytes: it is a {file.absent}")


class _Beside(NamedTuple):
    """What describes a file, its sidecars and its lines; what was found wrong with that, and what was not given of it."""

    sidecars: list[tuple[str, StoredFile]]
    lines: list[bytes]
    damage: Damage
    unread: list[Unread]


class _Loaded(NamedTuple):
    """What came of a file, and what describes it."""

    file: StoredFile
    beside: _Beside
    found: Item | Unread | Exception

    def outcome(self, damage: Damage) -> Item | Unread:
        """The item; of a file that could not be read or parsed, what becomes of it. What is wrong is told to ``damage``."""
        if self.beside.damage.text:
            damage.note(self.beside.damage.text)
        if isinstance(self.found, ShardDamageError) and self.found.retryable:
            return Unread(self.file.name, 0, None, str(self.found))
        return unparsed(self.file.name, 0, self.found, damage) if isinstance(self.found, Exception) else self.found


def _load(source: ShardSource, file: StoredFile, beside: _Beside, options: ReadOptions) -> Item | Unread:
    image = is_image_name(file.name)
    if file.absent:
        detail = f"a {file.absent} has none"
        return Reject(file.name, 0, Stage.READ, Reason.NO_BYTES, detail) if image else Skipped(file.name, 0)
    if not image and is_silent_name(file.name):
        image = looks_like_image(source.fetch(0, min(file.size, SNIFFED_BYTES), file))
    if not image:
        return Skipped(file.name, 0, _kind_of(file, options))
    told = []
    for key, each in beside.sidecars:
        try:
            told.append((key, source.fetch(0, each.size, each)))
        except ShardDamageError as error:
            beside.unread.append(Unread(each.name, 0, None, str(error)))
    told += [("json", line) for line in beside.lines]
    metadata = metadata_or_none(lambda: sidecar_metadata(told), file.name, beside.damage)
    if file.size > options.max_encoded_bytes:
        return Reject(file.name, 0, Stage.READ, Reason.TOO_LARGE, too_large(file.size, options), metadata=metadata)
    try:
        data = source.fetch(0, file.size, file)
    except ShardDamageError as error:
        return Unread(file.name, 0, file.size + len(file.name) + len(metadata or ""), str(error))
    return checked_image(file.name, 0, data, metadata, options)


def _sidecars(files: list[StoredFile], options: ReadOptions) -> dict[str, list[tuple[str, StoredFile]]]:
    """The sidecars of each image file, by its path, and the keys of each."""
    images = [file for file in files if is_image_name(file.name) or is_silent_name(file.name)]
    others = [
        file
        for file in files
        if is_sidecar_name(file.name) and not (file.link or file.absent) and file.size <= options.max_sidecar_bytes
    ]
    found = match_sidecars([file.name for file in images], [file.name for file in others])
    sidecars = {}
    for image, told in zip(images, found, strict=True):
        sized = ((each, others[each.sidecar].size, each.shared) for each in told)
        sidecars[image.path] = [(each.key, others[each.sidecar]) for each in within_bounds(sized, image.size, options)]
    return sidecars


def _kind_of(file: StoredFile, options: ReadOptions) -> str:
    """What to count a file under that describes no image, where its name does not say."""
    if is_list(file) and file.size > options.max_sample_bytes:
        return f"{file.name.lower()} that is too large"
    if not is_sidecar_name(file.name):
        return ""
    return LARGE_SIDECAR if file.size > options.max_sidecar_bytes else ORPHAN


def _ahead(files: list[StoredFile], load: Callable[[StoredFile], _Loaded], together: int, most: int) -> Iterator[_Loaded]:
    """``load`` of each file, in order; of some files at once, in the background, while they have no more than ``most`` bytes."""
    if together == 1:
        yield from map(load, files)
        return
    waiting: deque[tuple[int, Future[_Loaded]]] = deque()
    with ThreadPoolExecutor(together, thread_name_prefix="read-ahead") as pool:
        try:
            for file in files:
                while waiting and (len(waiting) >= together or sum(size for size, _ in waiting) + file.size > most):
                    yield waiting.popleft()[1].result()
                waiting.append((file.size, pool.submit(load, file)))
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
