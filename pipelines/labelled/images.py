"""Whole images one by one, of image files as well as of shards, with what is known of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from causalprint.schemas.config import ReadOptions, Slicing, Storage
from causalprint.schemas.elements import EncodedImage, Shard

if TYPE_CHECKING:
    from causalprint.transforms.storage.lookup import Store
    from causalprint.transforms.storage.storage import StoredFile

_WILD = re.compile(r"[*?\[]")
_SLICING = Slicing(images=64, bytes=64 * 1024 * 1024)


class Portion(NamedTuple):
    """Some encoded images of one shard; the folder is the shard of an image file that was named by itself."""

    shard: Shard
    images: tuple[EncodedImage, ...]
    unreadable: int


def read_portions(inputs: Sequence[str], storage: Storage) -> Iterator[Portion]:
    """The images of ``inputs``, a portion at a time: image files, globs of them, and all that an audit takes.

    Raises:
        InputError: an input matches nothing.
        ValueError: a shard is damaged.
    """
    from causalprint.transforms.formats.slices import read_slices
    from causalprint.transforms.match_shards import match_shards

    shards: list[str] = []
    for given in inputs:
        found = _image_files(given, storage)
        shards += found.others
        for file in found.files:
            folder = Shard(f"{found.store.fs.unstrip_protocol(file.parent)}/", file.size, file.generation, "folder")
            yield Portion(folder, (EncodedImage(file.name, 0, found.store.head(file, file.size)),), 0)
    for shard in match_shards(shards, storage):
        for slice_ in read_slices(shard, "images", _SLICING, storage):
            yield Portion(shard, slice_.images, slice_.seen - len(slice_.images))
            if slice_.damage:
                raise ValueError(f"{shard.uri}: {slice_.damage}; give whole shards")


class _Sorted(NamedTuple):
    store: Store
    files: list[StoredFile]
    others: list[str]


def _image_files(given: str, storage: Storage) -> _Sorted:
    """The image files that an input names or matches, and the inputs that are left for an audit's own matching."""
    from causalprint.transforms.formats import format_of
    from causalprint.transforms.images.kinds import is_image_name
    from causalprint.transforms.storage.lookup import InputError, Store
    from causalprint.transforms.storage.storage import filesystem

    fs, path = filesystem(given, storage)
    store = Store(given, fs, ReadOptions())
    named = is_image_name(path.rpartition("/")[2])
    literal = store.info(path) if named else None  # first, since the name of a file may hold brackets
    found = [literal] if literal else store.glob(path) if _WILD.search(path) else []
    images = [each.file for each in found if each.file and is_image_name(each.file.name)]
    if named and not images:
        raise InputError(f"input {given!r} matches nothing: there is no {path}")
    if not images:
        return _Sorted(store, [], [given])
    others = [each.path for each in found if each.file is None or format_of(each.path)]
    return _Sorted(store, images, [fs.unstrip_protocol(other) for other in others])
