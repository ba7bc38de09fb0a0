"""TFRecord files of ``tf.train.Example``, plain or compressed, without TensorFlow.

A record is its length (uint64), a checksum of the length, the data and a checksum of the data, little-endian; a checksum is a
masked CRC-32C. The format has no end mark, so a file cut between two records cannot be told from a whole one by its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import google_crc32c
from google.protobuf.message import DecodeError

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.formats.example import Features, parse_example
from causalprint.transforms.formats.items import Damage, checked_image, json_safe, metadata_json
from causalprint.transforms.images.kinds import looks_like_image
from causalprint.transforms.storage.storage import ShardSource
from causalprint.transforms.storage.streams import Stream, decompressed

SUFFIXES = (".tfrecord", ".tfrecords", ".tfrec", ".tfrecord.gz", ".tfrecords.gz", ".tfrecord.zst")
HEADER = 12
TRAILER = 4
SNIFFED_BYTES = 64

_IMAGES = "image/encoded image_raw image img jpg jpeg png webp image_bytes encoded bytes data"
_NAMES = "image/filename filename file_name image/key __key__ key image/id image_id id"
IMAGE_FEATURES = tuple(_IMAGES.split())
NAME_FEATURES = tuple(_NAMES.split())


def read(source: ShardSource, options: ReadOptions) -> Iterator[EncodedImage | Reject]:
    """Every record of the shard, in order.

    The image is the feature ``options.image_column``; else the first of the usual names whose bytes begin an image, else
    any that do, else the first of the usual names. The member is the usual name feature, or the record's number. The
    offset is that of the record.

    Raises:
        ShardDamageError: a checksum fails or the last record is cut, after everything else was given; after a length that
            fails its checksum nothing can be found. Or the connection broke (retryable).
    """
    stream = decompressed(source.stream(), is_tfrecord)
    damage = Damage()
    try:
        yield from _records(stream, options, damage)
        if stream.position == 0:
            damage.note(stream.failure or "the shard is empty: no record")
        elif stream.failure:
            damage.note(stream.failure)
    finally:
        stream.close()
    damage.raise_if_any()


def read_one(source: ShardSource, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image ``member`` of the record at byte ``offset``; ``None`` where that cannot be found without reading all before."""
    stream = source.stream(offset)
    try:
        head = stream.read(HEADER)
        record = _record(stream, head, options, Damage()) if is_tfrecord(head) else None
    finally:
        stream.close()
    if not isinstance(record, bytes):
        return None
    images = _images(record, member.partition("#")[0], offset, options)
    return next((item for item in images if isinstance(item, EncodedImage) and item.member == member), None)


def is_tfrecord(head: bytes) -> bool:
    """Whether ``head`` begins with a length that its checksum confirms."""
    return len(head) >= HEADER and masked_crc(head[:8]) == int.from_bytes(head[8:HEADER], "little")


def masked_crc(data: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, rotated right by 15 bits, plus a constant."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _records(stream: Stream, options: ReadOptions, damage: Damage) -> Iterator[EncodedImage | Reject]:
    number = 0
    while head := stream.read(HEADER):
        offset = stream.position - len(head)
        record = _record(stream, head, options, damage)
        if isinstance(record, bytes):
            yield from _images(record, str(number), offset, options)
        else:
            reason, detail = record
            yield Reject(str(number), offset, Stage.READ, reason, detail)
            if reason == Reason.CORRUPT_HEADER:
                return
        number += 1


def _record(stream: Stream, head: bytes, options: ReadOptions, damage: Damage) -> bytes | tuple[Reason, str]:
    """The data of the record that begins with ``head``, or why there are none."""
    offset = stream.position - len(head)
    length = int.from_bytes(head[:8], "little")
    end = offset + HEADER + length + TRAILER
    if len(head) < HEADER or (stream.length is not None and is_tfrecord(head) and end > stream.length):
        detail = f"the record at byte {offset} goes beyond the shard's end at byte {stream.length or stream.position}"
        stream.skip(length + TRAILER)
        damage.note(detail)
        return Reason.TRUNCATED_MEMBER, detail
    if not is_tfrecord(head):
        detail = f"the length of the record at byte {offset} fails its checksum"
        damage.note(f"{detail}, so nothing from there on could be read")
        return Reason.CORRUPT_HEADER, detail
    most = options.max_encoded_bytes + options.max_sidecar_bytes
    data = b"" if length > most else stream.read(length)
    stream.skip(length - len(data))
    checksum = stream.read(TRAILER)
    if stream.position < end:
        detail = f"the record at byte {offset} has {length} bytes, but the stream ends at byte {stream.position}"
        damage.note(detail)
        return Reason.TRUNCATED_MEMBER, detail
    if length > most:
        return Reason.TOO_LARGE, f"a record of {length} bytes, more than {most}"
    if masked_crc(data) != int.from_bytes(checksum, "little"):
        detail = f"the data of the record at byte {offset} fail their checksum"
        damage.note(detail)
        return Reason.CORRUPT_RECORD, detail
    return data


def _images(record: bytes, number: str, offset: int, options: ReadOptions) -> Iterator[EncodedImage | Reject]:
    try:
        features = parse_example(record)
    except DecodeError:
        yield Reject(number, offset, Stage.READ, Reason.CORRUPT_RECORD, f"{len(record)} bytes are no tf.train.Example")
        return
    name = _image_feature(features, options.image_column)
    label = next((each for each in NAME_FEATURES if features.get(each) and each != name), None)
    member = str(json_safe(features[label][0])) if label else number
    metadata = metadata_json(
        {each: values[0] if len(values) == 1 else values for each, values in features.items() if each != name and values}
    )
    images = [value for value in features[name] if isinstance(value, bytes)] if name else []
    if not images:
        detail = f"no feature holds image bytes; there are {', '.join(features) or 'none'}"
        yield Reject(member, offset, Stage.READ, Reason.NO_BYTES, detail, metadata=metadata)
    for index, data in enumerate(images):
        yield checked_image(f"{member}#{index}" if index else member, offset, data, metadata, options)


def _image_feature(features: Features, asked: str | None) -> str | None:
    if asked:
        return asked if asked in features else None
    first = {name: values[0] for name, values in features.items() if values and isinstance(values[0], bytes)}
    usual = [name for name in IMAGE_FEATURES if name in first]
    found = [name for name in [*usual, *first] if looks_like_image(first[name][:SNIFFED_BYTES])]
    return next(iter(found + usual), None)
