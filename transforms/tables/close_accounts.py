"""Receipts of slices become one account a shard, which is written as a row of table ``shards``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PCollection

from causalprint.schemas.accounts import ShardAccount, SliceReceipt
from causalprint.schemas.records import to_json
from causalprint.schemas.tables import SHARDS
from causalprint.transforms.tables.committed import walk
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output, unwritten
from causalprint.transforms.tables.write_tables import encode, stored_table


def write_account(account: ShardAccount, output: Output) -> ShardAccount:
    """Writes the account's file and returns the account; that of an earlier run, which could not read all, is replaced."""
    record = to_json(replace(account, computed=0))  # who computed it differs between runs; the file must not
    output.put(output.path("shards", account.shard_id), encode(account_rows(account, output), record))
    return account


def account_rows(account: ShardAccount, output: Output) -> pa.Table:
    """The account as what is written to table ``shards``."""
    return stored_table("shards", pa.RecordBatch.from_pylist([shard_row(account)], schema=SHARDS), output)


def shard_row(account: ShardAccount) -> dict[str, Any]:
    """The account as a row of table ``shards``."""
    row = {name: getattr(account, "limit" if name == "image_limit" else name) for name in SHARDS.names}
    row["skipped_kinds"] = [each._asdict() for each in account.skipped_kinds]
    return row


def write_or_leave(account: ShardAccount, output: Output) -> ShardAccount:
    """:func:`write_account`; an account that cannot be written is incomplete, and left to another run, which finds its slices.

    Raises:
        OSError: others could not be written either.
    """
    try:
        write_account(account, output)
        unwritten.end()
    except Exception as error:  # noqa: BLE001 - told, or raised
        damage = unwritten.forgiven(error, "its account")
        told = f"{account.damage}; {damage}" if account.damage else damage
        return replace(account, complete=False, retryable=True, damage=told)
    return account


def close_ledger(ledger: Ledger, output: Output) -> ShardAccount:
    """The account of the slices of one shard in ``output``.

    Where an engine lost receipts on the way, as it may with a machine, the slices themselves are asked: they are committed.
    """
    account = ledger.close(output.bundle_id, output.slices_by)
    is_lost = account.retryable and not ledger.retryable
    return (walk(output, ledger.shard) if is_lost else None) or account


@dataclass
class CloseAccounts(beam.PTransform[PCollection[SliceReceipt], PCollection[ShardAccount]]):
    """Adds up receipts by shard. An account comes out once it is written.

    A receipt that comes twice (a slice that was tried twice) counts once.

    Attributes:
        output: where to.
        close: makes the account of what was added up.
    """

    output: Output
    close: Callable[[Ledger, Output], ShardAccount] = close_ledger

    def expand(self, receipts: PCollection[SliceReceipt]) -> PCollection[ShardAccount]:
        """One account a shard."""
        return (
            receipts
            | "KeyBySlice" >> beam.Map(_by_slice)
            | "OneReceiptASlice" >> beam.CombinePerKey(_one)
            | "KeyByShard" >> beam.MapTuple(_by_shard)
            | "AddUp" >> beam.CombinePerKey(_add_up)
            | "Ledgers" >> beam.Values()
            | "Close" >> beam.Map(self.close, self.output)
            | "WriteAccount" >> beam.Map(write_or_leave, output=self.output)
        )


def _by_slice(receipt: SliceReceipt) -> tuple[str, SliceReceipt]:
    return receipt.slice_id, replace(receipt, files=())  # no account needs them, and they are most of what would be shuffled


def _by_shard(_slice_id: str, receipt: SliceReceipt) -> tuple[str, Ledger]:
    return receipt.shard.shard_id(""), Ledger(receipt.shard).add(receipt)


def _one(receipts: Iterable[SliceReceipt]) -> SliceReceipt:
    """Of receipts of one slice, one: a written slice before one that could not be read, this run's before an earlier one's."""
    return max(receipts, key=lambda receipt: (not receipt.retryable, receipt.computed))


def _add_up(ledgers: Iterable[Ledger]) -> Ledger:
    return reduce(Ledger.plus, ledgers)
