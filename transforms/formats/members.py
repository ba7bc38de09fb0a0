"""One image again, by the key that every row holds: so that any finding can be fetched and proved."""

from __future__ import annotations

from causalprint.schemas.config import DEFAULT_READING, NO_OPTIONS, ReadOptions, Storage
from causalprint.schemas.elements import EncodedImage, Shard, ShardDamageError
from causalprint.transforms.formats import FORMATS, format_of, shard_of, why_no_shard
from causalprint.transforms.formats.folder import folder_shard
from causalprint.transforms.storage.lookup import InputError, Store
from causalprint.transforms.storage.storage import ShardSource, filesystem, list_files


def read_member(
    uri: str, member: str, offset: int, storage: Storage = NO_OPTIONS, options: ReadOptions = DEFAULT_READING
) -> EncodedImage:
    """The image that a row of the tables names by ``shard``, ``member`` and ``offset``, without its metadata or with it.

    Of a plain tar, a TFRecord file and a folder just its bytes are fetched; of a Parquet file its row group is read; a compressed
    shard is read up to it. That it is the image of the row is proved by its ``image_id``.

    Args:
        uri: column ``shard``.
        member: column ``member``.
        offset: column ``offset``.
        storage: fsspec options.
        options: of reading.

    Raises:
        FileNotFoundError: the shard is not there.
        InputError: the store did not answer, or what is there is no shard.
        KeyError: the shard has no such image.
        ShardDamageError: the store did not give it.
    """
    shard = open_shard(uri, storage)
    source = ShardSource(shard, storage, options)
    reader = FORMATS[shard.format]
    found = reader.read_one(source, member, offset, options)
    if found is None:
        try:
            items = (item for item in reader.read(source, options) if item.offset == offset and item.member == member)
            found = next((item for item in items if isinstance(item, EncodedImage)), None)
        except ShardDamageError as error:
            if error.retryable:
                raise
    if found is None:
        raise KeyError(f"no image {member!r} at offset {offset} of {uri}; has the shard changed?")
    return found


def open_shard(uri: str, storage: Storage) -> Shard:
    """The shard at ``uri`` as it is now.

    Raises:
        FileNotFoundError: there is nothing.
        InputError: it is in no known format, or the store did not answer.
    """
    fs, path = filesystem(uri, storage)
    store = Store(uri, fs, DEFAULT_READING)
    found = store.info(path)
    if found is None:
        raise FileNotFoundError(f"there is no {uri}")
    if found.file is None:
        return folder_shard(f"{uri.rstrip('/')}/", list_files(fs, path))
    shard = shard_of(store, found.file)
    if shard is None and (why := why_no_shard(store, found.file, format_of(found.file.name))):
        raise InputError(f"{uri}: {why}")
    if shard is None:
        raise InputError(f"{uri} is in none of the formats {', '.join(FORMATS)}, and no image file")
    return shard
