"""Slices are written; those that are all of a small shard together with others, and with their accounts: as a pack.

A worker has all slices of such shards, one after another. It holds their rows until the last of a group is there, and puts the
pack's index last: whatever a process that was killed leaves is a pack that counts, or nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from causalprint.models.memory import give_back_memory
from causalprint.schemas.accounts import ShardAccount, SliceReceipt
from causalprint.schemas.elements import ImageSlice
from causalprint.transforms.counting import count
from causalprint.transforms.tables.close_accounts import account_rows, close_ledger
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output, unwritten
from causalprint.transforms.tables.pack_rows import account_item, slice_item, write_packs
from causalprint.transforms.tables.write_tables import encoded, write_counted

_log = logging.getLogger(__name__)
RECEIPTS, CLOSED = "receipts", "closed"
"""Tags of the receipts of slices whose shards are still to be closed, and of accounts that are."""
NUMBER = 0
"""Of an audit's packs: whatever holds the same slices later has a higher one."""

Rows = Callable[[Any, Output], tuple[SliceReceipt, dict[str, pa.Table]]]
"""What would be written for a slice: its receipt, and the rows of each table."""


class WriteSlices(beam.DoFn):
    """:func:`~causalprint.transforms.tables.write_tables.write_counted` or :func:`write_together` on every slice.

    Args:
        write: writes one slice.
        rows: what it would write; where that is not given, no slices are written together.
        output: where to.
    """

    def __init__(self, write: Callable[[Any, Output], SliceReceipt], rows: Rows | None, output: Output) -> None:
        self._write = write
        self._rows = rows
        self._output = output

    def start_bundle(self) -> None:
        """Beam calls it before the first slices."""
        self._held: list[Any] = []

    def process(self, computed: Any) -> Iterator[SliceReceipt | TaggedOutput]:
        """Beam calls it for every slice."""
        if self._held and self._held[0].source.together != computed.source.together:
            yield from self._flush()
        if is_whole_shard(computed.source):
            self._held.append(computed)
        else:
            yield write_counted(computed, self._write, self._output)

    def finish_bundle(self) -> Iterator[WindowedValue | TaggedOutput]:
        """Beam calls it after the last slices."""
        window = GlobalWindow()
        for each in self._flush():
            tag, value = (each.tag, each.value) if isinstance(each, TaggedOutput) else (RECEIPTS, each)
            windowed = WindowedValue(value, window.max_timestamp(), (window,))
            yield windowed if tag == RECEIPTS else TaggedOutput(tag, windowed)

    def _flush(self) -> Iterator[SliceReceipt | TaggedOutput]:
        """Writes what is held."""
        held, self._held = self._held, []
        accounts: Sequence[ShardAccount] = ()
        if len(held) > 1 and self._rows is not None:
            try:
                accounts = write_together(held, self._rows, self._output)
            except Exception as error:  # noqa: BLE001 - told, and tried one by one
                _log.warning("writing %d slices together failed; each is written by itself", len(held), exc_info=error)
        yield from (TaggedOutput(CLOSED, account) for account in accounts)
        for computed in () if accounts else held:
            yield write_counted(computed, self._write, self._output)


def is_whole_shard(source: ImageSlice) -> bool:
    """Whether a slice, which was to be committed with others, is all of its shard, and no other run can read more of it."""
    return bool(source.together) and source.index == 0 and source.last and not (source.retryable or source.unfinished)


def write_together(several: Sequence[Any], rows: Rows, output: Output) -> list[ShardAccount]:
    """Writes slices that are each all of a shard into a pack, and closes their accounts; counts what is written.

    Receipts and accounts are as they would be had each its own files, which :mod:`~causalprint.transforms.tables.unpack` gives.

    Args:
        several: the slices, computed.
        rows: what is to be written of each.
        output: where to.

    Returns:
        the accounts, once the pack counts.
    """
    began = time.perf_counter()
    accounts, items = [], []
    for computed in several:
        told, tables = rows(computed, output)
        receipt, _ = encoded(told, tables, output)
        account = close_ledger(Ledger(receipt.shard).add(receipt), output)
        filled = {table: found for table, found in tables.items() if found.num_rows}
        items.append(slice_item(replace(receipt, computed=False), filled, output))
        items.append(account_item(replace(account, computed=0), account_rows(account, output)))
        accounts.append(account)
    places = list(write_packs(sorted(items, key=lambda item: item.order), output, NUMBER))
    unwritten.end()
    give_back_memory()  # what hundreds of small pieces leave, few others fit into
    size = sum(account.size for account in accounts)
    count(write_ms=1000 * (time.perf_counter() - began), shards=len(accounts), shard_bytes=size)
    # More than one pack takes sidecars of 256 MiB, and then nobody asks which.
    return [replace(account, pack=places[0] if len(places) == 1 else "") for account in accounts]
