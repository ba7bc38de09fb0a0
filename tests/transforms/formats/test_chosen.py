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

from causalprint.schemas.config import ReadOptions, Sample, Slicing, Storage
from causalprint.schemas.elements import Drawn, EncodedImage, ImageSlice, Reject, Shard, ShardDamageError, Skipped, Unread
from causalprint.transforms.formats.chosen import chosen_items, draw_shards, drawn_places, share_out, shares_alike
from causalprint.transforms.formats.items import Item
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import match_inputs
from causalprint.transforms.storage.lookup import InputError
from causalprint.transforms.storage.storage import ShardSource
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


@given(
    shards=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 400)), min_size=1, max_size=40),
    share=st.floats(0, 1),
    sample=st.integers(1, 2000),
    seed=st.integers(0, 99),
)
def test_of_drawn_shards_every_image_is_as_likely_as_any_other(
    shards: list[tuple[int, int]], share: float, sample: int, seed: int
) -> None:
    sizes, images = zip(*shards, strict=True)
    count = max(1, round(share * len(sizes)))
    drawn = draw_shards(count, sizes, seed)
    assert len({each.place for each in drawn}) == len(drawn) == count
    counts, chances = [images[each.place] for each in drawn], [each.chance for each in drawn]
    assert all(0.49 * count / len(sizes) < chance <= 1 for chance in chances)
    taken = shares_alike(sample, counts, chances, seed)
    assert sum(taken) == min(sample, sum(counts)) or sum(taken) < sample
    # By design an image's chance, that of its shard times its share there, is the same for all, but for rounding.
    a_weight = sum(taken) / max(sum(count / chance for count, chance in zip(counts, chances, strict=True)), 1e-9)
    for number, of, chance in zip(taken, counts, chances, strict=True):
        assert 0 <= number <= of
        assert abs(number - a_weight * of / chance) < 1 + 1e-6


def test_shards_are_drawn_as_often_as_their_chance_says_and_folders_are_strata() -> None:
    sizes = [1, 5, 0, 900, 40, 40, 40, 7, 300, 2] * 3
    drawn = [draw_shards(9, sizes, seed) for seed in range(800)]
    often = Counter(each.place for draw in drawn for each in draw)
    chances = {each.place: each.chance for draw in drawn for each in draw}
    assert sum(chances.values()) == pytest.approx(9)
    for place, chance in chances.items():
        assert often[place] / 800 == pytest.approx(chance, abs=4 * (chance * (1 - chance) / 800) ** 0.5 + 1e-9)
    # Three folders of ten alike: three of each are drawn, whatever the seed.
    assert all(sum(each.place // 10 == folder for each in draw) in (2, 3, 4) for draw in drawn for folder in range(3))


def test_of_a_sample_of_shards_no_other_is_read(crawl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    opened = ShardSource.__init__

    def opening(source: ShardSource, shard: Shard, storage: Storage, options: ReadOptions) -> None:
        read.append(shard.uri)
        opened(source, shard, storage, options)

    monkeypatch.setattr(ShardSource, "__init__", opening)
    parts = images_of(crawl, Sample(6, 5, 3))
    assert len(set(read)) == 3
    assert sum(part.seen for part in parts) == 6
    assert all(part.shard.drawn and part.shard.drawn.chance for part in parts)
    with pytest.raises(InputError, match="--sample-shards 6 is more than the 5 shards"):
        match_inputs([str(crawl)], Storage(), None, Sample(6, 5, 6))


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
        *(replace(whole, limit=limit, drawn=Drawn(7, 0, chance)) for limit in (1, 2, None) for chance in (0.5, 1.0)),
    ]
    for names in ([part.shard_id("b") for part in parts], [part.slice_id("b", 1) for part in parts]):
        assert len(set(names)) == len(parts)
