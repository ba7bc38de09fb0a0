"""Shard formats, a file each, and what they share. A new one is a file and a line here; tests run their properties over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Shard
from causalprint.schemas.urls import bare
from causalprint.transforms.formats import folder, parquet, tar, tfrecord
from causalprint.transforms.formats.items import Item
from causalprint.transforms.images.kinds import is_image_name, is_other_name, is_sidecar_name, looks_like_image
from causalprint.transforms.storage.lookup import Store
from causalprint.transforms.storage.storage import ShardSource, StoredFile, folder_generation, with_sidecars

SNIFFED_BYTES = 512

Reader = Callable[[ShardSource, ReadOptions], Iterator[Item]]
OneReader = Callable[[ShardSource, str, int, ReadOptions], EncodedImage | None]


class Format(NamedTuple):
    """One shard format.

    Attributes:
        suffixes: of its files, lower case; empty where it is recognised otherwise.
        begins: whether the first 512 bytes of a file, fewer where it is shorter, are those of a shard of this format.
        read: all members of a shard in order; raises ``ShardDamageError`` when all that can be given was given.
        read_one: one image again, by member and offset, without reading all before it; ``None`` where it cannot tell.
    """

    suffixes: tuple[str, ...]
    begins: Callable[[bytes], bool]
    read: Reader
    read_one: OneReader


FORMATS: dict[str, Format] = {
    "tar": Format(tar.SUFFIXES, tar.is_tar, tar.read, tar.read_one),
    "parquet": Format(parquet.SUFFIXES, parquet.is_parquet, parquet.read, parquet.read_one),
    "tfrecord": Format(tfrecord.SUFFIXES, tfrecord.is_tfrecord, tfrecord.read, tfrecord.read_one),
    "folder": Format((), lambda _head: False, folder.read, folder.read_one),
}


def shard_of(store: Store, file: StoredFile) -> Shard | None:
    """The shard that a file given by itself is, or ``None`` where it is none: by its suffix, else by its first bytes.

    Raises:
        InputError: the store did not answer.
    """
    uri, kind = store.fs.unstrip_protocol(file.path), format_of(file.name)
    is_image = is_image_name(file.name)
    if not (kind or is_image or is_sidecar_name(file.name) or is_other_name(file.name)):
        head = store.head(file, SNIFFED_BYTES)
        kind, is_image = sniff_format(head), looks_like_image(head)
    if kind:
        return Shard.at(uri, file.size, file.generation, kind)
    files = store.ask(lambda: with_sidecars(store.fs, file.path)) if is_image else None
    return Shard.at(uri, file.size, folder_generation(files), "folder") if files else None


def format_of(uri: str) -> str | None:
    """The format that the suffix of ``uri`` says, or ``None``."""
    name = bare(uri).rsplit("/", 1)[-1].lower()
    return next((kind for kind, each in FORMATS.items() if name.endswith(each.suffixes)), None)


def sniff_format(head: bytes) -> str | None:
    """The format that the first 512 bytes of a file begin, or ``None``."""
    return next((kind for kind, each in FORMATS.items() if each.begins(head)), None)
