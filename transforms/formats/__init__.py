"""Shard formats, a file each, and what they share. A new one is a file and a line here; tests run their properties over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Shard, Unread
from causalprint.schemas.urls import bare, public
from causalprint.transforms.faults import MachineFaultError, raise_foreign
from causalprint.transforms.formats import arrow, folder, parquet, tar, tfrecord, zip_archive
from causalprint.transforms.formats.items import Item
from causalprint.transforms.images.kinds import is_image_name, is_silent_name, looks_like_image
from causalprint.transforms.storage.lookup import InputError, Store
from causalprint.transforms.storage.storage import RangeFile, ShardSource, StoredFile, folder_generation, with_sidecars
from causalprint.transforms.storage.streams import compression_of, decompressed_head

SNIFFED_BYTES = 512
PACKED_BYTES = 256 * 1024

Reader = Callable[[ShardSource, ReadOptions], Iterator[Item | Unread]]
OneReader = Callable[[ShardSource, str, int, ReadOptions], EncodedImage | None]


class Format(NamedTuple):
    """One shard format.

    Attributes:
        suffixes: of its files, lower case; empty where it is recognised otherwise.
        begins: whether the first 512 bytes of a file, fewer where it is shorter, are those of a shard of this format.
        read: all members of a shard in order; raises ``ShardDamageError`` when all that can be given was given.
        read_one: one image again, by member and offset, without reading all before it; ``None`` where it cannot tell.
        has_columns: whether images are in columns or features that have names.
        why_no_images: why a file holds no images, or not in the columns that are asked for; where that can be told in advance.
    """

    suffixes: tuple[str, ...]
    begins: Callable[[bytes], bool]
    read: Reader
    read_one: OneReader
    has_columns: bool = False
    why_no_images: Callable[[RangeFile, tuple[str, ...]], str | None] | None = None


FORMATS: dict[str, Format] = {
    "tar": Format(tar.SUFFIXES, tar.is_tar, tar.read, tar.read_one),
    "parquet": Format(
        parquet.SUFFIXES,
        parquet.is_parquet,
        parquet.read,
        parquet.read_one,
        has_columns=True,
        why_no_images=parquet.why_no_images,
    ),
    "arrow": Format(
        arrow.SUFFIXES, arrow.is_arrow, arrow.read, arrow.read_one, has_columns=True, why_no_images=arrow.why_no_images
    ),
    "tfrecord": Format(tfrecord.SUFFIXES, tfrecord.is_tfrecord, tfrecord.read, tfrecord.read_one, has_columns=True),
    "zip": Format(zip_archive.SUFFIXES, zip_archive.is_zip, zip_archive.read, zip_archive.read_one),
    "folder": Format((), lambda _head: False, folder.read, folder.read_one),
}
_SUFFIXES = tuple(suffix for each in FORMATS.values() for suffix in each.suffixes)


def shard_of(store: Store, file: StoredFile, columns: tuple[str, ...] = ()) -> Shard | None:
    """The shard that a file given by itself is, or ``None`` where it is none: by its suffix, else by its first bytes.

    A Parquet file is none where no column holds image bytes: :func:`why_no_shard` says so.

    Args:
        store: that has it.
        file: what is there.
        columns: that hold the images, where the format has columns.

    Raises:
        InputError: the store did not answer, or the file holds images and none in one of ``columns``.
    """
    url, kind = store.url(file.path), format_at(store, file)
    if kind == "folder":
        files = store.ask(lambda: with_sidecars(store.fs, file.path))
        return Shard.at(url, file.size, folder_generation(files), "folder") if files else None
    if kind is None or why_no_shard(store, file, kind, columns):
        return None
    return Shard.at(url, file.size, file.generation, kind, columns if FORMATS[kind].has_columns else ())


def format_at(store: Store, file: StoredFile) -> str | None:
    """The format of a file by its suffix, else by its first bytes, also where these are compressed; of an image ``folder``.

    Raises:
        InputError: the store did not answer.
    """
    if file.absent:
        return None
    kind, is_image = format_of(file.name), is_image_name(file.name)
    if kind is None and is_silent_name(file.name):
        head = store.head(file, SNIFFED_BYTES)
        kind = sniff_format(head)
        if kind is None and compression_of(head):
            kind = sniff_format(decompressed_head(store.head(file, PACKED_BYTES), SNIFFED_BYTES))
        is_image = kind is None and looks_like_image(head)
    return kind or ("folder" if is_image else None)


def why_no_shard(store: Store, file: StoredFile, kind: str | None, columns: tuple[str, ...] = ()) -> str | None:
    """Why a file of format ``kind`` is no shard though its name or its first bytes say so; ``None`` where it is one.

    Raises:
        InputError: it holds images, and none in one of ``columns``.
    """
    reads = FORMATS[kind].why_no_images if kind else None
    if reads is None:
        return None
    try:
        return reads(store.file(file), columns)
    except InputError as error:
        raise InputError(f"{public(store.fs.unstrip_protocol(file.path))}: {error}") from error
    except (ImportError, MachineFaultError):
        raise
    except Exception:  # noqa: BLE001 - reading it will tell
        return None


def format_of(uri: str) -> str | None:
    """The format that the suffix of ``uri`` says, or ``None``."""
    name = bare(uri).rsplit("/", 1)[-1].lower()
    if not name.endswith(_SUFFIXES):
        return None
    return next(kind for kind, each in FORMATS.items() if name.endswith(each.suffixes))


def sniff_format(head: bytes) -> str | None:
    """The format that the first 512 bytes of a file begin, or ``None``."""
    return next((kind for kind, each in FORMATS.items() if _begins(each, head)), None)


def _begins(each: Format, head: bytes) -> bool:
    try:
        return each.begins(head)
    except Exception as error:  # noqa: BLE001 - what nobody foresaw of a file says nothing of it
        raise_foreign(error)
        return False
