"""Real shards of every format, with real encoded images, made in memory; and ways of damaging them.

samples = make_samples(20)
path = write_shard("tar", samples, tmp_path / "00000.tar")
tar, expected = damaged_tar(samples, {3: "bomb", 7: "flipped header"})
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from PIL import Image

from causalprint.schemas.reasons import Reason
from tests.examples import example_class

BLOCK = 512
SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff", "AVIF": "avif"}


class Sample(NamedTuple):
    """One image and what is known of it: member ``<key>.<suffix>``, with ``<key>.json`` beside it where there is metadata."""

    key: str
    suffix: str
    data: bytes
    metadata: dict[str, Any] | None = None

    @property
    def member(self) -> str:
        """The name of the image's own file."""
        return f"{self.key}.{self.suffix}"


class Span(NamedTuple):
    """Where a member of a tar lies: its first header block, its data, the end of their padding."""

    name: str
    header: int
    data: int
    end: int


def picture(seed: int, width: int = 48, height: int = 40) -> Image.Image:
    """A picture with large and small structure, another for each seed: RGB."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)[:height, :width]
    return Image.fromarray(np.clip(coarse + generator.normal(0, 8, coarse.shape), 0, 255).astype(np.uint8))


def encode(image: Image.Image, kind: str = "JPEG", quality: int = 85) -> bytes:
    """The bytes of ``image`` as a file of format ``kind``."""
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def make_samples(
    count: int, *, seed: int = 0, kinds: Sequence[str] = ("JPEG",), width: int = 48, height: int = 40, metadata: bool = True
) -> list[Sample]:
    """``count`` images, no two the same, of ``kinds`` in turn; metadata hold a crawl's URL and the number."""
    return [
        Sample(
            f"{number:06d}",
            SUFFIXES[kinds[number % len(kinds)]],
            encode(picture(seed * 1_000_003 + number, width, height), kinds[number % len(kinds)]),
            {"url": f"https://example.org/{seed}/{number}", "number": number} if metadata else None,
        )
        for number in range(count)
    ]


def tar_members(samples: Sequence[Sample]) -> list[tuple[str, bytes]]:
    """Members ``(name, data)`` of a WebDataset tar: each image, then its sidecar."""
    members = []
    for sample in samples:
        members.append((sample.member, sample.data))
        if sample.metadata is not None:
            members.append((f"{sample.key}.json", json.dumps(sample.metadata).encode()))
    return members


