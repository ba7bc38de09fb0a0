"""Slices: where they are cut, how they end, and that they are the same on every run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import EncodedImage, ImageSlice, Place, Reject, Shard, Skipped
from causalprint.transforms import formats
from causalprint.transforms.formats.members import open_shard
from causalprint.transforms.formats.slices import read_slices
from tests.shards import TAR_WAYS, make_samples, tar_bytes, tar_of, write_shard

SAMPLES = make_samples(25)


def slices_of(path: Path, slicing: Slicing, limit: int | None = None) -> list[ImageSlice]:
    shard = open_shard(path.as_uri(), Storage())
    shard = Shard(shard.uri, shard.size, shard.generation, shard.format, limit)
    return list(read_slices(shard, "bundle", slicing, Storage()))


def tar_at(tmp_path: Path, data: bytes | None = None) -> Path:
    path = tmp_path / "00000.tar"
    path.write_bytes(tar_bytes(SAMPLES) if data is None else data)
    return path


@pytest.mark.parametrize("images", [1, 7, 24, 25, 26])
def test_slices_hold_the_shard_in_order_and_the_last_says_so(images: int, tmp_path: Path) -> None:
    slices = slices_of(tar_at(tmp_path), Slicing(images))
    assert [image.data for each in slices for image in each.images] == [sample.data for sample in SAMPLES]
    assert [len(each.images) for each in slices[:-1]] == [images] * ((25 - 1) // images)
    assert [each.last for each in slices] == [False] * (len(slices) - 1) + [True]
    assert [each.index for each in slices] == list(range(len(slices)))
    assert [each.slice_id for each in slices] == [each.shard.slice_id("bundle", each.index) for each in slices]
    assert all(each.damage is None and not each.retryable for each in slices)


def test_a_slice_ends_before_its_bytes_are_too_many(tmp_path: Path) -> None:
    most = 3 * max(len(sample.data) for sample in SAMPLES)
    slices = slices_of(tar_at(tmp_path), Slicing(images=1000, bytes=most))
    assert all(sum(len(image.data) for image in each.images) <= most for each in slices)
    assert sum(each.seen for each in slices) == 25
    assert len(slices) >= 9


def test_an_image_larger_than_a_slice_stands_alone(tmp_path: Path) -> None:
    slices = slices_of(tar_at(tmp_path), Slicing(images=1000, bytes=10))
    assert [each.seen for each in slices] == [1] * 25


def test_a_shard_without_images_is_one_empty_slice(tmp_path: Path) -> None:
    (only,) = slices_of(tar_at(tmp_path, tar_of([("readme.md", b"nothing here")])), Slicing())
    assert (only.seen, only.skipped, only.last, only.damage) == (0, 1, True, None)


def test_rejects_count_towards_a_slice_so_that_it_stays_bounded(tmp_path: Path) -> None:
    slices = slices_of(tar_at(tmp_path, tar_of([(f"{number}.jpg", b"") for number in range(10)])), Slicing(images=4))
    assert [len(each.rejects) for each in slices] == [4, 4, 2]


@pytest.mark.parametrize("way", sorted(TAR_WAYS))
def test_damage_ends_the_last_slice_which_keeps_what_it_has(way: str, tmp_path: Path) -> None:
    path = tar_at(tmp_path, TAR_WAYS[way](tar_bytes(SAMPLES)))
    slices = slices_of(path, Slicing(images=4))
    assert [each.last for each in slices] == [False] * (len(slices) - 1) + [True]
    assert [each.damage is not None for each in slices] == [each.last for each in slices]
    assert not slices[-1].retryable
    assert slices == slices_of(path, Slicing(images=4))
    assert sum(each.seen for each in slices) >= (0 if way in ("empty file", "not a tar") else 12)


@pytest.mark.parametrize("kind", ["tar", "parquet", "tfrecord", "folder"])
@pytest.mark.parametrize(("limit", "damage"), [(11, "stopped at --limit 11"), (25, None), (100, None)])
def test_a_limit_stops_and_says_so_only_where_there_was_more(kind: str, limit: int, damage: str | None, tmp_path: Path) -> None:
    path = write_shard(kind, SAMPLES, tmp_path / f"shard.{kind}")
    slices = slices_of(path, Slicing(images=4), limit)
    assert sum(each.seen for each in slices) == min(limit, 25)
    assert (slices[-1].damage, slices[-1].retryable) == (damage, False)


@pytest.mark.parametrize("kind", ["tar", "parquet", "tfrecord", "folder"])
def test_images_that_are_named_come_as_they_do_among_all_under_numbers_that_are_free(kind: str, tmp_path: Path) -> None:
    path = write_shard(kind, SAMPLES, tmp_path / f"shard.{kind}")
    shard = open_shard(path.as_uri(), Storage())
    every = [image for each in slices_of(path, Slicing(images=4)) for image in each.images]
    wanted = every[3::4]
    places = {Place(image.member, image.offset) for image in wanted}
    slices = list(read_slices(shard, "bundle", Slicing(images=4), Storage(), only=places, taken={0, 2}))
    assert [image for each in slices for image in each.images] == wanted
    assert [(each.index, len(each.images), each.skipped, each.damage) for each in slices] == [(1, 4, 0, None), (3, 2, 0, None)]
    assert [each.slice_id for each in slices] == [shard.slice_id("bundle", number) for number in (1, 3)]


@pytest.mark.parametrize(("found", "retryable"), [(2, False), (0, True)])
def test_images_that_are_not_there_cost_the_others_nothing(found: int, retryable: bool, tmp_path: Path) -> None:
    path = tar_at(tmp_path)
    every = [image for each in slices_of(path, Slicing()) for image in each.images]
    places = [*(Place(image.member, image.offset) for image in every[:found]), Place("gone.jpg", 7)]
    (only,) = read_slices(open_shard(path.as_uri(), Storage()), "bundle", Slicing(), Storage(), only=places)
    assert (list(only.images), only.retryable) == (every[:found], retryable)
    assert only.damage == f"1 of {found + 1} images that were to be read again were not given"


def test_an_error_that_no_reader_foresaw_ends_one_shard_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Any:
        yield from [EncodedImage(str(number), number, b"x") for number in range(5)]
        raise ZeroDivisionError("by zero")

    monkeypatch.setitem(formats.FORMATS, "tar", formats.FORMATS["tar"]._replace(read=failing))
    slices = slices_of(tar_at(tmp_path), Slicing(images=2))
    assert [each.seen for each in slices] == [2, 2, 0]
    assert slices[-1].retryable
    assert "ZeroDivisionError: by zero" in (slices[-1].damage or "")


items = st.one_of(
    st.builds(EncodedImage, st.just("m"), st.integers(0, 9), st.binary(max_size=20), st.none() | st.just("{}")),
    st.builds(Reject, st.just("m"), st.integers(0, 9), st.just("read"), st.just("empty"), st.just("0 bytes")),
    st.builds(Skipped, st.just("m"), st.integers(0, 9)),
)


@given(given_items=st.lists(items, max_size=40), images=st.integers(1, 6), most=st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_nothing_is_lost_or_reordered_whatever_a_reader_gives(given_items: list[Any], images: int, most: int) -> None:
    shard = Shard("memory://nothing", 0, "0-", "tar")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(formats.FORMATS, "tar", formats.FORMATS["tar"]._replace(read=lambda *_: iter(given_items)))
        patch.setattr(formats.slices.ShardSource, "check_generation", lambda _: None)  # type: ignore[attr-defined]
        slices = list(read_slices(shard, "b", Slicing(images, most), Storage()))
    assert [image for each in slices for image in each.images] == [item for item in given_items if isinstance(item, EncodedImage)]
    assert [reject for each in slices for reject in each.rejects] == [item for item in given_items if isinstance(item, Reject)]
    assert sum(each.skipped for each in slices) == sum(isinstance(item, Skipped) for item in given_items)
    assert all(0 < each.seen <= images for each in slices[:-1])
    assert all(each.seen == 1 or sum(len(image.data) for image in each.images) <= most for each in slices if each.images)
