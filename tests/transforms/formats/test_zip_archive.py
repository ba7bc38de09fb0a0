"""Zip archives: whatever is wrong with one member costs that member."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.reasons import Reason
from causalprint.transforms.formats.members import read_member
from tests.servers import ObjectStore, breaking_proxy
from tests.shards import make_samples, tar_members, zip_of
from tests.transforms.formats.reading import FAST, read_all, read_bytes

SAMPLES = make_samples(8)
JPEG = SAMPLES[0].data
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
ZIP = zip_of(tar_members(SAMPLES))
ORIGINALS = {sample.member: sample.data for sample in SAMPLES}
read_zip = partial(read_bytes, suffix="zip")


def patched(data: bytes, name: str, *, central: int, local: int, value: bytes) -> bytes:
    """``data`` with bytes of the member's two headers replaced."""
    whole = bytearray(data)
    for start, offset, header in ((b"PK\x01\x02", central, 46), (b"PK\x03\x04", local, 30)):
        at = whole.find(start)
        while whole[at + header : at + header + len(name)] != name.encode():
            at = whole.find(start, at + 1)
        whole[at + offset : at + offset + len(value)] = value
    return bytes(whole)


@pytest.mark.parametrize("method", METHODS)
def test_members_come_in_order_with_their_sidecars_whatever_the_method(method: int) -> None:
    extra = [("readme.md", b"#"), ("x/", b""), ("no-suffix", JPEG), ("a.npy", b"\x93NUMPY"), ("empty.jpg", b"")]
    account = read_zip(zip_of([*tar_members(SAMPLES), *extra], method))
    assert [(image.member, image.data) for image in account.images] == [*ORIGINALS.items(), ("no-suffix", JPEG)]
    assert [json.loads(image.metadata or "null") for image in account.images[:-1]] == [sample.metadata for sample in SAMPLES]
    assert sorted(each.member for each in account.skipped) == ["a.npy", "readme.md", "x/"]
    assert [(each.member, each.reason) for each in account.rejects] == [("empty.jpg", Reason.EMPTY)]
    assert account.damage is None


@pytest.mark.parametrize(
    ("central", "local", "value", "detail"),
    [
        (8, 6, b"\x01\0", "unpack the archive with its password"),
        (10, 8, b"\x0e\x01", "compressed by method 270"),
        (10, 8, b"\x60\0", "method 96"),
    ],
)
def test_a_member_that_cannot_be_undone_is_rejected_by_name(central: int, local: int, value: bytes, detail: str) -> None:
    account = read_zip(patched(ZIP, SAMPLES[3].member, central=central, local=local, value=value))
    (reject,) = account.rejects
    assert (reject.member, reject.reason) == (SAMPLES[3].member, Reason.UNSUPPORTED_FORMAT)
    assert detail in reject.detail
    assert (len(account.images), account.damage) == (7, None)
    assert json.loads(reject.metadata or "")["number"] == 3


@given(at=st.integers(0, len(ZIP) - 1), flip=st.integers(1, 255))
@settings(max_examples=250, deadline=None)
def test_whatever_byte_is_flipped_no_wrong_byte_is_given(at: int, flip: int) -> None:
    account = read_zip(ZIP[:at] + bytes([ZIP[at] ^ flip]) + ZIP[at + 1 :])
    assert {image.data for image in account.images} <= set(ORIGINALS.values())
    if at < ZIP.index(b"PK\x01\x02"):  # in a member: the others are whole
        assert len(account.images) >= 7
    assert len(account.images) + len(account.rejects) + len(account.skipped) >= 8 or account.damage is not None


@given(size=st.integers(0, len(ZIP) - 1))
@settings(max_examples=60, deadline=None)
def test_an_archive_that_is_cut_is_incomplete(size: int) -> None:
    account = read_zip(ZIP[:size])
    assert "empty file" in (account.damage or "") if size == 0 else "no central directory" in (account.damage or "")


def test_an_archive_without_members_is_complete() -> None:
    account = read_zip(zip_of([]))
    assert (account.images, account.rejects, account.skipped, account.damage) == ([], [], [], None)


NAME = ZIP.index(SAMPLES[3].member.encode(), ZIP.index(b"PK\x01\x02"))
"""Where the directory names the fourth image; 46 bytes of numbers stand before."""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({8 - 46: b"\0\x08", 0: b"\xff"}, "UnicodeDecodeError"),
        ({6 - 46: b"\x63"}, "zip file version 9.9"),
    ],
    ids=["a name that is no UTF-8", "a version"],
)
@pytest.mark.parametrize("before", [b"", b"#!/bin/sh\n"], ids=["alone", "behind something"])
def test_an_entry_that_cannot_be_read_costs_its_member(changes: dict[int, bytes], why: str, before: bytes) -> None:
    data = bytearray(ZIP)
    for place, value in changes.items():
        data[NAME + place : NAME + place + len(value)] = value
    account = read_zip(before + bytes(data))
    assert [image.data for image in account.images] == [sample.data for sample in SAMPLES if sample is not SAMPLES[3]]
    assert [json.loads(image.metadata or "")["number"] for image in account.images] == [0, 1, 2, 4, 5, 6, 7]
    (reject,) = account.rejects
    assert (reject.reason, reject.offset) == (Reason.CORRUPT_HEADER, len(before) + ZIP.index(SAMPLES[3].data) - 30 - 10)
    assert why in reject.detail
    assert "cannot be read as a whole" in (account.damage or "")


