"""Shards that cost more than their bytes say, built without much memory; bombs.py measures them.

A bomb that is an image stands in a tar between two ordinary ones.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from bomb_images import (
    GIF_FRAME,
    HEAD,
    JPEG,
    MIB,
    SIDE,
    animated_webp,
    arithmetic,
    chunk,
    claiming_avif,
    flat_scans,
    gif,
    long_avif,
    one_strip,
    packed_zeros,
    picture,
    png,
    png_with,
    run_lengths,
    saved,
    scans,
    strips,
    tiff,
    tiff_with,
    webp_with,
)
from PIL import Image

BLOCK = 512
END = bytes(2 * BLOCK)
DEEP = b'{"a":' * 600 + b"NaN" + b"}" * 600


class Bomb(NamedTuple):
    """A way to build a shard.

    Attributes:
        images: those of the ordinary shard that it is compared with.
        name: of the shard in its folder; empty where the folder is the shard.
        build: writes it, and what else there is, into a folder.
        is_large: whether one of the ordinary images has as many pixels as an image may have.
    """

    images: int
    name: str
    build: Callable[[Path], object]
    is_large: bool = False


def ordinary(images: int, is_large: bool) -> Bomb:
    """A tar of so many ordinary images."""

    def members() -> Iterator[tuple[str, bytes]]:
        for number in range(images):
            yield f"{number}.jpg", saved(picture(SIDE, SIDE), "JPEG") if is_large and number == 1 else JPEG

    return of_parts(images, "a.tar", lambda: tar(members()))


def write(path: Path, parts: Iterable[bytes]) -> None:
    """A file of these parts."""
    with path.open("wb") as file:
        for part in parts:
            file.write(part)


def of_parts(images: int, name: str, parts: Callable[[], Iterable[bytes]]) -> Bomb:
    """A shard of these parts."""
    return Bomb(images, name, lambda folder: write(folder / name, parts()))


def image(name: str, make: Callable[[], bytes], *, is_large: bool = False) -> Bomb:
    """A tar of an image file between two ordinary ones."""
    bomb = of_parts(3, "a.tar", lambda: tar([("0.jpg", JPEG), (name, make()), ("9.jpg", JPEG)]))
    return bomb._replace(is_large=is_large)


# Tars, zips and folders.


def member(name: str, data: bytes, kind: bytes = b"0") -> bytes:
    """A member of a tar."""
    info = tarfile.TarInfo(name)
    info.size, info.type = len(data), kind
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % BLOCK)


def tar(members: Iterable[tuple[str, bytes]], before: bytes = b"") -> Iterator[bytes]:
    """A tar in parts."""
    yield before
    for name, data in members:
        yield member(name, data)
    yield END


def pax(records: bytes) -> Iterator[bytes]:
    """A tar of two images, and an extended header before them."""
    return tar([("0.jpg", JPEG), ("9.jpg", JPEG)], member("x", records, b"x"))


def long_names(number: int) -> Iterator[bytes]:
    """A tar of so many images whose names have 1 MB."""
    for image_number in range(number):
        yield member("L", b"%04d" % image_number + b"n" * 1_000_000 + b".jpg\0", b"L")
        yield member("short.jpg", JPEG)
    yield END


def links(number: int, to: bytes) -> Iterator[bytes]:
    """A tar of an image and so many hard links to it."""
    yield member("0.jpg", to)
    for link in range(number):
        info = tarfile.TarInfo(f"l{link}.jpg")
        info.type, info.linkname = b"1", "0.jpg"
        yield info.tobuf(tarfile.USTAR_FORMAT)
    yield END


def numbered(number: int, name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """So many members."""
    return ((name.format(each), data) for each in range(number))


def ten_gib() -> Iterator[bytes]:
    """A tar of a member of 10 GiB of zeros behind an image, and of an image."""
    info = tarfile.TarInfo("a.jpg")
    info.size = 10_240 * MIB
    yield info.tobuf(tarfile.GNU_FORMAT) + HEAD + bytes(MIB - len(HEAD))
    yield from repeat(bytes(MIB), 10_239)
    yield from tar([("9.jpg", JPEG)])


def packed(images: int, suffix: str, parts: Callable[[], Iterable[bytes]]) -> Bomb:
    """A tar, compressed."""
    ways: dict[str, Any] = {"gz": gzip.open, "bz2": bz2.open, "xz": partial(lzma.open, preset=1), "zst": zstandard.open}

    def build(folder: Path) -> None:
        with ways[suffix](folder / f"a.tar.{suffix}", "wb") as file:
            for part in parts():
                file.write(part)

    return Bomb(images, f"a.tar.{suffix}", build)


def zipped(images: int, members: Callable[[], Iterable[tuple[str, bytes]]], method: int = zipfile.ZIP_STORED) -> Bomb:
    """A zip."""

    def build(folder: Path) -> None:
        with zipfile.ZipFile(folder / "a.zip", "w", method) as archive:
            for name, data in members():
                archive.writestr(zipfile.ZipInfo(name), data, method)

    return Bomb(images, "a.zip", build)


def quoted(number: int) -> Iterator[bytes]:
    """A zip whose directory names the same member again and again."""
    body = zlib.compressobj(9, wbits=-15)
    plain = HEAD + bytes(100 * MIB)
    data = body.compress(plain) + body.flush()
    sizes = struct.pack("<HHHIIIHH", 8, 0, 0x21, zlib.crc32(plain), len(data), len(plain), 5, 0)
    entries = (b"PK\1\2\x14\0\x14\0\0\0" + sizes + bytes(14) + b"a.jpg") * number
    yield b"PK\3\4\x14\0\0\0" + sizes + b"a.jpg" + data + entries
    yield b"PK\5\6\0\0\0\0" + struct.pack("<HHIIH", number, number, len(entries), 35 + len(data), 0)


def broken_zip(number: int) -> Iterator[bytes]:
    """A zip of so many empty entries, of which the first has an extra field that is cut, and of an image."""
    sizes = struct.pack("<HHHIIIHH", 0, 0, 0x21, zlib.crc32(JPEG), len(JPEG), len(JPEG), 5, 0)
    yield b"PK\3\4\x14\0\0\0" + sizes + b"a.jpg" + JPEG
    one = b"PK\1\2\x14\0\x14\0\0\0" + sizes + bytes(14) + b"a.jpg"
    broken = b"PK\1\2\x14\0\x14\0\0\0" + sizes[:-2] + b"\4\0" + bytes(14) + b"b.jpg" + b"\1\0\xff\xff"
    entries = broken + one * number
    yield entries + b"PK\5\6\0\0\0\0" + struct.pack("<HHIIH", *[min(number + 1, 65_535)] * 2, len(entries), 35 + len(JPEG), 0)


def listed(name: str, lines: Callable[[], Iterable[bytes]]) -> Bomb:
    """A folder of an image and a list of what is known of its images."""

    def build(folder: Path) -> None:
        (folder / "0.jpg").write_bytes(JPEG)
        write(folder / name, lines())

    return Bomb(1, "", build)


def beside(rows: int) -> Bomb:
    """A tar of an image, and a table of its stem."""

    def build(folder: Path) -> None:
        keys = pa.array(np.arange(rows)).cast(pa.string())
        pq.write_table(pa.table({"key": keys, "caption": repeated("a", rows)}), folder / "a.parquet", compression="zstd")
        write(folder / "a.tar", tar([("0.jpg", JPEG)]))

    return Bomb(1, "a.tar", build)


# Tables and records.


def varint(number: int) -> bytes:
    """A number of a protocol buffer."""
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def field(number: int, body: bytes) -> bytes:
    """A field of bytes of a protocol buffer."""
    return varint(number << 3 | 2) + varint(len(body)) + body


def record(**features: bytes) -> list[bytes]:
    """A TFRecord file of one example, of an image and of lists that are encoded already."""

    def checksum(part: bytes) -> bytes:
        crc = google_crc32c.value(part)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    lists = {"image": field(1, field(1, JPEG)), **features}
    data = field(1, b"".join(field(1, field(1, name.encode()) + field(2, value)) for name, value in lists.items()))
    length = struct.pack("<Q", len(data))
    return [length, checksum(length), data, checksum(data)]


def parquet(images: int, columns: Callable[[], dict[str, Any]], **options: Any) -> Bomb:
    """A Parquet file of one row group."""

    def build(folder: Path) -> None:
        table = pa.table(columns())
        settings = {"compression": "zstd", "row_group_size": len(table), "store_schema": False, **options}
        pq.write_table(table, folder / "a.parquet", **settings)

    return Bomb(images, "a.parquet", build)


def arrow(images: int, columns: Callable[[], dict[str, Any]], batches: int = 1) -> Bomb:
    """An Arrow file of so many equal record batches."""

    def build(folder: Path) -> None:
        table = pa.table(columns())
        with pa.ipc.new_file(folder / "a.arrow", table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as file:
            for _ in range(batches):
                file.write_table(table)

    return Bomb(images, "a.arrow", build)


def repeated(value: bytes | str, rows: int) -> pa.DictionaryArray:
    """A column that says the same in every row, and holds it once."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([value]))


