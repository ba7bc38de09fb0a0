"""A folder of image files: every image file in it, and none below it, is one member. An image file by itself is read alike."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, Shard, Skipped
from causalprint.schemas.names import well_formed
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.formats.items import Item, checked_image, sidecar_metadata, too_large
from causalprint.transforms.images.kinds import is_image_name, is_other_name, is_sidecar_name, looks_like_image
from causalprint.transforms.storage.storage import SIDECARS, ShardSource, StoredFile, folder_generation

SNIFFED_BYTES = 64
FETCHED_TOGETHER = 8


def read(source: ShardSource, options: ReadOptions) -> Iterator[Item]:
    """Every file of the folder, ordered by name; of an image file by itself, that and those beside it that may describe it.

    An image's sidecars are ``.json`` and ``.txt`` files of the same stem (``a.json``) or name (``a.jpg.json``). A file
    whose suffix says nothing is an image if its first bytes are one's.

    Raises:
        ShardDamageError: retryable; a file could not be read, or is no longer there.
    """
    files = source.files()
    sidecars = _sidecars(files, options)
    used = {each.name for several in sidecars.values() for each in several}

    def load(file: StoredFile) -> Item | None:
        if file.name in used:
            return None
        return _load(source, file, sidecars.get(file.name, []), options)

    for item in _ahead(files, load, 1 if source.is_local else FETCHED_TOGETHER, options.max_sample_bytes):
        if item is not None:
            yield item


def folder_shard(uri: str, files: list[StoredFile]) -> Shard:
    """The shard that a folder of ``files`` is; its size is that of those named as images."""
    size = sum(file.size for file in files if is_image_name(file.name))
    return Shard.at(well_formed(uri), size, folder_generation(files), "folder")


def read_one(source: ShardSource, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image file named ``member``, if it is there."""
    del offset
    file = next((each for each in source.files() if each.name == member), None)
    item = _load(source, file, [], options) if file else None
    return item if isinstance(item, EncodedImage) else None


def _load(source: ShardSource, file: StoredFile, sidecars: list[StoredFile], options: ReadOptions) -> Item:
    image = is_image_name(file.name)
    if not image and not is_sidecar_name(file.name) and not is_other_name(file.name):
        image = looks_like_image(source.fetch(0, min(file.size, SNIFFED_BYTES), file))
    if not image:
        return Skipped(file.name, 0)
    told = [(each.name.rsplit(".", 1)[-1].lower(), source.fetch(0, each.size, each)) for each in sidecars]
    metadata = sidecar_metadata(told)
    if file.size > options.max_encoded_bytes:
        return Reject(file.name, 0, Stage.READ, Reason.TOO_LARGE, too_large(file.size, options), metadata=metadata)
    return checked_image(file.name, 0, source.fetch(0, file.size, file), metadata, options)


def _sidecars(files: list[StoredFile], options: ReadOptions) -> dict[str, list[StoredFile]]:
    """The sidecars of each image file."""
    images = defaultdict(list)
    for file in files:
        if is_image_name(file.name):
            images[file.name].append(file.name)
            images[_stem(file.name)].append(file.name)
    found: dict[str, list[StoredFile]] = defaultdict(list)
    for file in files:
        if file.name.lower().endswith(SIDECARS) and file.size <= options.max_sidecar_bytes:
            for name in images.get(_stem(file.name), []):
                found[name].append(file)
    return found


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


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
