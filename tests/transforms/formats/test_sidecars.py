"""Sidecars: each describes the images that it is named after, in a tar as in a folder, wherever it lies; others are counted."""

from __future__ import annotations

import json
import random
import tempfile
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.config import ReadOptions, Slicing, Storage
from causalprint.transforms.formats import image_lists
from causalprint.transforms.formats.items import sidecar_metadata
from causalprint.transforms.formats.members import open_shard
from causalprint.transforms.formats.samples import ORPHAN
from causalprint.transforms.formats.sidecars import match_sidecars
from causalprint.transforms.formats.slices import read_slices
from tests.shards import compress, make_samples, tar_of, zip_of
from tests.transforms.formats.reading import FAST, Account, read_all

JPEG = make_samples(1)[0].data
SMALL = b"\xff\xd8\xff\xe0"

NAMES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "dots in keys": (
        ["sdxl_v1.0_00001.jpg", "sdxl_v1.0_00001.json", "sdxl_v1.0_00002.jpg", "sdxl_v1.0_00002.json", "sdxl_v1.0_00003.json"],
        {"sdxl_v1.0_00001.jpg": {"sdxl_v1.0_00001.json": 1}, "sdxl_v1.0_00002.jpg": {"sdxl_v1.0_00002.json": 1}},
    ),
    "upper case": (["0.JPG", "0.JSON", "0.TXT"], {"0.JPG": {"0.JSON": 1, "txt": '{"0.TXT": 1}'}}),
    "whole name": (["1.jpg", "1.jpg.json", "1.png"], {"1.jpg": {"1.jpg.json": 1}, "1.png": None}),
    "Takeout": (
        [
            "IMG.jpg",
            "IMG.jpg.supplemental-metadata.json",
            "IMG(1).jpg",
            "IMG.jpg.supplemental-metadata(1).json",
            "B(2).jpg",
            "B.jpg(2).json",
        ],
        {
            "IMG.jpg": {"IMG.jpg.supplemental-metadata.json": 1},
            "IMG(1).jpg": {"IMG.jpg.supplemental-metadata(1).json": 1},
            "B(2).jpg": {"B.jpg(2).json": 1},
        },
    ),
    "both": (["a.jpg", "a.json", "a.jpg.json"], {"a.jpg": {"a.json": 1, "a.jpg.json": 1}}),
    "first dot": (["a.left.jpg", "a.right.jpg", "a.json"], {"a.left.jpg": {"a.json": 1}, "a.right.jpg": {"a.json": 1}}),
    "views": (
        ["0.left.jpg", "0.right.jpg", "0.meta.json", "1.left.jpg"],
        {"0.left.jpg": {"meta.json": {"0.meta.json": 1}}, "0.right.jpg": {"meta.json": {"0.meta.json": 1}}, "1.left.jpg": None},
    ),
    "own and more": (["a.jpg", "a.json", "a.meta.json"], {"a.jpg": {"a.json": 1, "meta.json": {"a.meta.json": 1}}}),
    "one of its own and a shared one": (
        ["v1.jpg", "v1.json", "v1.0_7.jpg", "v1.0_7.json"],
        {"v1.jpg": {"v1.json": 1}, "v1.0_7.jpg": {"v1.0_7.json": 1}},
    ),
    "no suffix": (["hash", "hash.json"], {"hash": {"hash.json": 1}}),
    "nothing": (["a.jpg", "b.json"], {"a.jpg": None}),
}


def contents(name: str) -> bytes:
    return json.dumps({name: 1}).encode() if Path(name).suffix.lower() in (".json", ".txt") else JPEG


def told(account: Account) -> dict[str, Any]:
    return {image.member: image.metadata and json.loads(image.metadata) for image in account.images}


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "folder"])
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("case", sorted(NAMES))
def test_each_image_has_the_sidecars_that_are_named_after_it(case: str, order: int, kind: str, tmp_path: Path) -> None:
    names, expected = NAMES[case]
    names = sorted(names, key=lambda name: (order and random.Random(f"{order}{name}").random(), names.index(name)))
    path = tmp_path / f"shard.{kind}"
    if kind == "folder":
        path.mkdir()
        for name in names:
            (path / name).write_bytes(contents(name))
    else:
        path.write_bytes(compress(tar_of([(name, contents(name)) for name in names]), kind[4:]))
    account = read_all(path)
    assert told(account) == expected
    used = [name for name in names if name in json.dumps(list(expected.values()))]
    orphans = [name for name in names if contents(name) != JPEG and name not in used]
    assert [(each.member, each.kind) for each in account.skipped] == [(name, ORPHAN) for name in orphans]


