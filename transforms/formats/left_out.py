"""What is left out of an input, by kind: what looks like a shard and is in no format that is read, and what is plainly none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from causalprint.schemas.elements import Shard, ShardDamageError, Skipped, Unread
from causalprint.schemas.losses import LeftOut
from causalprint.transforms.formats import FORMATS, format_of, sniff_format
from causalprint.transforms.formats.items import Damage, Item
from causalprint.transforms.images.kinds import (
    called,
    is_image_name,
    is_other_name,
    is_sidecar_name,
    is_silent_name,
    is_unread_archive,
)
from causalprint.transforms.storage.storage import StoredFile

NUMBERED = re.compile(r"-\d+-of-\d+")
FOLDER_TABLES = (".lance", ".zarr", ".lmdb")
"""Endings of folders that are one table, whatever files they are made of."""


def left_out_file(file: StoredFile, uri: str) -> LeftOut:
    """A file that is no shard and no image."""
    missing = looks_like_shard(file.name)
    if file.absent:
        kind, missing = file.absent, missing or is_image_name(file.name)
    elif (of := format_of(file.name)) is not None:  # it was opened and found to hold none
        kind, missing = f"{of.title()} file without images", False
    elif missing and not is_unread_archive(file.name):
        kind = "file that is called like a shard"
    else:
        kind = called(file.name)
    return LeftOut(kind, 1, uri, missing)


def looks_like_shard(name: str) -> bool:
    """Whether the name is a shard's, or that of a part of one: ``a.7z``, ``b.tar.001``, ``c-00000-of-00010``, ``d.tfrecord-1``.

    Names of what describes a shard (``a.tar.sha256``, ``a.tar.json``) are none.
    """
    if format_of(name) or is_unread_archive(name):
        return True
    if is_sidecar_name(name) or is_other_name(name):
        return False
    inner = name.lower()
    parts = any(f"{suffix}." in inner or f"{suffix}-" in inner for each in FORMATS.values() for suffix in each.suffixes)
    return parts or bool(NUMBERED.search(inner))


def tell_nested(items: Iterable[Item | Unread], shard: Shard) -> Iterator[Item | Unread]:
    """``items`` of a shard. A member of an archive that looks like a shard is not read, so images may be missing: that is damage.

    Of a folder such files are shards, or left out as :func:`left_out_file` says.

    Raises:
        ShardDamageError: there is such a member; or ``items`` raised it.
    """
    damage = Damage()
    try:
        for item in items:
            if isinstance(item, Skipped) and shard.format != "folder" and _may_be_shard(item):
                damage.note(f"member {item.member!r} looks like a shard and is not read: unpack it, and give it by itself")
            yield item
    except ShardDamageError as error:
        if error.retryable or damage.text is None:
            raise
        raise ShardDamageError(f"{error}; {damage.text}") from error
    damage.raise_if_any()


def _may_be_shard(member: Skipped) -> bool:
    if member.kind:
        return False
    name = member.member.rpartition("/")[2]
    return looks_like_shard(name) or (is_silent_name(name) and sniff_format(member.head) is not None)


def table_folder(path: str, below: str) -> str | None:
    """The first folder below ``below`` on the way to ``path`` that is one table as a whole (a Lance dataset), if any is."""
    parts = path.removeprefix(below).split("/")
    ends = (index for index, part in enumerate(parts[:-1]) if part.lower().endswith(FOLDER_TABLES))
    return next((below + "/".join(parts[: index + 1]) for index in ends), None)
