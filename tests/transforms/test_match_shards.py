"""Inputs to shards: what is found, in what order, and what is said where nothing is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import Shard
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import MANY_FILES, expand_braces, match_shards
from causalprint.transforms.storage.lookup import InputError
from tests.shards import make_samples, write_shard

SAMPLES = make_samples(3)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Shards of every format in two folders, photographs in a third, and what lies about in any dataset."""
    root = tmp_path / "data"
    for folder in ("train", "val", ".cache"):
        (root / folder).mkdir(parents=True)
    for number in range(12):
        write_shard("tar", SAMPLES, root / "train" / f"{number:05d}.tar")
        (root / "train" / f"{number:05d}.json").write_text("{}")
    write_shard("parquet", SAMPLES, root / "val" / "a.parquet")
    write_shard("tfrecord", SAMPLES, root / "val" / "val-00000-of-00001")
    write_shard("tar.gz", SAMPLES, root / "val" / "b.tar.gz")
    write_shard("tar", SAMPLES, root / ".cache" / "hidden.tar")
    write_shard("folder", SAMPLES, root / "photos" / "cats")
    (root / "photos" / "readme.md").write_text("photographs")
    return root


def found(*inputs: object, limit: int | None = None) -> list[Shard]:
    return list(match_shards([str(each) for each in inputs], Storage(), limit))


def names(root: Path, shards: list[Shard]) -> list[str]:
    return [shard.uri.removeprefix(root.as_uri() + "/") for shard in shards]


TRAIN = [f"train/{number:05d}.tar" for number in range(12)]


def test_a_folder_gives_its_shards_and_its_photographs(dataset: Path) -> None:
    shards = found(dataset)
    assert names(dataset, shards) == ["photos/cats/", *TRAIN, "val/a.parquet", "val/b.tar.gz", "val/val-00000-of-00001"]
    kinds = {shard.format for shard in shards}
    assert kinds == {"folder", "tar", "parquet", "tfrecord"}
    assert shards[0].size == sum(len(sample.data) for sample in SAMPLES)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("train/00003.tar", TRAIN[3:4]),
        ("train/*.tar", TRAIN),
        ("train/0000?.tar", TRAIN[:10]),
        ("train/0000[2-4].tar", TRAIN[2:5]),
        ("train/{00001..00003}.tar", TRAIN[1:4]),
        ("train/{00000..00011}.tar", TRAIN),
        ("{train,val}/*.tar*", [*TRAIN, "val/b.tar.gz"]),
        ("train/*", TRAIN),
        ("val/*", ["val/a.parquet", "val/b.tar.gz", "val/val-00000-of-00001"]),
        ("val/val-00000-of-00001", ["val/val-00000-of-00001"]),
        ("photos/cats", ["photos/cats/"]),
        ("photos/cats/", ["photos/cats/"]),
        ("phot*", ["photos/cats/"]),
        ("**/*.parquet", ["val/a.parquet"]),
        ("photos/cats/000001.jpg", ["photos/cats/000001.jpg"]),
        ("photos/cats/{000002,000000}.jpg", ["photos/cats/000000.jpg", "photos/cats/000002.jpg"]),
        ("photos/*/00000[01].jpg", ["photos/cats/000000.jpg", "photos/cats/000001.jpg"]),
        ("photos/cats/*", [f"photos/cats/00000{number}.jpg" for number in range(3)]),
        ("{photos,val}/**/*[0a].*", ["photos/cats/000000.jpg", "val/a.parquet"]),
        ("photos/cats{,/*.jpg}", ["photos/cats/"]),
    ],
)
def test_globs_braces_files_and_folders(pattern: str, expected: list[str], dataset: Path) -> None:
    assert names(dataset, found(f"{dataset}/{pattern}")) == expected
    assert names(dataset, found(f"{dataset.as_uri()}/{pattern}")) == expected


def test_shards_are_sorted_and_each_is_given_once(dataset: Path) -> None:
    shards = found(dataset / "val", dataset / "train" / "*.tar", dataset, f"{dataset.as_uri()}/train/00000.tar")
    assert shards == found(dataset)


def test_a_relative_path_is_a_path(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(dataset)
    assert found("train/00000.tar") == found(dataset / "train/00000.tar")
    assert found(".") == found(dataset)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("nowhere/*.tar", "matches nothing: there is no"),
        ("train/99999.tar", "matches nothing: there is no"),
        ("train/{00008..00020}.tar", "00012.tar, .*00016.tar and 4 more"),
        ("train/00000.json", "00000.json is no shard .* and no image file; give images, or their folder"),
        ("photos/cats/*.json", "nothing there is a shard .* and no image file; give images, or their folder"),
        ("photos/cats/{000000.jpg,000000.json}", "000000.json is no shard"),
        ("photos/cats/000009.jpg", "matches nothing: there is no"),
    ],
)
def test_an_input_that_matches_nothing_is_one_clear_error(pattern: str, words: str, dataset: Path) -> None:
    with pytest.raises(InputError, match=words):
        found(f"{dataset}/{pattern}")


def test_an_image_file_is_told_by_its_first_bytes_where_its_name_is_silent(dataset: Path) -> None:
    for name, data in {"download": SAMPLES[0].data, "hello": b"hello", "1.json": b"{}", "download.txt": b"a cat"}.items():
        (dataset / "photos" / name).write_bytes(data)
    (shard,) = found(dataset / "photos" / "d*")
    assert (shard.uri, shard.format, shard.size) == (f"{dataset.as_uri()}/photos/download", "folder", len(SAMPLES[0].data))
    with pytest.raises(InputError, match="hello is no shard"):
        found(dataset / "photos" / "hello")


