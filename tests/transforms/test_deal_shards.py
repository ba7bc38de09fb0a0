"""How shards are dealt out to workers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.elements import Portion
from causalprint.transforms.deal_shards import DEALT, portions
from tests.samples import sample_shard

SIZES = st.lists(st.integers(0, 10**12), max_size=20)


@given(SIZES, st.integers(1, 64))
def test_each_slice_is_in_one_portion_and_none_is_more_than_its_share(sizes: list[int], workers: int) -> None:
    shards = [replace(sample_shard(number), size=size) for number, size in enumerate(sizes)]
    dealt = portions(shards, workers)
    for shard in shards:
        mine = [portion for portion in dealt if portion.shard is shard]
        assert [sum(portion.has(index) for portion in mine) for index in range(100)] == [1] * 100
        assert len(mine) == workers or shard.size / len(mine) <= sum(sizes) / (DEALT * workers) + 1
    assert all(one.shard.size / one.parts >= other.shard.size / other.parts for one, other in pairwise(dealt))


@given(SIZES)
def test_one_worker_reads_no_shard_twice(sizes: list[int]) -> None:
    shards = [replace(sample_shard(number), size=size) for number, size in enumerate(sizes)]
    assert sorted(portions(shards), key=lambda portion: portion.shard.uri) == sorted(
        map(Portion, shards), key=lambda portion: portion.shard.uri
    )
