"""A folder of image files: every image file in it, and none below it, is one member. An image file by itself is read alike."""

from __future__ import annotations

import csv
import io
import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, Shard, Skipped
from causalprint.schemas.names import well_formed
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.formats.items import Damage, Item, checked_image, parsed_json, sidecar_metadata, too_large
from causalprint.transforms.formats.samples import ORPHAN, within_bounds
from causalprint.transforms.formats.sidecars import match_sidecars
from causalprint.transforms.images.kinds import is_image_name, is_other_name, is_sidecar_name, looks_like_image
from causalprint.transforms.storage.storage import ShardSource, StoredFile, folder_generation

SNIFFED_BYTES = 64
FETCHED_TOGETHER = 8
LISTS = ("metadata.jsonl", "metadata.csv")


def read(source: ShardSource, options: ReadOptions) -> Iterator[Item]:
    """Every file of the folder, ordered by name; of an image file by itself, that and those beside it that may describe it.

    An image's sidecars are those that :func:`~causalprint.transforms.formats.sidecars.match_sidecars` says, and of a folder its
    line of ``metadata.jsonl`` or ``metadata.csv``, as of an imagefolder of Hugging Face. A file whose suffix says nothing is an
    image if its first bytes are one's. What is a link describes nothing.

    Raises:
        ShardDamageError: an image has a name and no bytes, after everything else was given (a link that leads nowhere). Or
            (retryable) a file could not be read, or is no longer there.
    """
    files = source.files()
    sidecars = _sidecars(files, options)
    used = {each.path for several in sidecars.values() for _, each in several}
    lines: dict[str, bytes] = {}
    for file in files:
        if file.name.lower() in LISTS and not (file.link or file.absent) and file.size <= options.max_sample_bytes:
            told = file_lines(file.name, source.fetch(0, file.size, file))
            lines |= told
            used |= {file.path} if told else set()

    def load(file: StoredFile) -> Item | None:
        if file.path in used:
            return None
        return _load(source, file, sidecars.get(file.path, []), lines.get(file.name), options)

    for item in _ahead(files, load, 1 if source.is_local else FETCHED_TOGETHER, options.max_sample_bytes):
        if item is not None:
            yield item
    damage = Damage()
    for file in files:
        if file.absent and is_image_name(file.name):
            damage.note(f"{file.name!r} has no bytes: it is a {file.absent}")
    damage.raise_if_any()


def folder_shard(uri: str, files: list[StoredFile]) -> Shard:
    """The shard that a folder of ``files`` is; its size is that of those named as images."""
    size = sum(file.size for file in files if is_image_name(file.name))
    return Shard.at(well_formed(uri), size, folder_generation(files), "folder")


def read_one(source: ShardSource, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image file named ``member``, if it is there."""
    del offset
    file = next((each for each in source.files() if each.name == member), None)
    item = _load(source, file, [], None, options) if file else None
    return item if isinstance(item, EncodedImage) else None


def _load(
    source: ShardSource, file: StoredFile, sidecars: list[tuple[str, StoredFile]], line: bytes | None, options: ReadOptions
) -> Item:
    image = is_image_name(file.name)
    if file.absent:
        detail = f"a {file.absent} has none"
        return Reject(file.name, 0, Stage.READ, Reason.NO_BYTES, detail) if image else Skipped(file.name, 0)
    if not image and _is_silent(file.name):
        image = looks_like_image(source.fetch(0, min(file.size, SNIFFED_BYTES), file))
    if not image:
        return Skipped(file.name, 0, ORPHAN if is_sidecar_name(file.name) else "")
    told = [(key, source.fetch(0, each.size, each)) for key, each in sidecars]
    metadata = sidecar_metadata(told if line is None else [*told, ("json", line)])
    if file.size > options.max_encoded_bytes:
        return Reject(file.name, 0, Stage.READ, Reason.TOO_LARGE, too_large(file.size, options), metadata=metadata)
    return checked_image(file.name, 0, source.fetch(0, file.size, file), metadata, options)


def _sidecars(files: list[StoredFile], options: ReadOptions) -> dict[str, list[tuple[str, StoredFile]]]:
    """The sidecars of each image file, by its path, and the keys of each."""
    images = [file for file in files if is_image_name(file.name) or _is_silent(file.name)]
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


def _is_silent(name: str) -> bool:
    """Whether the name does not say what this is."""
    return not (is_image_name(name) or is_sidecar_name(name) or is_other_name(name))


def file_lines(name: str, data: bytes) -> dict[str, bytes]:
    """The lines of a ``metadata.jsonl`` or ``metadata.csv`` as JSON objects, by their ``file_name``; none where there is no such.

    What is no line of that kind tells nothing.
    """
    if name.lower().endswith(".csv"):
        rows: Iterator[object] = iter(csv.DictReader(io.StringIO(data.decode("utf-8-sig", "replace"), newline="")))
        texts = ((row, json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")) for row in rows)
    else:
        texts = ((parsed_json(line.decode("utf-8-sig", "replace")), line) for line in data.splitlines())
    lines: dict[str, bytes] = {}
    with suppress(csv.Error):
        for row, text in texts:
            if isinstance(row, dict) and isinstance(file := row.get("file_name"), str):
                lines.setdefault(file.removeprefix("./"), text)
    return lines


def _ahead(files: list[StoredFile], load: Callable[[StoredFile], Item | None], together: int, most: int) -> Iterator[Item | None]:
    """``load`` of each file, in order; of some files at once, in the background, while they have no more than ``most`` bytes."""
    if together == 1:
        yield from map(load, files)
        return
    waiting: deque[tuple[int, Future[Item | None]]] = deque()
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
