"""Whole images one by one, of image files as well as of shards, with what is known of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import EncodedImage, Shard

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
    from causalprint.transforms.formats.kinds import is_image_name
    from causalprint.transforms.formats.slices import read_slices
    from causalprint.transforms.match_shards import match_shards

    files = [each for each in inputs if is_image_name(each.rpartition("/")[2])]
    others = [each for each in inputs if each not in files]
    for given in files:
        yield from _read_files(given, storage)
    for shard in match_shards(others, storage):
        for slice_ in read_slices(shard, "images", _SLICING, storage):
            yield Portion(shard, slice_.images, slice_.seen - len(slice_.images))
            if slice_.damage:
                raise ValueError(f"{shard.uri}: {slice_.damage}; give whole shards")


def _read_files(given: str, storage: Storage) -> Iterator[Portion]:
    from causalprint.transforms.formats.lookup import InputError, Store
    from causalprint.transforms.formats.options import ReadOptions
    from causalprint.transforms.formats.storage import filesystem

    fs, path = filesystem(given, storage)
    store = Store(given, fs, ReadOptions())
    literal = store.info(path)
    found = [literal] if literal else store.glob(path) if _WILD.search(path) else []
    if not found:
        raise InputError(f"input {given!r} matches nothing: there is no {path}")
    for file in (each.file for each in found if each.file):
        folder = Shard(f"{fs.unstrip_protocol(file.parent)}/", file.size, file.generation, "folder")
        yield Portion(folder, (EncodedImage(file.name, 0, store.head(file, file.size)),), 0)
