"""PAX headers, and frames of zstd and xz: whatever their size, they cost no name, no account, no memory and no minutes."""

from __future__ import annotations

import lzma
import struct
import tarfile
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.names import MAX_NAME_BYTES
from tests.shards import BLOCK, make_samples, tar_bytes
from tests.transforms.formats.reading import read_tar

SAMPLES = make_samples(3)
JPEG = SAMPLES[0].data


def header(name: str, size: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.USTAR_FORMAT)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def pax(records: bytes) -> bytes:
    return header("PaxHeaders/x", len(records), b"x") + padded(records)


def record(keyword: str, value: bytes) -> bytes:
    body = f" {keyword}=".encode() + value + b"\n"
    size = len(body)
    while len(str(size)) + len(body) != size:
        size = len(str(size)) + len(body)
    return str(size).encode() + body


def member(name: str, size: int | None = None) -> bytes:
    return header(name, len(JPEG) if size is None else size, b"0") + padded(JPEG)


END = bytes(2 * BLOCK)
NAME = "photos/" + "long" * 40 + "/0.jpg"
PATH = record("path", NAME.encode())


@pytest.mark.parametrize("size", [0, 1, 500, 64 * 1024 - 30, 64 * 1024, 1024 * 1024, 2_000_000, 9_000_000])
@pytest.mark.parametrize("first", [True, False])
def test_an_attribute_of_any_size_costs_neither_name_nor_account(size: int, first: bool) -> None:
    attribute = record("LIBARCHIVE.xattr.com.apple.ResourceFork", b"A" * size)
    account = read_tar(pax(attribute + PATH if first else PATH + attribute) + member("short") + member("b.jpg") + END)
    assert [image.member for image in account.images] == [NAME, "b.jpg"]
    assert [image.data for image in account.images] == [JPEG, JPEG]
    assert account.damage is None


@given(st.lists(st.tuples(st.text("abc.", min_size=1, max_size=300), st.binary(max_size=2000)), max_size=30), st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_whatever_else_a_header_says_the_path_is_found(records: list[tuple[str, bytes]], place: int) -> None:
    parts = [record(keyword, value) for keyword, value in records if len(keyword) < 200]
    account = read_tar(pax(b"".join([*parts[:place], PATH, *parts[place:]])) + member("short") + END)
    assert [image.member for image in account.images] == [NAME]
    assert account.damage is None


@pytest.mark.parametrize("plain", [0, 1, 10_000, len(JPEG) + BLOCK])
@pytest.mark.parametrize("compressed", [True, False])
def test_the_size_that_a_header_adds_is_the_size(plain: int, compressed: bool) -> None:
    tar = pax(record("size", str(len(JPEG)).encode())) + member("a.jpg", plain) + member("b.jpg") + END
    account = read_tar(zstandard.ZstdCompressor().compress(tar) if compressed else tar)
    assert [(image.member, image.data) for image in account.images] == [("a.jpg", JPEG), ("b.jpg", JPEG)]
    assert account.damage is None


@pytest.mark.parametrize(
    "wrong",
    [
        record("size", b"9" * 5000),
        record("size", b"12x"),
        record("size", "²".encode()),
        b"7 a=b\n",
        b"999999999999999999 path=x\n",
        b"99999999999999999999999999 path=x\n",
        b"0 path=x\n",
        b"path=x\n",
        b"\xff\xfe",
        record("path", b"x" * 3_000_000),
    ],
)
def test_a_record_that_is_none_is_damage_and_every_image_is_read(wrong: bytes) -> None:
    account = read_tar(pax(PATH + wrong) + member("a.jpg") + member("b.jpg") + END)
    assert [image.member for image in account.images] == [NAME, "b.jpg"]
    assert "the extended header at byte 512" in (account.damage or "")


def test_headers_made_to_cost_much_cost_little() -> None:
    """Records of five bytes, names of a megabyte, thousands of each: linear, fast, and never held together."""
    many = pax(b"5 a=\n" * (1024 * 1024 // 5))
    long = b"".join(pax(record("path", b"%d" % number + b"n" * 1_000_000 + b".jpg")) + member("x") for number in range(40))
    tar = many * 5 + member("a.jpg") + long + member("b.jpg") + END
    packed = zstandard.ZstdCompressor().compress(tar)
    del tar
    tracemalloc.start()
    account = read_tar(packed, "tar.zst")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(account.images) == 42
    assert len({image.member for image in account.images}) == 42
    assert all(len(image.member) <= MAX_NAME_BYTES and image.member.endswith(".jpg") for image in account.images)
    assert "more than 10,000 records" in (account.damage or "")
    assert peak < 60 * 1024 * 1024


TAR = tar_bytes(SAMPLES)
FRAMES = [zstandard.ZstdCompressor().compress(TAR[at : at + 4000]) for at in range(0, len(TAR), 4000)]


@given(st.lists(st.tuples(st.integers(0, 15), st.binary(max_size=700)), min_size=1, max_size=len(FRAMES) + 1))
@settings(max_examples=60, deadline=None)
def test_frames_of_zstd_that_hold_no_data_are_passed_over(skipped: list[tuple[int, bytes]]) -> None:
    frames = [struct.pack("<II", 0x184D2A50 + kind, len(data)) + data for kind, data in skipped]
    between = [b"".join(pair) for pair in zip(frames, [*FRAMES, b""], strict=False)]
    account = read_tar(b"".join(between) + b"".join(FRAMES[len(between) :]), "tar.zst")
    assert [image.data for image in account.images] == [sample.data for sample in SAMPLES]
    assert account.damage is None


@pytest.mark.parametrize(("log", "told"), [(27, None), (28, "256 MiB"), (30, "1 GiB"), (31, "2 GiB")])
@pytest.mark.parametrize("suffix", ["tar.zst", "tfrecord.zst"])
def test_a_window_that_needs_too_much_memory_says_what_to_do(log: int, told: str | None, suffix: str) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=log, hash_log=10, chain_log=10)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    account = read_tar(compressor.compress(TAR) + compressor.flush(), suffix)
    if told:
        assert f"needs a window of {told}, more than 128 MiB; recompress without --long" in (account.damage or "")
        assert "corrupt" not in (account.damage or "")
    elif suffix == "tar.zst":
        assert (len(account.images), account.damage) == (3, None)


@pytest.mark.parametrize(("size", "is_read"), [(31, True), (32, False), (37, False)], ids=["192 MiB", "256 MiB", "1.5 GiB"])
def test_a_dictionary_of_xz_that_needs_too_much_memory_says_what_to_do(size: int, is_read: bool) -> None:
    half = len(TAR) // 2
    first, frame = lzma.compress(TAR[:half]), bytearray(lzma.compress(TAR[half:]))
    end = 12 + 4 * (frame[12] + 1)  # of the block's header, which follows the frame's and ends with a checksum
    frame[frame.index(b"\x21\x01", 12) + 2] = size
    frame[end - 4 : end] = zlib.crc32(frame[12 : end - 4]).to_bytes(4, "little")
    account = read_tar(first + bytes(frame), "tar.xz")
    assert account.images
    if is_read:
        assert account.damage is None
    else:
        assert "the xz stream needs a window of more than 192 MiB near byte" in (account.damage or "")
        assert "recompress with a smaller dictionary" in (account.damage or "")
