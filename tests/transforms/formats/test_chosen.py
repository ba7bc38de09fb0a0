"""Which images are read where not all are: a limit is a limit, a sample a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.config import Sample, Slicing, Storage
from causalprint.schemas.elements import Drawn, EncodedImage, ImageSlice, Reject, Shard, ShardDamageError, Skipped, Unread
from causalprint.transforms.formats.chosen import chosen_items, drawn_places, share_out
from causalprint.transforms.formats.items import Item
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import match_inputs
from tests.shards import make_samples, tar_members, tar_of, write_shard

SAMPLES = make_samples(40, metadata=False)
SIZES = (1, 17, 0, 9, 13)


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 images in tars, a Parquet file and a folder; one shard has none."""
    root = tmp_path_factory.mktemp("crawl")
    kinds = ("tar", "parquet", "tar", "folder", "tfrecord")
    ends = list(accumulate(SIZES))
    for number, (size, end, kind) in enumerate(zip(SIZES, ends, kinds, strict=True)):
        write_shard(kind, SAMPLES[end - size : end], root / (f"{number}.{kind}" if kind != "folder" else str(number)))
    return root


def images_of(root: Path, sample: Sample | None = None, limit: int | None = None) -> list[ImageSlice]:
    matched = match_inputs([str(root)], Storage(), limit, sample)
    return [part for shard in matched.shards for part in read_slices(shard, "b", Slicing(images=4), Storage())]


@given(counts=st.lists(st.integers(0, 50), max_size=12), sample=st.integers(1, 400), seed=st.integers(0, 9))
def test_shares_are_in_proportion_and_sum_up(counts: list[int], sample: int, seed: int) -> None:
    shares = share_out(sample, counts, seed)
    total = sum(counts)
    assert sum(shares) == min(sample, total)
    for share, count in zip(shares, counts, strict=True):
        assert 0 <= share <= count
        if sample < total:
            assert abs(share - count * sample / total) < 1


def test_every_image_is_drawn_as_often_as_any_other(crawl: Path) -> None:
    every = [image.image_id for part in images_of(crawl) for image in part.images]
    assert len(every) == 40
    drawn = Counter(image.image_id for seed in range(240) for part in images_of(crawl, Sample(10, seed)) for image in part.images)
    assert drawn.total() == 2400
    # Each is drawn with probability 1/4: 60 times of 240, with a standard deviation of 6.7. Draws go by the path of the shard,
    # which is another on every run of this test.
    assert set(drawn) == set(every)
    assert all(25 <= drawn[image] <= 95 for image in every)


@pytest.mark.parametrize("images", [1, 7, 39, 40, 100])
def test_a_sample_is_the_same_on_every_run_and_says_what_it_leaves_out(images: int, crawl: Path) -> None:
    sample = Sample(images, 3)
    slices = images_of(crawl, sample)
    assert slices == images_of(crawl, sample)
    assert sum(part.seen for part in slices) == min(images, 40)
    assert images >= 39 or slices != images_of(crawl, Sample(images, 4))
    for part in slices:
        assert part.damage is None or part.damage.endswith("images drawn by --sample")
        assert not part.retryable
    limited = [part for part in slices if part.damage]
    assert bool(limited) == (images < 40)


@pytest.mark.parametrize("seed", range(6))
def test_a_sample_of_a_damaged_shard_tells_the_damage_wherever_it_draws(seed: int, tmp_path: Path) -> None:
    whole = tar_of(tar_members(make_samples(6)))
    (tmp_path / "a.tar").write_bytes(whole[: len(whole) * 3 // 4])
    (shard,) = match_inputs([str(tmp_path)], Storage(), None, Sample(2, seed)).shards
    parts = list(read_slices(shard, "b", Slicing(), Storage()))
    assert sum(part.seen for part in parts) == 2
    assert any("the shard ends" in (part.damage or "") for part in parts)


def test_what_no_image_is_drawn_from_is_named(crawl: Path) -> None:
    matched = match_inputs([str(crawl)], Storage(), None, Sample(2, 0))
    (beyond,) = matched.left_out
    assert (beyond.kind, beyond.count, beyond.missing) == ("shard beyond --sample", 5 - len(matched.shards), False)
    (beyond,) = match_inputs([str(crawl)], Storage(), 3).left_out
    assert (beyond.kind, beyond.count, beyond.missing) == ("shard beyond --limit", 3, False)


KINDS = st.sampled_from(["image", "reject", "unread", "skipped"])


@given(kept=st.lists(KINDS, max_size=30), limit=st.integers(1, 30), seed=st.integers(0, 3))
def test_those_that_are_drawn_come_in_order_with_all_that_is_skipped_before_them(kept: list[str], limit: int, seed: int) -> None:
    makes: dict[str, Item | Unread] = {
        "image": EncodedImage("m", 0, b"x"),
        "reject": Reject("m", 0, "read", "empty", ""),
        "unread": Unread("m", 0, 1, ""),
        "skipped": Skipped("m", 0),
    }
    items = [makes[kind]._replace(offset=place) for place, kind in enumerate(kept)]
    counted = [item for item in items if not isinstance(item, Skipped)]
    if limit >= len(counted):
        return
    shard = Shard("memory://a.tar", 0, "0", "tar", limit, Drawn(len(counted), seed))
    places = drawn_places(shard)
    assert len(places) == limit
    chosen: list[Item | Unread] = []
    with pytest.raises(ShardDamageError, match=f"{limit} of {len(counted)} images drawn by --sample"):
        chosen.extend(_gather(chosen_items(items, shard), chosen))
    assert [item for item in chosen if not isinstance(item, Skipped)] == [counted[place] for place in sorted(places)]


def _gather(items: Iterator[Item | Unread], into: list[Item | Unread]) -> Iterator[Item]:
    for item in items:
        into.append(item)
        yield from ()


def test_slices_of_a_part_never_have_the_names_of_others() -> None:
    whole = Shard("s3://a/0.tar", 1, "1", "tar")
    parts = [
        whole,
        *(replace(whole, limit=limit) for limit in (1, 2, 18)),
        *(replace(whole, limit=limit, drawn=Drawn(of, seed)) for limit in (1, 2) for of in (7, 18) for seed in (0, 1)),
    ]
    for names in ([part.shard_id("b") for part in parts], [part.slice_id("b", 1) for part in parts]):
        assert len(set(names)) == len(parts)
