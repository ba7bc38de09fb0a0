from __future__ import annotations

import random
from dataclasses import replace
from functools import reduce
from pathlib import Path

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.accounts import RejectCount, ShardAccount, SliceReceipt, VerdictCount
from causalprint.schemas.tables import TABLES
from causalprint.transforms.tables.close_accounts import CloseAccounts, write_account
from causalprint.transforms.tables.committed import closed
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.write_tables import write_slice
from tests.outputs import BUNDLE_ID, accounts_in, files_below, output_at, slices_of
from tests.samples import sample_shard

SHARD = sample_shard()


def receipt_of(index: int, *, last: bool = False, computed: bool = True, damage: str | None = None) -> SliceReceipt:
    return SliceReceipt(
        slice_id=SHARD.slice_id(BUNDLE_ID, index),
        shard=SHARD,
        index=index,
        last=last,
        damage=damage,
        skipped=2,
        seen=10 + index,
        attributed=8 + index,
        rejected=2,
        computed=computed,
        verdicts=(VerdictCount("known", "dalle-3", None, 3 + index), VerdictCount("real", None, None, 5)),
        reasons=(RejectCount("decode", "empty", 2),),
    )


def unread_at(index: int, damage: str = "lost") -> SliceReceipt:
    slice_id = SHARD.slice_id(BUNDLE_ID, index)
    return SliceReceipt(
        slice_id=slice_id,
        shard=SHARD,
        index=index,
        last=True,
        damage=damage,
        retryable=True,
        seen=0,
        attributed=0,
        rejected=0,
        computed=False,
    )


def receipts_of(count: int) -> list[SliceReceipt]:
    return [receipt_of(index, last=index == count - 1, computed=index % 2 == 0) for index in range(count)]


def close(*receipts: SliceReceipt) -> ShardAccount:
    return reduce(Ledger.add, receipts, Ledger(SHARD)).close(BUNDLE_ID)


def test_an_account_adds_up_its_slices() -> None:
    account = close(*receipts_of(4))
    assert account == ShardAccount(
        shard_id=SHARD.shard_id(BUNDLE_ID),
        uri=SHARD.uri,
        generation="1",
        size=SHARD.size,
        format="tar",
        slices=4,
        seen=46,
        attributed=38,
        rejected=8,
        resampled=0,
        skipped=8,
        complete=True,
        damage=None,
        retryable=False,
        limit=None,
        slice_ids=tuple(SHARD.slice_id(BUNDLE_ID, index) for index in range(4)),
        computed=2,
        verdicts=(VerdictCount("known", "dalle-3", None, 18), VerdictCount("real", None, None, 20)),
        reasons=(RejectCount("decode", "empty", 8),),
    )


@given(st.integers(1, 30), st.randoms(use_true_random=False), st.data())
def test_no_order_grouping_or_repetition_of_receipts_changes_the_account(
    count: int, order: random.Random, data: st.DataObject
) -> None:
    receipts = receipts_of(count)
    expected = close(*receipts)
    order.shuffle(receipts)
    cut = data.draw(st.integers(0, count))
    halves = (receipts[:cut], receipts[cut:])
    repeated = [[*half, *order.choices(half, k=3)] if half else [] for half in halves]
    ledgers = [reduce(Ledger.add, half, Ledger(SHARD)) for half in repeated]
    assert ledgers[0].plus(ledgers[1]).close(BUNDLE_ID) == expected
    assert ledgers[1].plus(ledgers[0]).close(BUNDLE_ID) == expected


@given(st.sets(st.integers(0, 20)), st.integers(0, 20))
def test_an_account_is_complete_only_with_every_slice_to_the_last(present: set[int], last: int) -> None:
    account = close(*(receipt_of(index, last=index == last) for index in present))
    assert account.complete == (present == set(range(last + 1)))
    assert account.complete == (account.damage is None)
    assert account.retryable == (not account.complete), "what is missing may be there after another run"
    assert account.slices == len(present)
    assert account.slice_ids == tuple(SHARD.slice_id(BUNDLE_ID, index) for index in sorted(present))


