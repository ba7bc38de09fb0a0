"""What an earlier run finished is not done again: closed shards are not read, committed slices are not computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.shared import Shared

from causalprint.schemas.accounts import ShardAccount, SliceReceipt, receipt_of
from causalprint.schemas.elements import ImageSlice, Portion, Shard
from causalprint.transforms.counting import count
from causalprint.transforms.tables.close_accounts import write_or_leave
from causalprint.transforms.tables.committed import closed, committed_from, walk
from causalprint.transforms.tables.moved import move_slice
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.stored import Stored

TO_DO, DONE = "to_do", "done"
"""Tags of what is passed on, and of the accounts and receipts that stand in for the rest."""


def skip_shard(shard: Shard, output: Output, stored: Stored | None = None) -> ShardAccount | None:
    """The account of a shard that needs no reading; ``None`` where it must be read. ``stored`` tells what the output holds.

    Where an earlier run committed every slice and was stopped before it closed the account, it is closed here.
    """
    stored = stored or Stored(output)
    account = closed(output, shard, stored)
    if account is None:
        account = walk(output, shard, stored)
        if account is not None:
            account = write_or_leave(account, output)
    return account


def skip_slice(source: ImageSlice, output: Output, stored: Stored | None = None) -> Iterator[SliceReceipt]:
    """Receipts that stand in for computing ``source``; none where it must be computed.

    Where its shard lay elsewhere, and the output has the same images of it there, their rows are written for this address.
    A retryable slice needs no computing: it marks where the shard could not be read further this time. Slices beyond that
    point which an earlier run committed are in the tables, so the account takes them in.
    """
    stored = stored or Stored(output)
    found = committed_from(output, source.shard, source.index, stored)
    if not source.retryable:
        receipt = next(found, None) or move_slice(source, output, stored)
        if receipt is not None:
            yield receipt
        return
    index = source.index
    for receipt in found:
        yield receipt
        if receipt.last:
            return
        index += 1
    yield receipt_of(replace(source, index=index, slice_id=source.shard.slice_id(output.bundle_id, index)))


def pass_shard(portion: Portion, output: Output, stored: Stored | None = None) -> Iterator[Portion | TaggedOutput]:
    """What of the portion is to be read, and the accounts of its other shards under the tag :data:`DONE`; counts what is kept.

    One of several portions of a shard is to be read, for it was dealt out; see :func:`~causalprint.transforms.deal_shards.deal`.
    """
    left = []
    for shard in portion.shards:
        account = skip_shard(shard, output, stored) if portion.parts == 1 else None
        if account is None:
            left.append(shard)
        else:
            yield kept(account)
    if left:
        yield portion._replace(shards=tuple(left))


def kept(account: ShardAccount) -> TaggedOutput:
    """An account of an earlier run, under the tag :data:`DONE`; counts what is kept."""
    count(kept=account.seen, shards=1, shard_bytes=account.size, kept_bytes=account.size)
    return TaggedOutput(DONE, account)


def pass_slice(source: ImageSlice, output: Output, stored: Stored | None = None) -> Iterator[ImageSlice | TaggedOutput]:
    """The slice where it is to be computed, else its receipts under the tag :data:`DONE`; counts what is kept.

    One that has files of its own, or whose shard has an account of its own, gets these anew and is not committed with others.
    """
    stored = stored or Stored(output)
    receipts = list(skip_slice(source, output, stored))
    for receipt in receipts:
        size = receipt.shard.size if receipt.last else 0
        count(kept=receipt.seen, shards=int(receipt.last), shard_bytes=size, kept_bytes=size)
        yield TaggedOutput(DONE, receipt)
    if not receipts:
        account = stored.account_size(source.shard.shard_id(output.bundle_id))
        alone = account is not None or any(size is not None for size in stored.sizes(source.slice_id))
        yield replace(source, together="") if alone else source


class Skip(beam.DoFn):
    """:func:`pass_shard`, :func:`pass_slice` or another such on every element.

    Each partition of the output is listed once a worker process.

    Args:
        passed: which of them.
        output: where earlier runs wrote.
        retry: a stage whose rejects are computed again.
        shared: the handle of the listing, for those that share it.
    """

    def __init__(self, passed: Callable[..., Iterator[Any]], output: Output, retry: str | None, shared: Shared) -> None:
        self._passed = passed
        self._output = output
        self._load = partial(Stored, output, retry)
        self._shared = shared

    def setup(self) -> None:
        """Beam calls it before the first element."""
        self._stored = self._shared.acquire(self._load)

    def process(self, element: Any) -> Iterator[Any]:
        """Beam calls it for every element."""
        yield from self._passed(element, self._output, self._stored)