@given(
    names=st.sets(st.tuples(st.sampled_from("abc"), st.sampled_from(["jpg", "json", "txt", "jpg.json", "dump", "dump.json"]))),
    folder=st.booleans(),
    far=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_no_sidecar_vanishes_though_what_it_is_named_after_is_no_image(
    names: set[tuple[str, str]], folder: bool, far: bool
) -> None:
    called = [f"{stem}.{suffix}" for stem, suffix in names]
    members = {name: b"no image" if name.endswith(".dump") else contents(name) for name in called}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "in" if folder else "in.tar")
        if folder:
            path.mkdir()
            for name, data in members.items():
                (path / name).write_bytes(data)
        else:
            path.write_bytes(tar_of(sorted(members.items())))
        if folder and not any(name.endswith(".jpg") for name in members):
            return
        account = read_all(path, replace(FAST, max_sample_bytes=1500) if far else FAST)
    told = "".join(image.metadata or "" for image in account.images)
    for name in (each for each in members if each.endswith((".json", ".txt"))):
        assert (json.dumps(name) in told.replace("\\", "")) != (name in {each.member for each in account.skipped}), name


parts = st.lists(st.sampled_from(["a", "b", "v1", "0", "00001"]), min_size=1, max_size=4).map(".".join)
members = st.lists(st.tuples(parts, st.sampled_from(["jpg", "png", "json", "txt", "JSON", "jpg.json"])), max_size=14)


@given(members, st.randoms())
@settings(max_examples=200, deadline=None)
def test_who_describes_whom_depends_on_names_and_not_on_their_order(given_members: list[tuple[str, str]], shuffle: Any) -> None:
    names = sorted({f"{name}.{suffix}" for name, suffix in given_members})
    images = [name for name in names if name.endswith(("jpg", "png"))]
    sidecars = [name for name in names if not name.endswith(("jpg", "png"))]
    found = match_sidecars(images, sidecars)
    pairs = {(image, each.key, sidecars[each.sidecar]) for image, told in zip(images, found, strict=True) for each in told}
    shuffle.shuffle(images)
    shuffle.shuffle(sidecars)
    again = match_sidecars(images, sidecars)
    assert pairs == {
        (image, each.key, sidecars[each.sidecar]) for image, told in zip(images, again, strict=True) for each in told
    }
    for image, _, sidecar in pairs:
        assert sidecar.startswith(image.partition(".")[0])
    for sidecar in sidecars:  # what is named after an image is never given to another one
        owners = [image for image in images if sidecar.rpartition(".")[0] in (image, image.rpartition(".")[0])]
        assert not owners or {image for image, _, name in pairs if name == sidecar} >= set(owners)


TINY = replace(FAST, max_sample_bytes=8 * (512 + len(JPEG)))


def shuffled(count: int, order: str) -> list[tuple[str, bytes]]:
    images = [(f"v1.0_{number:04d}.jpg", JPEG) for number in range(count)]
    sidecars = [(f"v1.0_{number:04d}.json", b'{"n": %d}' % number) for number in range(count)]
    if order == "images first":
        return images + sidecars
    if order == "sidecars first":
        return sidecars + images
    together = [each for pair in zip(images, sidecars, strict=True) for each in pair]
    if order == "shuffled":
        random.Random(7).shuffle(together)
    return together