@pytest.mark.parametrize(
    ("receipts", "damage"),
    [
        ([receipt_of(0), receipt_of(2, last=True)], "slice 1 is missing"),
        ([receipt_of(1), receipt_of(5, last=True)], "slice 0 and 3 more are missing"),
        ([receipt_of(0), receipt_of(1)], "the slice that ends the shard is missing, after slice 1"),
        ([receipt_of(0, last=True), receipt_of(1, last=True)], "the shard ends twice, after 1 slices and after 2"),
        ([receipt_of(0, last=True), receipt_of(1)], "slice 1 lies beyond the shard's end, after 1 slices"),
        ([receipt_of(0), unread_at(2)], "lost; slice 1 is missing"),
        ([receipt_of(0), receipt_of(2, last=True), unread_at(1)], "lost; slice 1 is missing"),
    ],
)
def test_what_is_missing_is_said(receipts: list[SliceReceipt], damage: str) -> None:
    account = close(*receipts)
    assert (account.complete, account.damage, account.retryable) == (False, damage, True)


def test_damaged_bytes_stay_damaged() -> None:
    account = close(receipt_of(0), receipt_of(1, last=True, damage="cut at byte 7"))
    assert (account.complete, account.damage, account.retryable, account.slices) == (False, "cut at byte 7", False, 2)


@pytest.mark.parametrize("index", [0, 2])
def test_a_broken_connection_can_be_tried_again(index: int) -> None:
    account = close(*receipts_of(9)[:index], unread_at(index))
    assert (account.complete, account.damage, account.retryable, account.slices) == (False, "lost", True, index)


def test_a_ledger_stays_small_however_many_slices_there_are() -> None:
    few = reduce(Ledger.add, (receipt_of(index) for index in range(10)), Ledger(SHARD))
    many = reduce(Ledger.add, (receipt_of(index) for index in range(4000)), Ledger(SHARD))
    assert many.present.bit_length() == 4000
    assert len(many.counts.verdicts) == len(few.counts.verdicts)
    assert len(many.counts.reasons) == len(few.counts.reasons)


def test_a_row_of_shards_is_the_account_and_its_file_gives_it_back(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    shard = replace(SHARD, limit=38)
    receipts = [replace(receipt, shard=shard) for receipt in receipts_of(4)]
    account = reduce(Ledger.add, receipts, Ledger(shard)).close(BUNDLE_ID)
    write_account(account, output)
    (row,) = pq.read_table(tmp_path / output.path("shards", account.shard_id), partitioning=None).to_pylist()
    assert list(row) == TABLES["shards"].names
    assert row.pop("image_limit") == 38
    assert row.pop("slice_ids") == list(account.slice_ids)
    assert row.pop("skipped_kinds") == [count._asdict() for count in account.skipped_kinds]
    assert row == {name: getattr(account, name) for name in row}
    assert list(accounts_in(output)) == [replace(account, computed=0)]


def test_who_computed_a_shard_does_not_change_its_file(tmp_path: Path) -> None:
    account = close(*receipts_of(4))
    write_account(account, output_at(tmp_path / "computed"))
    write_account(replace(account, computed=0), output_at(tmp_path / "found"))
    assert files_below(tmp_path / "computed") == files_below(tmp_path / "found")


def test_a_better_account_replaces_one_that_could_not_read_all(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    receipts = [write_slice(attributed, output) for attributed in slices_of(SHARD, 2)]
    write_account(close(receipts[0], unread_at(1)), output)
    assert closed(output, SHARD) is None
    write_account(close(*receipts), output)
    account = closed(output, SHARD)
    assert account is not None
    assert account.complete
    assert account.footprint
    assert account.seal


def test_the_transform_closes_every_shard_and_counts_repeated_receipts_once(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    other = sample_shard(1)
    of_other = [
        replace(receipt, shard=other, slice_id=other.slice_id(BUNDLE_ID, receipt.index), last=False) for receipt in receipts_of(2)
    ]
    mine = receipts_of(5)
    again = [replace(receipt, computed=False) for receipt in mine[:3]]
    expected = [close(*mine), reduce(Ledger.add, of_other, Ledger(other)).close(BUNDLE_ID)]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        accounts = pipeline | beam.Create([*mine, *of_other, *again, *of_other]) | beam.Reshuffle() | CloseAccounts(output)
        assert_that(accounts, equal_to(expected))
    stored = sorted((replace(account, computed=0) for account in expected), key=lambda account: account.uri)
    assert sorted(accounts_in(output), key=lambda account: account.uri) == stored
