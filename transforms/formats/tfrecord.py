"""TFRecord files of ``tf.train.Example``, plain or compressed, without TensorFlow.

A record is its length (uint64), a checksum of the length, the data and a checksum of the data, little-endian; a checksum is a
masked CRC-32C. The format has no end mark, so a file cut between two records cannot be told from a whole one by its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from math import prod

import google_crc32c

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.faults import unforeseen
from causalprint.transforms.formats.example import ExampleError, Features, TooManyFieldsError, parse_example
from causalprint.transforms.formats.items import Damage, checked_image, json_safe, metadata_json, metadata_or_none
from causalprint.transforms.images.kinds import TEXT_BYTES, image_format, looks_like_image, other_format
from causalprint.transforms.storage.storage import ShardSource
from causalprint.transforms.storage.streams import Stream, decompressed

SUFFIXES = (".tfrecord", ".tfrecords", ".tfrec", ".tfrecord.gz", ".tfrecords.gz", ".tfrecord.zst")
HEADER = 12
TRAILER = 4
SNIFFED_BYTES = 64
MET = 1000
MAX_DIMENSIONS = 8
TENSOR = b"\x08\x04\x12"
"""How a ``TensorProto`` of uint8 begins: its type, then its shape."""

_IMAGES = "image/encoded image_raw image img jpg jpeg png webp image_bytes encoded bytes data"
_NAMES = "image/filename filename file_name image/key __key__ key image/id image_id id"
IMAGE_FEATURES = tuple(_IMAGES.split())
NAME_FEATURES = tuple(_NAMES.split())


def read(source: ShardSource, options: ReadOptions) -> Iterator[EncodedImage | Reject]:
    """Every record of the shard, in order.

    The images are all values of every feature of which one begins an image, or of ``source.columns`` where those are given; where
    there are none, what the first of the usual names holds. The member is the usual name feature, or the record's number, and for
    further values of the feature ``member#1``; where several features hold images ``member/feature``, and
    ``member/feature/index`` for several values. The offset is that of the record.

    Raises:
        ShardDamageError: no record has one of the features that were asked for.
        ShardDamageError: a checksum fails or the last record is cut, after everything else was given; after a length that
            fails its checksum nothing can be found. Or the connection broke (retryable).
    """
    stream = decompressed(source.stream(), is_tfrecord, options.most_from(source.size))
    damage = Damage()
    met: set[str] = set()
    try:
        yield from _records(stream, source.columns, met, options, damage)
        if stream.position == 0:
            damage.note(stream.failure or "the shard is empty: no record")
        elif stream.failure:
            damage.note(stream.failure)
        if missing := [name for name in source.columns if name not in met]:
            damage.note(f"no record has a feature {', '.join(map(repr, missing))}; there are {', '.join(sorted(met)) or 'none'}")
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
    number = "".join(takewhile(str.isdigit, member))  # which record this is cannot be told from here
    try:
        features = parse_example(record)
    except ExampleError:
        return None
    for columns in ((), tuple(_of_bytes(features))):
        items = _images(features, number, offset, columns, options, Damage())
        found = next((item for item in items if isinstance(item, EncodedImage) and item.member == member), None)
        if found:
            return found
    return None


def is_tfrecord(head: bytes) -> bool:
    """Whether ``head`` begins with a length that its checksum confirms."""
    return len(head) >= HEADER and masked_crc(head[:8]) == int.from_bytes(head[8:HEADER], "little")


def masked_crc(data: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, rotated right by 15 bits, plus a constant."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _records(
    stream: Stream, columns: Sequence[str], met: set[str], options: ReadOptions, damage: Damage
) -> Iterator[EncodedImage | Reject]:
    number = 0
    while head := stream.read(HEADER):
        offset = stream.position - len(head)
        try:
            record = _record(stream, head, options, damage)
            if isinstance(record, bytes):
                yield from _parsed(record, str(number), offset, columns, met, options, damage)
        except Exception as error:  # noqa: BLE001 - whatever a record makes it raise costs that record alone
            record = Reason.READER_ERROR, unforeseen(error)
            damage.note(f"the record at byte {offset} could not be read ({record[1]})")
            stream.skip(offset + HEADER + int.from_bytes(head[:8], "little") + TRAILER - stream.position)
        if not isinstance(record, bytes):
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
        damage.note(f"{_instead(stream, head)}{detail}")
        stream.skip(length + TRAILER)
        return Reason.TRUNCATED_MEMBER, detail
    if not is_tfrecord(head):
        detail = f"the length of the record at byte {offset} fails its checksum"
        damage.note(f"{_instead(stream, head)}{detail}, so nothing from there on could be read")
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


def _instead(stream: Stream, head: bytes) -> str:
    """What a file is that begins with ``head``, which has just been read, and with no record, where that can be told."""
    begins = b"" if is_tfrecord(head) or stream.position > len(head) else head + stream.look(0, TEXT_BYTES)
    found = image_format(begins) or other_format(begins)
    return f"this is no TFRecord file but {found}: " if found else ""


def _parsed(
    record: bytes, number: str, offset: int, columns: Sequence[str], met: set[str], options: ReadOptions, damage: Damage
) -> Iterator[EncodedImage | Reject]:
    try:
        features = parse_example(record)
    except TooManyFieldsError as error:
        yield Reject(number, offset, Stage.READ, Reason.TOO_LARGE, f"a record of {len(record)} bytes with {error}")
    except ExampleError as error:
        detail = f"{len(record)} bytes are no tf.train.Example ({error})"
        yield Reject(number, offset, Stage.READ, Reason.CORRUPT_RECORD, detail)
    else:
        if len(met) < MET:
            met.update(features)
        yield from _images(features, number, offset, columns, options, damage)


def _images(
    features: Features, number: str, offset: int, columns: Sequence[str], options: ReadOptions, damage: Damage
) -> Iterator[EncodedImage | Reject]:
    found = _image_features(features)
    names = [name for name in features if name in columns] if columns else found
    plain = len(names) == 1 and names == found
    label = next((each for each in NAME_FEATURES if features.get(each) and each not in {*names, *found}), None)
    member = str(json_safe(features[label][0])) if label else number
    told = {
        each: values[0] if len(values) == 1 else values
        for each, values in features.items()
        if each not in {*names, *found} and values
    }
    metadata = metadata_or_none(lambda: metadata_json(told), member, damage)
    images = [(name, index, data) for name in names for index, data in enumerate(features[name]) if isinstance(data, bytes)]
    if not images:
        detail = f"no feature holds image bytes; there are {', '.join(features) or 'none'}"
        if columns:
            detail = f"no feature {', '.join(map(repr, columns))} holds bytes; there are {', '.join(features) or 'none'}"
        yield Reject(member, offset, Stage.READ, Reason.NO_BYTES, detail, metadata=metadata)
    pixels = _pixels(features)
    for name, index, data in images:
        address = f"#{index}" * (index > 0) if plain else f"/{name}" + f"/{index}" * (len(features[name]) > 1)
        if raw := _is_raw(data, pixels):
            yield Reject(
                f"{member}{address}", offset, Stage.READ, Reason.UNSUPPORTED_FORMAT, f"{name!r} holds {raw}", metadata=metadata
            )
        else:
            yield checked_image(f"{member}{address}", offset, data, metadata, options)


def _of_bytes(features: Features) -> list[str]:
    return [name for name, values in features.items() if values and isinstance(values[0], bytes)]


def _image_features(features: Features) -> list[str]:
    """The features of images: all of which a value begins one; else those of raw pixels; else the first of the usual names."""
    able = _of_bytes(features)
    found = [name for name in able if any(isinstance(value, bytes) and _begins_image(value) for value in features[name])]
    pixels = _pixels(features)
    raw = [name for name in able if any(isinstance(value, bytes) and _is_raw(value, pixels) for value in features[name])]
    return found or raw or [name for name in IMAGE_FEATURES if name in able][:1]


def _begins_image(value: bytes) -> bool:
    return looks_like_image(value[:SNIFFED_BYTES])


def _pixels(features: Features) -> set[int]:
    """How many numbers an image of raw pixels would have, by the features that say its shape."""
    numbers = {
        name.lower(): [value for value in values if isinstance(value, int)]
        for name, values in features.items()
        if 0 < len(values) <= MAX_DIMENSIONS
    }

    def ending(*words: str) -> list[int]:
        return [values[0] for name, values in numbers.items() if values and name.endswith(words)]

    sizes = {height * width for height in ending("height", "rows") for width in ending("width", "cols")}
    shaped = {prod(values) for name, values in numbers.items() if len(values) > 1 and name.endswith("shape")}
    return {size * channels for size in sizes for channels in (1, 3, 4, *ending("channels", "depth"))} | shaped


def _is_raw(data: bytes, pixels: set[int]) -> str | None:
    """What ``data`` are where they are pixels that nobody encoded, with what to do; ``None`` where they may be an image file."""
    if not data or _begins_image(data):
        return None
    remedy = "not an encoded image; write it with tf.io.encode_png first"
    if data.startswith(TENSOR):
        return f"a serialised tensor, {remedy}"
    if len(data) in {count * each for count in pixels for each in (1, 2, 4)}:
        return f"{len(data)} bytes of raw pixels, {remedy}"
    return None