@pytest.mark.parametrize("order", ["sorted", "images first", "sidecars first", "shuffled"])
def test_sidecars_far_from_their_image_are_found_in_a_tar_that_is_not_sorted(order: str, tmp_path: Path) -> None:
    """The tar is many times what may be held; it takes a second pass over its headers."""
    (tmp_path / "a.tar").write_bytes(tar_of([*shuffled(120, order), ("v1.0_9999.json", b"{}")]))
    account = read_all(tmp_path / "a.tar", TINY)
    assert told(account) == {f"v1.0_{number:04d}.jpg": {"n": number} for number in range(120)}
    assert [each.member for each in account.skipped] == ["v1.0_9999.json"]
    offsets = [image.offset for image in account.images]
    assert offsets == sorted(offsets)


@pytest.mark.parametrize("order", ["images first", "sidecars first", "shuffled"])
def test_what_cannot_be_found_in_a_compressed_tar_is_counted(order: str, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(compress(tar_of(shuffled(120, order)), "gz"))
    account = read_all(tmp_path / "a.tar.gz", TINY)
    described = {name: value for name, value in told(account).items() if value}
    assert len(account.images) == 120
    assert all(value == {"n": int(name[5:9])} for name, value in described.items())
    assert len(described) + len(account.skipped) == 120
    assert all(each.kind == ORPHAN for each in account.skipped)


def test_tars_put_together_give_each_image_the_sidecar_of_its_own_part(tmp_path: Path) -> None:
    members = [
        each
        for part in range(3)
        for number in range(40)
        for each in ((f"{number}.jpg", JPEG), (f"{number}.json", b'{"p": %d}' % part))
    ]
    (tmp_path / "a.tar").write_bytes(tar_of(members))
    for options in (FAST, TINY):
        account = read_all(tmp_path / "a.tar", options)
        assert [json.loads(image.metadata or "null") for image in account.images] == [
            {"p": part} for part in range(3) for _ in range(40)
        ]
        assert account.skipped == []


@pytest.mark.parametrize("kind", ["tar", "folder"])
def test_text_and_memory_grow_with_the_shard_and_not_with_its_square(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    shared = [("k.json", b'{"text": "%s"}' % (b"x" * 9000)), ("k.txt", b"y" * 9000)]
    members = [
        *shared,
        *((f"k.{number:04d}.jpg", SMALL) for number in range(300)),
        *((f"k.{number}.x.json", b"{}") for number in range(300, 700)),
    ]
    if kind == "tar":
        path.write_bytes(tar_of(members))
    else:
        path.mkdir()
        for name, data in members:
            (path / name).write_bytes(data)
    account = read_all(path)
    assert len(account.images) == 300
    assert {len(image.metadata or "") for image in account.images} == {len(shared[0][1])}  # one of the two: 16 KiB are shared
    assert len(account.skipped) == 401


def test_hundreds_of_thousands_of_sidecars_of_one_image_stay_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.zst"
    path.write_bytes(compress(tar_of([("a.jpg", JPEG), *((f"a.{number}.txt", b"x") for number in range(40_000))]), "zst"))
    tracemalloc.start()
    account = read_all(path, replace(FAST, max_sample_bytes=1024 * 1024))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(account.images) == 1
    assert len(json.loads(account.images[0].metadata or "")) == 64
    assert len(account.skipped) == 40_000 - 64
    assert peak < 50 * 1024 * 1024


@pytest.mark.parametrize(
    ("sidecar", "kept"),
    [
        ('{"d": ' + "[" * 600 + "NaN" + "]" * 600 + "}", "["),
        ('{"d": ' + "[" * 3000 + "1" + "]" * 3000 + "}", "["),
        ("[" * 100_000, "["),
        ('{"n": 1e999, "s": "\\ud800", "m": -Infinity}', '{"n":null,"s":"?","m":null}'),
        ('{"n": ' + "9" * 5000 + "}", "9"),
        ('{"n": ' + "9" * 4000 + "}", "9"),
        ('{"a": 1, "a": NaN}', '{"a":null}'),
    ],
)
@pytest.mark.parametrize("more", [[], [("txt", b"caption")], [("json", b'{"b": 2}')]])
def test_no_sidecar_raises_whatever_it_holds(sidecar: str, kept: str, more: list[tuple[str, bytes]]) -> None:
    metadata = sidecar_metadata([("json", sidecar.encode()), *more]) or ""
    json.dumps(metadata, allow_nan=False).encode()
    assert kept in metadata or kept.strip("{}") in metadata
    assert "NaN" not in metadata.replace("[NaN]", "") or '"json":' in metadata


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "metadata.jsonl",
            '{"file_name": "a.jpg", "text": "x, y", "n": 1.50}\n\n{"file_name": "./b.jpg", "text": "z"}\n',
        ),
        ("metadata.csv", 'file_name,text,n\na.jpg,"x, y",1.50\n./b.jpg,z\n'),
    ],
)
def test_the_lines_of_an_imagefolder_describe_its_images(name: str, text: str, tmp_path: Path) -> None:
    for image in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / image).write_bytes(JPEG)
    (tmp_path / name).write_text(text)
    (tmp_path / "b.json").write_text('{"text": "own", "url": "u"}')
    account = read_all(tmp_path)
    found = told(account)
    assert (found["a.jpg"]["text"], float(found["a.jpg"]["n"]), found["c.jpg"]) == ("x, y", 1.5, None)
    assert (found["b.jpg"]["text"], found["b.jpg"]["url"], found["b.jpg"]["file_name"]) == ("own", "u", "./b.jpg")
    assert account.skipped == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("name", "text", "unreadable"),
    [
        (
            "metadata.jsonl",
            '{"file_name": "a.jpg", "t": "é"}\r\n{"file_name": "c"}\nno\n[1]\n\n{}\n{"file_name": "a.jpg"}\n{"file_name": ""}',
            2,
        ),
        ("metadata.csv", 'file_name,t\na.jpg,é\ngone.jpg,"1\n2"\n\n,1\na.jpg,2\nb.md,3\n\n', 0),
    ],
)
def test_the_lines_of_an_imagefolder_that_tell_nothing_are_counted(
    name: str, text: str, unreadable: int, encoding: str, tmp_path: Path
) -> None:
    for file in ("a.jpg", "b.md"):
        (tmp_path / file).write_bytes(contents(file))
    (tmp_path / name).write_bytes(text.encode(encoding))
    (only,) = read_slices(open_shard(tmp_path.as_uri(), Storage()), "b", Slicing(), Storage())
    assert json.loads(only.images[0].metadata or "")["t"] == "é"
    counted = {each.kind: each.members for each in only.skipped_kinds}
    expected = {f"row of {name} of no image": 4, f"unreadable line of {name}": unreadable, ORPHAN: 1}
    assert counted == {kind: members for kind, members in expected.items() if members}
    assert only.damage is None


