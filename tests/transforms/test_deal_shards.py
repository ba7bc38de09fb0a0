"""How shards are dealt out to workers."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import TaggedOutput
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import Portion, Version
from causalprint.transforms.deal_shards import (
    CARRIED,
    DEALT,
    GROUPS,
    SMALL,
    TOGETHER_BYTES,
    PlanError,
    Planned,
    deal,
    grouped,
    portions,
)
from causalprint.transforms.process_shards import ProcessShards
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.skip_committed import pass_shard, skip_slice
from causalprint.transforms.tables.stored import Stored
from causalprint.transforms.tables.verify import verify
from causalprint.transforms.tables.write_tables import write_slice
from tests.outputs import output_at, slices_of, two_nights
from tests.outputs import shards as sample_shards
from tests.samples import sample_shard

SIZES = st.lists(st.integers(0, 10**12), max_size=20)


@given(SIZES, st.integers(1, 64))
def test_each_slice_is_in_one_portion_and_none_is_more_than_its_share(sizes: list[int], workers: int) -> None:
    shards = [replace(sample_shard(number), size=size) for number, size in enumerate(sizes)]
    dealt = portions(shards, workers)
    for shard in shards:
        mine = [portion for portion in dealt if shard in portion.shards]
        assert [sum(portion.has(index) for portion in mine) for index in range(100)] == [1] * 100
        assert len(mine) == workers or shard.size / len(mine) <= sum(sizes) / (DEALT * workers) + 1
    assert all(one.bytes >= other.bytes for one, other in pairwise(dealt))


@given(SIZES)
def test_one_worker_reads_no_shard_twice(sizes: list[int]) -> None:
    shards = [replace(sample_shard(number), size=size) for number, size in enumerate(sizes)]
    dealt = portions(shards)
    assert all(portion.parts == 1 and len(portion.shards) == 1 for portion in dealt)
    assert sorted(shard.uri for portion in dealt for shard in portion.shards) == sorted(shard.uri for shard in shards)


@given(st.lists(st.integers(0, 3 * SMALL), max_size=100), st.integers(1, 8), st.randoms())
def test_small_shards_are_together_whoever_computes_them(sizes: list[int], workers: int, order: Random) -> None:
    shards = [replace(sample_shard(number), size=size) for number, size in enumerate(sizes)]
    dealt = portions(order.sample(shards, len(shards)), workers, together=True)
    groups = [portion for portion in dealt if len(portion.shards) > 1]
    assert sorted(portion.shards for portion in groups) == sorted(grouped(shards))
    assert {portion.shards for portion in dealt} >= {(shard,) for shard in shards if shard.size > SMALL}
    assert Counter(shard for portion in dealt if portion.part == 0 for shard in portion.shards) == Counter(shards)
    small = [shard for shard in shards if shard.size <= SMALL]
    for portion in groups:
        assert portion.parts == 1
        assert len(portion.shards) <= len(small) / GROUPS
        assert portion.bytes <= min(TOGETHER_BYTES, sum(shard.size for shard in small) / GROUPS)


def test_however_many_shards_there_are_the_description_of_the_pipeline_stays_small(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    signed = replace(sample_shard(10**6), opens="https://host/x.tar?signature=secret")
    moved = replace(sample_shard(CARRIED), was=(Version("file:///disk/x.tar", "1"),))
    shards = [*sample_shards(CARRIED), moved, signed]
    planned = Planned.of(shards, output, "run")
    assert planned.carried == (signed,)
    assert {shard.uri: shard.was for shard in planned.shards(output)} == {shard.uri: shard.was for shard in shards}
    assert b"secret" not in gzip.decompress((tmp_path / planned.path).read_bytes())
    stored = Stored(output)
    assert list(deal(planned, output, stored, workers=3)) == portions(shards, 3)
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([]))
    _ = pipeline | ProcessShards(planned, output, Slicing(), beam.Map(lambda source: source), write_slice)
    assert len(pipeline.to_runner_api().SerializeToString()) < 100_000
    planned.remove(output)
    assert not (tmp_path / planned.path).exists()
    with pytest.raises(PlanError, match="run the same command again"):
        planned.shards(output)


@pytest.mark.parametrize("before", ["", "0", "0246", "1357", "01234567"])
@pytest.mark.parametrize("first", [0, 1])
def test_each_slice_counts_once_whenever_a_worker_looks_at_the_output(tmp_path: Path, before: str, first: int) -> None:
    shard, output = sample_shard(), output_at(tmp_path)
    slices = slices_of(shard, 8)
    for index in before:
        write_slice(slices[int(index)], output)
    dealt = list(deal(Planned((shard,)), output, Stored(output), workers=2))
    accounts = [each.value for each in dealt if isinstance(each, TaggedOutput)]
    ledger = Ledger(shard)
    for portion in sorted((each for each in dealt if isinstance(each, Portion)), key=lambda each: each.part != first):
        stored = Stored(output)  # the next worker begins when the one before is done
        assert list(pass_shard(portion, output, stored)) == [portion]
        for mine in slices:
            if portion.has(mine.fingerprinted.source.index):
                for receipt in list(skip_slice(mine.fingerprinted.source, output, stored)) or [write_slice(mine, output)]:
                    ledger = ledger.add(receipt)
    accounts += [ledger.close(output.bundle_id)] if ledger.present else []
    assert [(account.complete, account.slices, account.seen) for account in accounts] == [(True, 8, 8 * 7)]


def test_what_a_killed_launcher_leaves_of_the_list_is_found(tmp_path: Path) -> None:
    output = two_nights(tmp_path)
    planned = Planned.of(list(sample_shards(CARRIED + 1)), output, "run")
    (finding,) = verify(str(tmp_path), Storage(), repair=True).findings
    assert (finding.path, finding.kind) == (planned.path, "temporary")
    assert verify(str(tmp_path), Storage()).findings == ()