def tar_of(members: Sequence[tuple[str, bytes]], kind: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of members ``(name, data)``, with its end mark and no further padding."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        end = tar.offset
    return buffer.getvalue()[: end + 2 * BLOCK]


def tar_bytes(samples: Sequence[Sample], compression: str = "") -> bytes:
    """A WebDataset tar; ``compression`` is empty, ``gz`` or ``zst``."""
    return compress(tar_of(tar_members(samples)), compression)


def compress(data: bytes, compression: str) -> bytes:
    """``data`` as it is, or as ``gz`` or ``zst``."""
    if compression == "gz":
        return gzip.compress(data, mtime=0)
    return zstandard.ZstdCompressor(write_checksum=True).compress(data) if compression == "zst" else data


def tar_spans(tar: bytes) -> list[Span]:
    """Where the members of a sound tar lie."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        members = opened.getmembers()
    ends = [member.offset_data + member.size + -member.size % BLOCK for member in members]
    return [Span(member.name, member.offset, member.offset_data, end) for member, end in zip(members, ends, strict=True)]


def parquet_bytes(samples: Sequence[Sample], *, struct: bool = True, group: int = 16, checksums: bool = True) -> bytes:
    """A Parquet file: column ``image`` (``struct<bytes, path>``, or plain bytes) and a column for each key of the metadata."""
    images = [{"bytes": sample.data, "path": sample.member} if struct else sample.data for sample in samples]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())]) if struct else pa.binary()
    keys = sorted({key for sample in samples for key in sample.metadata or {}})
    columns = {key: [(sample.metadata or {}).get(key) for sample in samples] for key in keys}
    table = pa.table({"image": pa.array(images, kind), **columns})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=group, compression="none", write_page_checksum=checksums)
    return buffer.getvalue()


def example_bytes(features: Mapping[str, Sequence[bytes] | Sequence[float] | Sequence[int]]) -> bytes:
    """A serialised ``tf.train.Example``."""
    example = example_class()()
    for name, values in features.items():
        kind = {bytes: "bytes_list", float: "float_list", int: "int64_list"}[type(values[0])]
        getattr(example.features.feature[name], kind).value.extend(values)
    data: bytes = example.SerializeToString(deterministic=True)
    return data


def sample_example(sample: Sample) -> bytes:
    """A sample as an example: ``image/encoded``, ``image/filename`` and a feature for each key of the metadata."""
    features: dict[str, Any] = {"image/encoded": [sample.data], "image/filename": [sample.member.encode()]}
    for key, value in (sample.metadata or {}).items():
        features[key] = [value.encode() if isinstance(value, str) else value]
    return example_bytes(features)


def record_bytes(data: bytes) -> bytes:
    """One TFRecord record."""
    length = len(data).to_bytes(8, "little")
    return length + _masked(length) + data + _masked(data)


def tfrecord_bytes(samples: Sequence[Sample], compression: str = "") -> bytes:
    """A TFRecord file of examples."""
    return compress(b"".join(record_bytes(sample_example(sample)) for sample in samples), compression)


def write_folder(samples: Sequence[Sample], path: Path) -> Path:
    """A folder of image files and their sidecars."""
    path.mkdir(parents=True)
    for name, data in tar_members(samples):
        (path / name).write_bytes(data)
    return path


MAKERS: dict[str, Callable[[Sequence[Sample]], bytes]] = {
    "tar": tar_bytes,
    "tar.gz": lambda samples: tar_bytes(samples, "gz"),
    "tar.zst": lambda samples: tar_bytes(samples, "zst"),
    "parquet": parquet_bytes,
    "tfrecord": tfrecord_bytes,
    "tfrecord.gz": lambda samples: tfrecord_bytes(samples, "gz"),
}
"""Bytes of a shard by its suffix."""


def write_shard(kind: str, samples: Sequence[Sample], path: Path) -> Path:
    """A shard at ``path``: of ``folder``, or of a suffix in :data:`MAKERS`."""
    if kind == "folder":
        return write_folder(samples, path)
    path.write_bytes(MAKERS[kind](samples))
    return path


class ImageWay(NamedTuple):
    """A way of damaging an image file, and the reason that it is rejected for."""

    apply: Callable[[bytes], bytes]
    reason: Reason


def _bomb(data: bytes) -> bytes:
    """A PNG that claims 60,000 x 60,000 pixels, in a header that is sound."""
    del data
    png = bytearray(encode(Image.new("1", (8, 8)), "PNG"))
    png[16:24] = (60_000).to_bytes(4, "big") * 2
    png[29:33] = zlib.crc32(bytes(png[12:29])).to_bytes(4, "big")
    return bytes(png)


def _garble(data: bytes) -> bytes:
    """A PNG, whole, whose header fails its checksum."""
    png = bytearray(encode(picture(len(data)), "PNG"))
    png[29] ^= 0xFF
    return bytes(png)


IMAGE_WAYS: dict[str, ImageWay] = {
    "cut short": ImageWay(lambda data: data[: len(data) // 2], Reason.TRUNCATED_IMAGE),
    "empty": ImageWay(lambda _: b"", Reason.EMPTY),
    "text": ImageWay(lambda _: b"404: not found", Reason.UNSUPPORTED_FORMAT),
    "heic": ImageWay(lambda data: b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1" + data, Reason.UNSUPPORTED_FORMAT),
    "bomb": ImageWay(_bomb, Reason.TOO_MANY_PIXELS),
    "garbled": ImageWay(_garble, Reason.CORRUPT_IMAGE),
}
"""Ways of damaging one image, whatever shard it is in."""

MEMBER_WAYS: dict[str, Reason] = {
    **{name: way.reason for name, way in IMAGE_WAYS.items()},
    "flipped header": Reason.CORRUPT_HEADER,
    "cut inside": Reason.TRUNCATED_MEMBER,
}
"""The eight ways of damaging one image of a tar; ``cut inside`` cuts the tar there, so only the last image may have it."""


def damaged_tar(samples: Sequence[Sample], ways: Mapping[int, str]) -> tuple[bytes, dict[str, Reason]]:
    """A tar of ``samples``, those numbered in ``ways`` damaged so.

    Returns:
        The tar, and the reason that each damaged member is rejected for. Tables hold every other sample.
    """
    made = [
        sample._replace(data=IMAGE_WAYS[ways[number]].apply(sample.data)) if ways.get(number) in IMAGE_WAYS else sample
        for number, sample in enumerate(samples)
    ]
    tar = bytearray(tar_bytes(made))
    spans = {span.name: span for span in tar_spans(bytes(tar))}
    for number, way in ways.items():
        span = spans[made[number].member]
        if way == "flipped header":
            tar[span.data - BLOCK + 300] ^= 0xFF  # in the owner's name, so the member's can still be told
        if way == "cut inside":
            assert number == len(samples) - 1, "a cut loses everything after it"
            del tar[span.data + len(made[number].data) // 2 :]
    return bytes(tar), {made[number].member: MEMBER_WAYS[way] for number, way in ways.items()}


def _cut_at_boundary(tar: bytes) -> bytes:
    return tar[: tar_spans(tar)[-1].header]


def _cut_in_header(tar: bytes) -> bytes:
    return tar[: tar_spans(tar)[-1].header + 200]


def _cut_in_data(tar: bytes) -> bytes:
    span = _middle_image(tar)
    return tar[: (span.data + span.end) // 2]


def _flip_header(tar: bytes) -> bytes:
    at = _middle_image(tar).data - BLOCK + 300
    return tar[:at] + bytes([tar[at] ^ 0xFF]) + tar[at + 1 :]


def _size_beyond(tar: bytes) -> bytes:
    start = _middle_image(tar).data - BLOCK
    header = bytearray(tar[start : start + BLOCK])
    header[124:136] = b"%011o\0" % (len(tar) * 4)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return tar[:start] + bytes(header) + tar[start + BLOCK :]


def _middle_image(tar: bytes) -> Span:
    spans = [span for span in tar_spans(tar) if not span.name.endswith(".json")]
    return spans[len(spans) // 2]


TAR_WAYS: dict[str, Callable[[bytes], bytes]] = {
    "cut at a member boundary": _cut_at_boundary,
    "cut inside a header": _cut_in_header,
    "cut inside data": _cut_in_data,
    "flipped header byte": _flip_header,
    "empty file": lambda _: b"",
    "not a tar": lambda tar: b"This is not a tar.\n" * (len(tar) // 19),
    "garbage after the end": lambda tar: tar + bytes(range(256)) * 8,
    "size beyond the object": _size_beyond,
    "no second zero block": lambda tar: tar[:-BLOCK],
}
"""Ways of damaging a whole tar: each leaves it incomplete, with one sentence that says why."""


def _masked(data: bytes) -> bytes:
    crc: int = google_crc32c.value(data)
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")