def test_an_extra_field_that_is_broken_costs_its_member() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for sample in SAMPLES:
            info = zipfile.ZipInfo(sample.member)
            info.extra = b"\x55\x54\x09\0" * (sample is SAMPLES[3])
            archive.writestr(info, sample.data)
    account = read_zip(buffer.getvalue())
    assert [image.data for image in account.images] == [sample.data for sample in SAMPLES if sample is not SAMPLES[3]]
    assert [(each.member, each.reason) for each in account.rejects] == [(SAMPLES[3].member, Reason.CORRUPT_HEADER)]
    assert "Corrupt extra field" in account.rejects[0].detail


def test_entries_that_another_swallows_are_found() -> None:
    """Longer by three entries, the comment of one hides these: Python's reader would not miss them."""
    data = bytearray(ZIP)
    hidden = ZIP.index(SAMPLES[5].member.encode(), NAME) - 46 - (NAME + 10)
    data[NAME + 32 - 46 : NAME + 34 - 46] = hidden.to_bytes(2, "little")
    account = read_zip(bytes(data))
    assert [image.data for image in account.images] == list(ORIGINALS.values())
    assert "16 members are counted, 13 listed" in (account.damage or "")


def test_sidecars_that_cannot_be_read_are_counted_as_such() -> None:
    account = read_zip(patched(ZIP, f"{SAMPLES[3].key}.json", central=8, local=6, value=b"\x01\0"))
    assert len(account.images) == 8
    assert [(each.member, each.kind) for each in account.skipped] == [("000003.json", "sidecar that could not be read")]


def test_two_archives_in_a_row_are_not_taken_for_one() -> None:
    account = read_zip(ZIP + zip_of([("second.jpg", JPEG)]))
    assert [image.member for image in account.images] == ["second.jpg"]
    assert f"bytes 0 to {len(ZIP)} are another archive" in (account.damage or "")
    assert read_zip(b"#!/bin/sh\n" + ZIP).damage is None


def zip_with_links(members: Mapping[str, bytes], links: Mapping[str, str]) -> bytes:
    """A zip of ``members``, and after them of symbolic links by the names that they lead to."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        for name, target in links.items():
            link = zipfile.ZipInfo(name)
            link.create_system = 3
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, target)
    return data.getvalue()


def test_a_link_is_what_it_leads_to_within_the_archive(tmp_path: Path) -> None:
    links = {"d/b.jpg": "../a.jpg", "d/c.jpg": "b.jpg", "d/b.json": "../a.json", "latest": "a.jpg", "notes": "../x"}
    path = tmp_path / "a.zip"
    path.write_bytes(zip_with_links({"a.jpg": JPEG, "a.json": b'{"url":1}'}, links))
    account = read_all(path)
    told = {"a.jpg": '{"url":1}', "d/b.jpg": '{"url":1}', "d/c.jpg": None, "latest": None}
    assert {image.member: image.metadata for image in account.images} == told
    assert {image.data for image in account.images} == {JPEG}
    assert ([each.member for each in account.skipped], account.rejects, account.damage) == (["notes"], [], None)
    for image in account.images:
        assert read_member(path.as_uri(), image.member, image.offset).data == JPEG


LOOP = {f"{number}.jpg": f"{number + 1}.jpg" for number in range(20)} | {"20.jpg": "0.jpg"}


@pytest.mark.parametrize("links", [{"a.jpg": "../b.jpg"}, {"a.jpg": "a.jpg"}, {"a.jpg": "x" * 5000}, LOOP], ids=len)
def test_a_link_that_leads_nowhere_is_an_image_without_bytes_and_damage(links: dict[str, str]) -> None:
    account = read_zip(zip_with_links({"c.png": JPEG}, links))
    assert [(each.member, each.reason) for each in account.rejects] == [(name, Reason.NO_BYTES) for name in links]
    assert [image.member for image in account.images] == ["c.png"]
    assert "it is a link to what is not in the shard" in (account.damage or "")


@pytest.mark.parametrize("method", METHODS)
def test_a_bomb_is_bounded_by_what_it_may_be_and_by_what_it_says(method: int, tmp_path: Path) -> None:
    import tracemalloc

    zeros = bytes(64 * 1024 * 1024)
    data = zip_of([("a.jpg", zeros), ("b.jpg", zeros), ("c.jpg", JPEG)], method)
    (tmp_path / "a.zip").write_bytes(patched(data, "b.jpg", central=24, local=22, value=(1000).to_bytes(4, "little")))
    del zeros, data
    tracemalloc.start()
    account = read_all(tmp_path / "a.zip", replace(FAST, max_encoded_bytes=100_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(each.member, each.reason) for each in account.rejects] == [
        ("a.jpg", Reason.TOO_LARGE),
        ("b.jpg", Reason.CORRUPT_RECORD),
    ]
    assert [image.data for image in account.images] == [JPEG]
    assert peak < 200 * 1024 * 1024


def test_a_connection_that_breaks_once_costs_nothing(object_store: ObjectStore) -> None:
    uri = object_store.put("a.zip", ZIP)
    with breaking_proxy(object_store.port, after=10_000, times=1) as (port, breaks):
        account = read_all(uri, storage=object_store.through(port).storage)
    assert breaks.done == 1
    assert [image.data for image in account.images] == list(ORIGINALS.values())
