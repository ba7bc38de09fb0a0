"""What the tests of formats share: reading everything that a shard gives."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from causalprint.schemas.config import ReadOptions, Storage
from causalprint.schemas.elements import EncodedImage, Reject, ShardDamageError, Skipped, Unread
from causalprint.transforms.formats import FORMATS
from causalprint.transforms.formats.members import open_shard
from causalprint.transforms.storage.storage import ShardSource

FAST = ReadOptions(attempts=2, backoff=0.01)


class Account(NamedTuple):
    """Everything that a shard gave, in order."""

    images: list[EncodedImage]
    rejects: list[Reject]
    skipped: list[Skipped]
    damage: str | None
    unread: tuple[Unread, ...] = ()


def read_all(
    path: Path | str, options: ReadOptions = FAST, storage: Storage | None = None, columns: tuple[str, ...] = ()
) -> Account:
    """The account of the shard at ``path``, a local path or a URL; of images in ``columns`` alone, where some are named."""
    uri = str(path)
    shard = open_shard(uri if "://" in uri else Path(uri).absolute().as_uri(), storage or Storage())
    shard = replace(shard, columns=columns)
    account = Account([], [], [], None)
    try:
        for item in FORMATS[shard.format].read(ShardSource(shard, storage or Storage(), options), options):
            if isinstance(item, EncodedImage):
                account.images.append(item)
            elif isinstance(item, Reject):
                account.rejects.append(item)
            elif isinstance(item, Skipped):
                account.skipped.append(item)
            else:
                account = account._replace(unread=(*account.unread, item))
    except ShardDamageError as error:
        return account._replace(damage=str(error))
    return account


def read_bytes(data: bytes, *columns: str, suffix: str) -> Account:
    """The account of a shard of these bytes whose name ends in ``suffix``; of ``columns`` alone, where some are named."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"shard.{suffix}")
        path.write_bytes(data)
        return read_all(path, columns=columns)


def read_tar(data: bytes, suffix: str = "tar") -> Account:
    """The account of a tar, plain or compressed as ``suffix`` says."""
    return read_bytes(data, suffix=suffix)
