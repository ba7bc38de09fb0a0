"""Tars: nothing of a sound one is lost, nothing of a damaged one goes unsaid."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from causalprint.schemas.names import text_of
from causalprint.schemas.reasons import Reason
from causalprint.transforms.images.decode import ImageRejectError, decode
from tests.shards import (
    BLOCK,
    MEMBER_WAYS,
    TAR_WAYS,
    compress,
    damaged_tar,
    make_samples,
    tar_bytes,
    tar_members,
    tar_of,
    tar_spans,
)
from tests.transforms.formats.reading import FAST, Account, read_all, read_tar

SAMPLES = make_samples(8)
TAR = tar_bytes(SAMPLES)
SPANS = {span.name: span for span in tar_spans(TAR)}
ORIGINALS = {sample.member: sample.data for sample in SAMPLES}
JPEG = SAMPLES[0].data


def sizes(account: Account) -> tuple[int, int, int]:
    return len(account.images), len(account.rejects), len(account.skipped)


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["a.jpg", "deep/" * 18 + "a.jpg", "f/" * 70 + "b.jpg"])
def test_each_dialect_of_tar_is_read(kind: int, name: str) -> None:
    account = read_tar(tar_of([(name, JPEG), ("z.jpg", JPEG)], kind))
    assert [image.member for image in account.images] == [name, "z.jpg"]
    assert account.damage is None


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@given(stem=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=40))
@example(stem="../../etc/passwd")
@example(stem="/absolute/path")
@example(stem="line\nbreak")
@example(stem="ünïcödé 图像 🖼")
@example(stem="x" * 5000)
@settings(max_examples=30, deadline=None)
def test_names_are_data_whatever_they_say(kind: int, stem: str) -> None:
    account = read_tar(tar_of([(f"d/{stem}.jpg", JPEG), ("last.jpg", JPEG)], kind))
    assert [image.member for image in account.images] == [text_of(f"d/{stem}.jpg"), "last.jpg"]
    assert account.damage is None


def test_a_name_that_is_no_utf8_still_fits_a_table() -> None:
    tar = bytearray(tar_of([("aaaa.jpg", JPEG)]))
    tar[0] = 0xFF
    tar[148:156] = b" " * 8
    tar[148:156] = b"%06o\0 " % sum(tar[:BLOCK])
    account = read_tar(bytes(tar))
    assert account.images[0].member == "\\xffaaa.jpg"


def test_members_are_sorted_out_by_name_then_by_content() -> None:
    members = [
        ("readme.md", b"# hello"),
        ("folder/weights.npy", b"\x93NUMPY"),
        ("hash-named-photo", JPEG),
        ("._0001.jpg", b"\x00\x05\x16\x07 a resource fork"),
        (".hidden", JPEG),
        ("page.jpg", b"<html>not found</html>"),
        ("clip.mp4", b"\x00\x00\x00\x18ftypmp42"),
    ]
    account = read_tar(tar_of(members))
    assert [image.member for image in account.images] == ["hash-named-photo", ".hidden", "page.jpg"]
    assert sorted(each.member for each in account.skipped) == ["._0001.jpg", "clip.mp4", "folder/weights.npy", "readme.md"]


def test_sidecars_before_and_after_describe_every_image_of_their_sample() -> None:
    members = [
        ("a.json", b'{"url": "u"}'),
        ("a.jpg", JPEG),
        ("a.txt", b"a cat"),
        ("a.seg.png", SAMPLES[1].data),
        ("a.cls", b"3"),
        ("b.jpg", JPEG),
        ("c.json", b"{}"),
    ]
    account = read_tar(tar_of(members))
    assert [image.member for image in account.images] == ["a.jpg", "a.seg.png", "b.jpg"]
    told = [image.metadata and json.loads(image.metadata) for image in account.images]
    assert told == [{"url": "u", "txt": "a cat", "cls": "3"}] * 2 + [None]
    assert [each.member for each in account.skipped] == ["c.json"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ('{"a":  1,\n "b": [2.50]}', '{"a":  1,\n "b": [2.50]}'),
        ('{"score": NaN, "most": Infinity}', '{"score":null,"most":null}'),
        ('{"half": "\\ud800"}', '{"half":"?"}'),
        ("[1, 2]", '{"json":[1,2]}'),
        ("{broken", '{"json":"{broken"}'),
        ("\ufeff{}", "{}"),
    ],
)
def test_metadata_are_always_json_for_strict_readers(written: str, kept: str) -> None:
    account = read_tar(tar_of([("a.jpg", JPEG), ("a.json", written.encode())]))
    assert account.images[0].metadata == kept


def test_a_text_does_not_replace_what_the_json_says() -> None:
    account = read_tar(tar_of([("a.txt", b"from txt"), ("a.jpg", JPEG), ("a.json", b'{"txt": "from json"}')]))
    assert json.loads(account.images[0].metadata or "") == {"txt": "from json"}


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE])
def test_what_has_no_bytes_is_rejected_where_it_is_called_like_an_image(kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("d.jpg")
        info.type = kind
        tar.addfile(info)
        info = tarfile.TarInfo("a.jpg")
        info.size = len(JPEG)
        tar.addfile(info, io.BytesIO(JPEG))
    account = read_tar(buffer.getvalue())
    assert [image.member for image in account.images] == ["a.jpg"]
    if kind == tarfile.DIRTYPE:
        assert ([each.kind for each in account.skipped], account.rejects, account.damage) == (["folder"], [], None)
    else:
        assert [(each.member, each.reason) for each in account.rejects] == [("d.jpg", Reason.NO_BYTES)]
        assert "'d.jpg'" in (account.damage or "")


def test_folders_and_pipes_are_stepped_over_and_sparse_files_rejected() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind in [
            ("d", tarfile.DIRTYPE),
            ("pipe", tarfile.FIFOTYPE),
        ]:
            info = tarfile.TarInfo(name)
            info.type = kind
            tar.addfile(info)
        info = tarfile.TarInfo("holes.jpg")
        info.type, info.size = tarfile.GNUTYPE_SPARSE, len(JPEG)
        tar.addfile(info, io.BytesIO(JPEG))
        info = tarfile.TarInfo("a.jpg")
        info.size = len(JPEG)
        tar.addfile(info, io.BytesIO(JPEG))
    account = read_tar(buffer.getvalue())
    assert account.damage is None
    assert [image.member for image in account.images] == ["a.jpg"]
    assert [each.member for each in account.skipped] == ["d/", "pipe"]
    assert [(each.member, each.reason) for each in account.rejects] == [("holes.jpg", Reason.UNSUPPORTED_FORMAT)]


def test_an_empty_image_and_one_too_large_are_rejected_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    path.write_bytes(tar_of([("a.jpg", b""), ("b.jpg", JPEG * 10), ("c.jpg", JPEG)]))
    account = read_all(path, replace(FAST, max_encoded_bytes=len(JPEG)))
    assert [(each.member, each.reason) for each in account.rejects] == [("a.jpg", Reason.EMPTY), ("b.jpg", Reason.TOO_LARGE)]
    assert [image.member for image in account.images] == ["c.jpg"]
    assert account.damage is None


def test_a_sample_without_end_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    path.write_bytes(tar_of([("clip.json", b'{"n": 1}'), *((f"clip.{number:03d}.jpg", JPEG) for number in range(50))]))
    account = read_all(path, replace(FAST, max_sample_bytes=3 * len(JPEG)))
    assert len(account.images) == 50
    assert {image.metadata for image in account.images} == {'{"n": 1}'}


@pytest.mark.parametrize("way", sorted(TAR_WAYS))
def test_each_kind_of_damage_is_told_and_the_rest_is_read(way: str) -> None:
    account = read_tar(TAR_WAYS[way](TAR))
    expected = {
        "cut at a member boundary": (8, 0, 0, "no end-of-archive mark"),
        "cut inside a header": (8, 0, 1, "inside a header"),
        "cut inside data": (4, 1, 0, "'000004.jpg'"),
        "flipped header byte": (7, 1, 0, "the header of '000004.jpg' at byte"),
        "empty file": (0, 0, 0, "empty"),
        "not a tar": (0, 0, 0, "no tar"),
        "garbage after the end": (8, 0, 0, "but data follow"),
        "size beyond the object": (7, 1, 0, "'000004.jpg'"),
        "no second zero block": (8, 0, 0, "no end-of-archive mark"),
    }
    images, rejects, skipped, words = expected[way]
    assert sizes(account) == (images, rejects, skipped)
    assert words in (account.damage or "")
    assert all(image.data == ORIGINALS[image.member] for image in account.images)
    if rejects:
        reason = Reason.CORRUPT_HEADER if way == "flipped header byte" else Reason.TRUNCATED_MEMBER
        assert [(each.member, each.reason) for each in account.rejects] == [("000004.jpg", reason)]


def test_each_way_of_damaging_an_image_gives_its_reason() -> None:
    samples = make_samples(20)
    ways = {2 * number: way for number, way in enumerate(way for way in MEMBER_WAYS if way != "cut inside")} | {19: "cut inside"}
    tar, expected = damaged_tar(samples, ways)
    account = read_tar(tar)
    found = {each.member: each.reason for each in account.rejects}
    for image in account.images:
        try:
            decode(image.data)
        except ImageRejectError as error:
            found[image.member] = error.reason
    assert found == expected
    assert len(account.images) + len(account.rejects) == 20


@given(cut=st.integers(0, len(TAR) - 1))
@settings(max_examples=150, deadline=None)
def test_wherever_a_tar_is_cut_the_account_says_so(cut: int) -> None:
    account = read_tar(TAR[:cut])
    assert account.damage is not None
    assert all(image.data == ORIGINALS[image.member] for image in account.images)
    whole = [sample.member for sample in SAMPLES if SPANS[sample.member].data + len(sample.data) <= cut]
    assert [image.member for image in account.images] == whole
    assert len(account.rejects) <= 1


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_broken_header_of_a_long_name_costs_the_name_and_not_the_image(kind: int) -> None:
    name = "long/" * 30 + "a.jpg"
    tar = bytearray(tar_of([(name, JPEG), ("b.jpg", JPEG)], kind))
    tar[300] ^= 1
    account = read_tar(bytes(tar))
    assert [image.data for image in account.images] == [JPEG, JPEG]
    assert account.images[0].member in (name[:100], name[-100:])
    assert account.rejects == []
    assert "the header at byte 0 is corrupt" in (account.damage or "")


@given(at=st.integers(0, len(TAR) - 1), flip=st.integers(1, 255))
@settings(max_examples=250, deadline=None)
def test_whatever_byte_is_flipped_the_other_members_are_whole(at: int, flip: int) -> None:
    account = read_tar(TAR[:at] + bytes([TAR[at] ^ flip]) + TAR[at + 1 :])
    hit = next((span.name for span in SPANS.values() if span.header <= at < span.end), None)
    untouched = [sample.member for sample in SAMPLES if sample.member != hit]
    assert [image.member for image in account.images if image.member in untouched] == untouched
    assert all(image.data == ORIGINALS[image.member] for image in account.images if image.member != hit)
    assert len(account.images) + len(account.rejects) >= len(SAMPLES)
    in_data = hit is not None and at >= SPANS[hit].data
    assert (account.damage is None) == in_data or hit is None or at % BLOCK in range(148, 156)


LARGE = make_samples(60, width=160, height=120)
LARGE_TAR = tar_bytes(LARGE)
PACKED = ("gz", "zst", "bz2", "xz")
COMPRESSED = {compression: compress(LARGE_TAR, compression) for compression in PACKED}


@pytest.mark.parametrize("compression", PACKED)
@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=40, deadline=None)
def test_a_compressed_tar_that_is_cut_gives_what_was_before(compression: str, share: float) -> None:
    whole = COMPRESSED[compression]
    account = read_tar(whole[: int(share * len(whole))], f"tar.{compression}")
    assert account.damage is not None
    assert [image.data for image in account.images] == [sample.data for sample in LARGE[: len(account.images)]]
    block = 128 * 1024 / len(LARGE_TAR)  # zstd and bzip2 give whole blocks
    assert len(account.images) >= int((share - block) * len(LARGE)) - 2


@pytest.mark.parametrize("compression", PACKED)
def test_a_compressed_tar_with_a_flipped_byte_says_where(compression: str) -> None:
    whole = bytearray(COMPRESSED[compression])
    whole[3 * len(whole) // 4] ^= 0xFF
    account = read_tar(bytes(whole), f"tar.{compression}")
    assert "byte" in (account.damage or "")
    assert [image.data for image in account.images[:20]] == [sample.data for sample in LARGE[:20]]


def test_the_checksum_after_the_last_member_counts_too() -> None:
    whole = bytearray(gzip.compress(TAR, mtime=0))
    whole[-6] ^= 1
    account = read_tar(bytes(whole), "tar.gz")
    assert len(account.images) == 8
    assert "all members were read, but the gzip stream is corrupt" in (account.damage or "")


def test_compressed_frames_in_a_row_are_one_tar() -> None:
    half = len(TAR) // 2
    for compression in PACKED:
        account = read_tar(compress(TAR[:half], compression) + compress(TAR[half:], compression), f"tar.{compression}")
        assert (len(account.images), account.damage) == (8, None)


def test_two_tars_in_a_row_are_both_read_and_that_is_said() -> None:
    account = read_tar(TAR + tar_of([("second.jpg", JPEG)]))
    assert [image.member for image in account.images][-1] == "second.jpg"
    assert len(account.images) == 9
    assert "but data follow" in (account.damage or "")


def test_a_tar_is_read_whatever_its_suffix_says_of_compression() -> None:
    assert read_tar(gzip.compress(TAR), "tar").damage is None
    assert read_tar(TAR, "tar.gz").damage is None


@pytest.mark.parametrize("shown", [9000, 0])
def test_an_extended_header_cannot_move_the_end_of_a_member(shown: int) -> None:
    """No checksum covers it, so a size there that disagrees with the header's own is damage and is not followed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("a.jpg", "b.jpg"):
            info = tarfile.TarInfo(name)
            info.size = len(JPEG)
            info.pax_headers = {"size": str(shown)} if name == "a.jpg" else {}
            tar.addfile(info, io.BytesIO(JPEG))
    account = read_tar(buffer.getvalue())
    assert [image.data for image in account.images] == [JPEG, JPEG]
    assert f"says {shown} bytes" in (account.damage or "")