def test_two_lists_tell_together_and_the_lines_of_json_have_the_say(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    (tmp_path / "metadata.csv").write_text("file_name,text,source\na.jpg,csv,web\n")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.jpg", "text": "jsonl"}\n')
    account = read_all(tmp_path)
    assert told(account)["a.jpg"] == {"file_name": "a.jpg", "text": "jsonl", "source": "web"}
    assert account.skipped == []


def test_what_describes_images_and_is_too_large_is_called_that(tmp_path: Path) -> None:
    small = replace(FAST, max_sample_bytes=64, max_sidecar_bytes=16)
    for name in ("a.jpg", "a.json", "Metadata.jsonl", "metadata.csv"):
        (tmp_path / name).write_bytes(JPEG if name == "a.jpg" else b" " * 65)
    kinds = sorted(each.kind for each in read_all(tmp_path, small).skipped)
    assert kinds == ["metadata.csv that is too large", "metadata.jsonl that is too large", "sidecar that is too large"]
    for suffix, archive in (("tar", tar_of), ("zip", zip_of)):
        (path := tmp_path / f"b.{suffix}").write_bytes(archive([("a.jpg", JPEG), ("a.json", b" " * 65)]))
        assert [each.kind for each in read_all(path, small).skipped] == ["sidecar that is too large"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_sidecar_is_in_the_encoding_that_its_first_bytes_say(encoding: str) -> None:
    told = sidecar_metadata([("json", '{"url": "ü"}'.encode(encoding)), ("txt", "café 猫".encode(encoding))])
    assert json.loads(told or "") == {"url": "ü", "txt": "café 猫"}


def test_a_list_that_describes_no_image_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    (tmp_path / "metadata.csv").write_text("a,b\n1,2\n")
    (tmp_path / "metadata.jsonl").write_bytes(b"\xff\xfe\x00[[[")
    assert sorted(each.member for each in read_all(tmp_path).skipped) == ["metadata.csv", "metadata.jsonl"]


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv"])
def test_of_a_list_that_is_too_long_for_its_folder_the_first_lines_are_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_lists, "MORE_LINES", 2)  # and four for each of the three files
    for image in ("3.jpg", "999.jpg"):
        (tmp_path / image).write_bytes(JPEG)
    rows = [f'{{"file_name": "{row}.jpg"}}' if name.endswith("jsonl") else f"{row}.jpg" for row in range(1000)]
    (tmp_path / name).write_text("\n".join(rows if name.endswith("jsonl") else ["file_name", *rows]))
    account = read_all(tmp_path)
    assert {image.member: bool(image.metadata) for image in account.images} == {"3.jpg": True, "999.jpg": False}
    kinds = Counter(each.kind for each in account.skipped)
    assert kinds == {f"row of {name} of no image": 13, f"rest of {name}, which is too long": 1}
    assert account.damage is None


def test_a_link_never_brings_text_from_elsewhere_into_the_tables(tmp_path: Path) -> None:
    """Neither a sidecar that is a link, nor a list, nor an image that leads out of the folder."""
    photos, secret = tmp_path / "photos", tmp_path / "secret"
    (photos / "below").mkdir(parents=True)
    secret.mkdir()
    (secret / "s.jpg").write_bytes(JPEG)
    (secret / "list").write_text('{"file_name": "a.jpg", "password": "1"}')
    (photos / "below" / "b.jpg").write_bytes(JPEG)
    (photos / "a.jpg").write_bytes(JPEG)
    (photos / "real.json").write_text('{"real": 1}')
    for name in ("a.txt", "a.json", "a.jpg.json", "metadata.jsonl", "a.jpg.supplemental-metadata.json"):
        (photos / name).symlink_to(secret / "list")
    (photos / "inside.json").symlink_to(photos / "real.json")
    (photos / "inside.jpg").symlink_to("below/b.jpg")
    (photos / "out.jpg").symlink_to(secret / "s.jpg")
    account = read_all(photos)
    assert [(image.member, image.metadata) for image in account.images] == [("a.jpg", None), ("inside.jpg", None)]
    assert read_all(photos / "a.jpg").images == account.images[:1]
    assert [image.metadata for image in read_all(photos / "out.jpg").images] == [None]  # named, and so followed


@given(st.integers(1, 3000), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_everything_that_a_slice_holds_counts_towards_its_bound(long: int, count: int) -> None:
    most = 20_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tar")
        path.write_bytes(tar_of([(f"{number}{'n' * long}.jpg", b"" if number % 3 else SMALL) for number in range(count)]))
        shard = open_shard(path.as_uri(), Storage())
        slices = list(read_slices(shard, "b", Slicing(images=1000, bytes=most), Storage(), ReadOptions()))
    assert sum(each.seen for each in slices) == count
    for each in slices:
        held = sum(len(image.data) + len(image.member) for image in each.images)
        held += sum(len(reject.member) + len(reject.detail) for reject in each.rejects)
        assert each.seen == 1 or held <= most


def test_sidecars_of_no_image_and_links_that_lead_out_stand_in_the_account(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (tmp_path / "elsewhere.jpg").write_bytes(JPEG)
    for name in ("a.jpg", "a.json", "b.json", "c.txt"):
        (photos / name).write_bytes(contents(name))
    (photos / "gone.jpg").symlink_to(".git/annex/objects/xx/yy.jpg")
    (photos / "out.jpg").symlink_to("../elsewhere.jpg")
    (only,) = read_slices(open_shard(photos.as_uri(), Storage()), "b", Slicing(), Storage())
    assert [(each.kind, each.members) for each in only.skipped_kinds] == [(ORPHAN, 2)]
    assert [(each.member, each.reason) for each in only.rejects] == [("gone.jpg", "no-bytes"), ("out.jpg", "no-bytes")]
    assert "gone.jpg" in (only.damage or "")
    assert "link out of the folder" in (only.damage or "")
