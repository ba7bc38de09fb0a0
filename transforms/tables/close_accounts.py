"""Receipts of slices become one account a shard, which is written as a row of table ``shards``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection

from causalprint.schemas.elements import ShardAccount, SliceReceipt
from causalprint.schemas.records import to_json
from causalprint.schemas.tables import SHARDS
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.write_tables import encode, stored_table

_FIELDS = {"image_limit": "limit"}


def account_rows(account: ShardAccount) -> pa.RecordBatch:
    """The account as the one row of its file in table ``shards``."""
    values = [[getattr(account, _FIELDS.get(field.name, field.name))] for field in SHARDS]
    return pa.record_batch([pa.array(value, field.type) for value, field in zip(values, SHARDS, strict=True)], schema=SHARDS)


def write_account(account: ShardAccount, output: Output) -> ShardAccount:
    """Writes the account's file and returns the account; that of an earlier run, which could not read all, is replaced."""
    record = to_json(replace(account, computed=0))  # who computed it differs between runs; the file must not
    output.put(output.path("shards", account.shard_id), encode(stored_table("shards", account_rows(account), output), record))
    return account


@dataclass
class CloseAccounts(beam.PTransform[PCollection[SliceReceipt], PCollection[ShardAccount]]):
    """Adds up receipts by shard. An account comes out once it is written.

    A receipt that comes twice (a slice that was tried twice) counts once.

    Attributes:
        output: where to.
    """

    output: Output

    def expand(self, receipts: PCollection[SliceReceipt]) -> PCollection[ShardAccount]:
        """One account a shard."""
        return (
            receipts
            | "KeyBySlice" >> beam.Map(_by_slice)
            | "OneReceiptASlice" >> beam.CombinePerKey(_one)
            | "KeyByShard" >> beam.MapTuple(_by_shard)
            | "AddUp" >> beam.CombinePerKey(_AddUp(self.output.bundle_id))
            | "Accounts" >> beam.Values()
            | "WriteAccount" >> beam.Map(write_account, output=self.output)
        )


def _by_slice(receipt: SliceReceipt) -> tuple[str, SliceReceipt]:
    return receipt.slice_id, replace(receipt, files=())  # no account needs them, and they are most of what would be shuffled


def _by_shard(_slice_id: str, receipt: SliceReceipt) -> tuple[tuple[str, str], SliceReceipt]:
    return (receipt.shard.uri, receipt.shard.generation), receipt


def _one(receipts: Iterable[SliceReceipt]) -> SliceReceipt:
    """Of receipts of one slice, one: a written slice before one that could not be read, this run's before an earlier one's."""
    return max(receipts, key=lambda receipt: (not receipt.retryable, receipt.computed))


class _AddUp(beam.CombineFn):
    """Accumulates a :class:`Ledger`, whose size does not depend on how many images or rejects a shard has."""

    def __init__(self, bundle_id: str) -> None:
        self.bundle_id = bundle_id

    def create_accumulator(self) -> Ledger | None:
        return None

    def add_input(self, ledger: Ledger | None, receipt: SliceReceipt) -> Ledger:
        return (ledger or Ledger(receipt.shard)).add(receipt)

    def merge_accumulators(self, ledgers: Iterable[Ledger | None]) -> Ledger | None:
        some = [ledger for ledger in ledgers if ledger is not None]
        return reduce(Ledger.plus, some) if some else None

    def extract_output(self, ledger: Ledger) -> ShardAccount:
        return ledger.close(self.bundle_id)