def test_a_bomb_of_zeros_is_streamed_over(tmp_path: Path) -> None:
    import tracemalloc

    zeros = bytes(32 * 1024 * 1024)
    path = tmp_path / "bomb.tar.zst"
    path.write_bytes(compress(tar_of([("bomb.jpg", zeros), ("bomb.bin", zeros), ("a.jpg", JPEG)]), "zst"))
    assert path.stat().st_size < 100_000
    del zeros
    tracemalloc.start()
    account = read_all(path, replace(FAST, max_encoded_bytes=100_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [each.reason for each in account.rejects] == [Reason.TOO_LARGE]
    assert len(account.images) == 1
    assert peak < 80 * 1024 * 1024


@pytest.mark.parametrize("signed", [False, True])
def test_a_checksum_may_count_signed_bytes_as_old_writers_do(signed: bool) -> None:
    tar = bytearray(tar_of([("caf\udce9.jpg", JPEG), ("b.jpg", JPEG)], tarfile.USTAR_FORMAT))
    total = sum(tar[:148]) + 8 * 32 + sum(tar[156:BLOCK]) - 256 * signed
    tar[148:156] = b"%06o\0 " % total
    assert [image.member for image in read_tar(bytes(tar)).images] == ["caf\\xe9.jpg", "b.jpg"]
    tar[148:156] = b"%06o\0 " % (total + 1)
    assert len(read_tar(bytes(tar)).images) == 1


@pytest.mark.parametrize("end", [0, 1, 3])
def test_a_file_made_in_its_size_and_not_filled_in_is_damage(end: int) -> None:
    """As downloaders make them, whatever part of the tar had come, in whole members."""
    members = tar_members(make_samples(3))[:end]
    empty = bytes(2 * 1024 * 1024)
    account = read_tar(tar_of(members).rstrip(b"\0") + empty if members else empty)
    assert [image.member for image in account.images] == [name for name, _ in members if name.endswith((".jpg", ".png"))]
    assert (account.skipped, account.rejects) == ([], [])
    assert "not filled in" in (account.damage or "")
    assert read_tar(tar_of(members) + bytes(512 * 1024)).damage is None