def test_sidecars_of_images_are_not_said_to_be_left_out(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    found(dataset / "photos" / "cats" / "*")
    assert not caplog.records
    (dataset / "photos" / "cats" / "list.csv").write_text("name")
    found(dataset / "photos" / "cats" / "*")
    assert [record.getMessage() for record in caplog.records] == [
        f"left out 1 .csv file: {dataset.as_uri()}/photos/cats/list.csv"
    ]


def test_many_image_files_by_themselves_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(MANY_FILES + 1):
        (tmp_path / f"{number}.jpg").touch()
    assert len(found(tmp_path)) == 1
    assert not caplog.records
    assert len(found(tmp_path / "*.jpg")) == MANY_FILES + 1
    assert [record.getMessage() for record in caplog.records] == [
        f"{MANY_FILES + 1} image files are a shard each, which is slow; give their folders instead"
    ]


def test_a_limit_is_shared_out_over_image_files(dataset: Path) -> None:
    shards = found(dataset / "photos" / "cats" / "*.jpg", dataset / "train" / "00000.tar", limit=4)
    assert names(dataset, shards) == [*(f"photos/cats/00000{number}.jpg" for number in range(3)), "train/00000.tar"]
    assert [shard.limit for shard in shards] == [None, None, None, 1]
    assert len(found(dataset / "photos" / "cats" / "*.jpg", limit=2)) == 2


def test_a_folder_of_empty_images_is_a_shard_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (shard,) = found(tmp_path)
    (whole,) = read_slices(shard, "b", Slicing(), Storage())
    assert [each.reason for each in whole.rejects] == ["empty"]


def test_the_output_of_an_audit_is_no_input(dataset: Path) -> None:
    before = found(dataset)
    (dataset / "out" / "images").mkdir(parents=True)
    (dataset / "out" / "_causalprint.json").write_text("{}")
    write_shard("parquet", SAMPLES, dataset / "out" / "images" / "x.parquet")
    assert found(dataset) == before


def test_a_name_may_hold_what_globs_and_braces_are_made_of(tmp_path: Path) -> None:
    path = write_shard("tar", SAMPLES, tmp_path / "a{1,2}[3]*.tar")
    assert [shard.uri for shard in found(path)] == [f"file://{path}"]


@pytest.mark.parametrize(
    "path", ["train/../train/00000.tar", "./train/./00000.tar", "../data/train/00000.tar", "train/../*/00000.tar"]
)
def test_one_file_has_one_uri_whatever_path_leads_to_it(path: str, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(dataset)
    expected = [f"{dataset.as_uri()}/train/00000.tar"]
    assert [shard.uri for shard in found(path, "train/00000.tar")] == expected
    assert [shard.uri for shard in found(f"{dataset.as_uri()}/{path}")] == expected
    assert found("train/../train") == found("train")


def test_behind_a_link_the_folder_above_is_that_of_where_it_leads(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "deep").symlink_to(dataset / "photos" / "cats")
    assert found(tmp_path / "deep" / ".." / ".." / "train") == found(dataset / "train")


def test_links_of_a_folder_are_followed_to_files_below_it_and_named_ones_anywhere(dataset: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "below").mkdir()
    (linked / "below" / "real.tar").write_bytes((dataset / "train" / "00000.tar").read_bytes())
    (linked / "here.tar").symlink_to("below/real.tar")
    (linked / "out.tar").symlink_to(dataset / "train" / "00001.tar")
    (linked / "round").symlink_to(linked)
    (linked / "nowhere.tar").symlink_to(tmp_path / "gone")
    assert [shard.uri.rpartition("linked/")[2] for shard in found(linked)] == ["below/real.tar", "here.tar"]
    for shard in (found(linked)[1], *found(linked / "out.tar"), *found(linked / "o*.tar")):
        (whole,) = read_slices(shard, "b", Slicing(), Storage())
        assert (whole.seen, whole.damage) == (3, None)


@pytest.mark.parametrize(
    ("limit", "limits"), [(1, [1]), (3, [3]), (4, [None, 1]), (6, [None, 3]), (7, [None, None, 1]), (1000, [None] * 12)]
)
def test_a_limit_is_shared_out_over_shards(limit: int, limits: list[int | None], dataset: Path) -> None:
    every = found(dataset / "train")
    shards = found(dataset / "train", limit=limit)
    assert [shard.limit for shard in shards] == limits
    assert [replace(shard, limit=None) for shard in shards] == every[: len(limits)]
    seen = sum(each.seen for shard in shards for each in read_slices(shard, "b", Slicing(), Storage()))
    assert seen == min(limit, 36)


def test_braces_are_those_of_the_shell() -> None:
    assert expand_braces("a") == ["a"]
    assert expand_braces("{08..11}") == ["08", "09", "10", "11"]
    assert expand_braces("x{1,2}y{a,b}") == ["x1ya", "x1yb", "x2ya", "x2yb"]
    assert expand_braces("{x}{}") == ["{x}{}"]


@given(low=st.integers(0, 500), count=st.integers(1, 50), width=st.integers(1, 6))
def test_a_range_has_every_number_once_at_its_width(low: int, count: int, width: int) -> None:
    high = low + count - 1
    expanded = expand_braces(f"s/{{{low:0{width}d}..{high:0{width}d}}}.tar")
    assert expanded == [f"s/{number:0{width}d}.tar" for number in range(low, high + 1)]


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_input_is_not_the_current_folder(text: str) -> None:
    with pytest.raises(InputError, match="no path and no URL"):
        list(match_shards([text], Storage()))