def nulls(millions: int) -> Bomb:
    """A Parquet file of an image and so many nulls."""

    def build(folder: Path) -> None:
        parts = chain([pa.array([JPEG])], repeat(pa.nulls(1_000_000, pa.binary()), millions))
        with pq.ParquetWriter(folder / "a.parquet", pa.schema({"image": pa.binary()})) as writer:
            for part in parts:
                writer.write_batch(pa.record_batch({"image": part}), 1 + millions * 1_000_000)

    return Bomb(1, "a.parquet", build)


def claims(size: int) -> Bomb:
    """A Parquet file of a page that says that it decompresses to so many bytes, when it does to 140 MB."""

    def build(folder: Path) -> None:
        image = HEAD + bytes(140_000_000)
        parquet(1, lambda: {"image": pa.array([image])}, use_dictionary=False).build(folder)
        page, claim = varint(2 * (len(image) + 10)), varint(2 * size)
        data = (folder / "a.parquet").read_bytes()
        write(folder / "a.parquet", [data.replace(page, claim)])

    return Bomb(1, "a.parquet", build)


ISSUE = {
    "TIFF of 65,535 tags over the same 200 kB": image(
        "a.tif", lambda: tiff(bytes(200_000), 0, **{f"t{tag}": (7, 200_000, 8) for tag in range(1000, 65_529)})
    ),
    "GIF of 1.5 M comments": image("a.gif", lambda: gif(b"!\xfe\x01a\0" * 1_500_000)),
    "GIF of 1 M extensions": image("a.gif", lambda: gif(b"!\xff\0" * 1_000_000)),
    "progressive JPEG of 1,000 scans": image("a.jpg", lambda: flat_scans(1000)),
    "progressive JPEG of 4,000 scans": image("a.jpg", lambda: flat_scans(4000)),
    "JPEG of 32 MB of empty APP1": image("a.jpg", lambda: JPEG[:2] + b"\xff\xe1\0\2" * 8_000_000 + JPEG[2:]),
    "PNG of 5 M empty chunks": image("a.png", lambda: png_with(chunk(b"teSt") * 5_000_000)),
    "88-megapixel float TIFF": image(
        "a.tif", lambda: saved(Image.new("F", (SIDE, SIDE)), "TIFF", compression="tiff_adobe_deflate")
    ),
    "JPEG head and 70 MB of zeros, 32 times by dictionary": parquet(
        32, lambda: {"image": repeated(HEAD + bytes(70_000_000), 32)}
    ),
    "PAX record of 1 MiB of 5-byte entries": of_parts(2, "a.tar", lambda: pax(b"5 a=\n" * (MIB // 5))),
    "2,200 members with 1 MB names": of_parts(2200, "a.tar", lambda: long_names(2200)),
    "TFRecord of 40 M ints": of_parts(1, "a.tfrecord", lambda: record(numbers=field(3, field(1, bytes(40_000_000))))),
    "400,000 sidecars of one sample": of_parts(
        1, "a.tar", lambda: tar(numbered(400_000, "0.{}.txt", b"a"), before=member("0.jpg", JPEG))
    ),
    "Parquet of 200 M nulls": nulls(200),
    "JSON of depth 600 with NaN": of_parts(
        3, "a.tar", lambda: tar((f"{n}.{end}", data) for n in range(3) for end, data in (("jpg", JPEG), ("json", DEEP)))
    ),
    "PAX size= of 5,000 digits": of_parts(2, "a.tar", lambda: pax(b"5011 size=" + b"9" * 5000 + b"\n")),
}
"""Those of issue 12."""

MORE = {
    "progressive JPEG of 50 megapixels": image("a.jpg", lambda: saved(picture(7071, 7071), "JPEG", progressive=True)),
    "progressive JPEG of 88 megapixels": image(
        "a.jpg", lambda: saved(picture(SIDE, SIDE), "JPEG", progressive=True), is_large=True
    ),
    "progressive JPEG of 100 scans": image("a.jpg", lambda: scans(picture(3000, 3000), 90)),
    "arithmetic JPEG of 65,500 x 1,300": image("a.jpg", lambda: arithmetic(65_500, 1_300)),
    "GIF of 2 M frames": image("a.gif", lambda: gif(after=GIF_FRAME * 2_000_000)),
    "GIF of one pixel on 88 megapixels": image("a.gif", lambda: gif(side=SIDE), is_large=True),
    "WebP of 19,000 frames of a pixel on 88 megapixels": image("a.webp", lambda: animated_webp(SIDE, 19_000), is_large=True),
    "WebP of 4 M chunks": image("a.webp", lambda: webp_with(b"ABCD", (b"ABCD" + bytes(4)) * 4_000_000)),
    "WebP of 60 MB of XMP": image("a.webp", lambda: webp_with(b"XMP ", bytes(60_000_000))),
    "AVIF of 4 M boxes": image("a.avif", lambda: saved(picture(), "AVIF") + b"\0\0\0\x08free" * 4_000_000),
    "AVIF of 4 billion frames": image("a.avif", lambda: long_avif(0xFFFF_FFFF)),
    "AVIF that says that it has 88 megapixels": image("a.avif", lambda: claiming_avif(SIDE)),
    "PNG of 4 GiB of zTXt": image("a.png", lambda: png_with(chunk(b"zTXt", b"a\0\0" + packed_zeros(4096 * MIB)))),
    "PNG of 4 GiB of iCCP": image("a.png", lambda: png_with(chunk(b"iCCP", b"a\0\0" + packed_zeros(4096 * MIB)))),
    "PNG of 4 GiB of pixels too many": image("a.png", lambda: png(64, packed_zeros(4096 * MIB))),
    "PNG of 88 megapixels, 16-bit RGBA, interlaced": image(
        "a.png",
        lambda: png(SIDE, packed_zeros(SIDE * SIDE * 8 + 8 * SIDE), depth=16, colours=6, interlaced=True),
        is_large=True,
    ),
    "TIFF of 20 M strips": image("a.tif", lambda: strips(4, 20_000_000, 2)),
    "TIFF of 9 M strips whose lists are one": image("a.tif", lambda: strips(9, 9_000_000, 1)),
    "TIFF of a tag of 60 M numbers": image("a.tif", lambda: tiff_with(b"ab" * 60_000_000, t50000=(3, 60_000_000, 8))),
    "TIFF of 60 M bits a sample": image("a.tif", lambda: tiff_with(b"\x08\0" * 60_000_000, t258=(3, 60_000_000, 134))),
    "TIFF of a resolution of 10 M fractions": image("a.tif", lambda: tiff_with(b"abcd" * 20_000_000, t282=(5, 10_000_000, 8))),
    "TIFF of directories in a circle": image("a.tif", lambda: tiff_with(b"", 8)),
    "TIFF of a strip of 4 GiB": image("a.tif", lambda: one_strip(1000, 8, packed_zeros(4096 * MIB).replace(bytes(100), b"a"))),
    "TIFF of a JPEG of 1,000 scans": image("a.tif", lambda: one_strip(800, 7, scans(picture(800, 800).convert("L"), 1000))),
    "BMP of 40 M runs of a pixel": image("a.bmp", lambda: run_lengths(SIDE, b"\1\0" * 40_000_000)),
    "BMP of 20 M moves by nothing": image("a.bmp", lambda: run_lengths(SIDE, bytes((0, 2, 0, 0)) * 20_000_000)),
    "BMP of 88 megapixels in lines of 4 bits": image("a.bmp", lambda: run_lengths(SIDE, b"\xff\x12" * 400_000, 4)),
    "tar of 1 M empty members": of_parts(
        1, "a.tar", lambda: tar(numbered(1_000_000, "{}.bin", b""), before=member("0.jpg", JPEG))
    ),
    "tar of 1 M extended headers": of_parts(
        1, "a.tar", lambda: chain(repeat(member("x", b"10 path=a\n", b"x"), 1_000_000), tar([("0.jpg", JPEG)]))
    ),
    "tar of 60 links to 250 MB": of_parts(61, "a.tar", lambda: links(60, HEAD + bytes(250_000_000))),
    "tar.gz of 10 GiB of zeros": packed(2, "gz", ten_gib),
    "tar.bz2 of 10 GiB of zeros": packed(2, "bz2", ten_gib),
    "tar.xz of 10 GiB of zeros": packed(2, "xz", ten_gib),
    "tar.zst of 10 GiB of zeros": packed(2, "zst", ten_gib),
    "tar.gz of 40 images of 250 MB": packed(40, "gz", lambda: tar(numbered(40, "{}.jpg", HEAD + bytes(250_000_000)))),
    "zip of 1 M entries": zipped(1, lambda: chain([("0.jpg", JPEG)], numbered(1_000_000, "{}.bin", b""))),
    "zip of 40 images of 250 MB": zipped(40, lambda: numbered(40, "{}.jpg", HEAD + bytes(250_000_000)), zipfile.ZIP_DEFLATED),
    "zip of 300,000 entries, the first broken": of_parts(1, "a.zip", lambda: broken_zip(300_000)),
    "zip that names 100 MB 60,000 times": of_parts(1, "a.zip", lambda: quoted(60_000)),
    "metadata.jsonl of 64 MB": listed("metadata.jsonl", lambda: (b'{"file_name":"%d"}\n' % n for n in range(2_700_000))),
    "metadata.csv of 64 MB": listed("metadata.csv", lambda: chain([b"file_name\n"], (b"%d\n" % n for n in range(8_000_000)))),
    "table of 1 M rows beside a tar": beside(1_000_000),
    "Arrow of 70 MB, 32 times by dictionary": arrow(32, lambda: {"image": repeated(HEAD + bytes(70_000_000), 32)}),
    "Arrow of 20 images of 100 MB": arrow(20, lambda: {"image": pa.array([HEAD + bytes(100_000_000)])}, 20),
    "Parquet of a page that claims 2 GB": claims(2**31 - 1),
    "Parquet of 20 MB, 50 times by prefix": parquet(
        50,
        lambda: {"image": pa.array([HEAD + bytes(20_000_000)] * 50)},
        use_dictionary=False,
        column_encoding={"image": "DELTA_BYTE_ARRAY"},
    ),
    "Parquet of texts of 1 MB, 10,000 times by dictionary": parquet(
        10_000, lambda: {"image": pa.array([JPEG] * 10_000), "text": repeated("a" * 1_000_000, 10_000)}
    ),
    "Parquet of 70 MB, 32 times, and a footer of 5 MB": parquet(
        32, lambda: {"image": repeated(HEAD + bytes(70_000_000), 32)} | {f"c{n}": pa.nulls(32) for n in range(25_000)}
    ),
}
"""More of their kinds."""

BOMBS = ISSUE | MORE
