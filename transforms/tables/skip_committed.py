"""What an earlier run finished is not done again: closed shards are not read, committed slices are not computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import apache_beam as beam
from apache_beam.pvalue import DoOutputsTuple, PCollection, TaggedOutput

from causalprint.schemas.elements import ImageSlice, Shard, ShardAccount, SliceReceipt
from causalprint.transforms.counting import count
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.committed import closed, committed, walk
from causalprint.transforms.tables.output import Output

SHARDS, ACCOUNTS = "shards", "accounts"
SLICES, RECEIPTS = "slices", "receipts"


def skip_shard(shard: Shard, output: Output) -> ShardAccount | None:
    """The account of a shard that needs no reading; ``None`` where it must be read.

    Where an earlier run committed every slice and was stopped before it closed the account, it is closed here.
    """
    account = closed(output, shard)
    if account is None:
        account = walk(output, shard)
        if account is not None:
            write_account(account, output)
    return account


def skip_slice(source: ImageSlice, output: Output) -> Iterator[SliceReceipt]:
    """Receipts that stand in for computing ``source``; none where it must be computed.

    A retryable slice needs no computing: it marks where the shard could not be read further this time. Slices beyond that
    point which an earlier run committed are in the tables, so the account takes them in.
    """
    if not source.retryable:
        receipt = committed(output, source.slice_id)
        if receipt is not None and receipt.shard == source.shard:
            yield receipt
        return
    shard, index, slice_id = source.shard, source.index, source.slice_id
    while (receipt := committed(output, slice_id)) is not None and receipt.shard == shard:
        yield receipt
        if receipt.last:
            return
        index += 1
        slice_id = shard.slice_id(output.bundle_id, index)
    yield replace(source, index=index, slice_id=slice_id).receipt()


@dataclass
class SkipCommittedShards(beam.PTransform[PCollection[Shard], DoOutputsTuple]):
    """``PCollection[Shard]`` -> ``.shards`` (to read: ``PCollection[Shard]``) and ``.accounts`` (``PCollection[ShardAccount]``).

    Attributes:
        output: where the run writes.
    """

    output: Output

    def expand(self, shards: PCollection[Shard]) -> DoOutputsTuple:
        """Every shard comes out once, as itself or as its account."""
        return shards | "SkipShard" >> beam.ParDo(_SkipShard(self.output)).with_outputs(ACCOUNTS, main=SHARDS)


@dataclass
class SkipCommittedSlices(beam.PTransform[PCollection[ImageSlice], DoOutputsTuple]):
    """``PCollection[ImageSlice]`` -> ``.slices`` (to compute) and ``.receipts`` (``PCollection[SliceReceipt]``).

    Attributes:
        output: where the run writes.
    """

    output: Output

    def expand(self, slices: PCollection[ImageSlice]) -> DoOutputsTuple:
        """Every slice comes out as itself or as its receipt."""
        return slices | "SkipSlice" >> beam.ParDo(_SkipSlice(self.output)).with_outputs(RECEIPTS, main=SLICES)


class _SkipShard(beam.DoFn):
    def __init__(self, output: Output) -> None:
        self.output = output

    def process(self, element: Shard) -> Iterator[Shard | TaggedOutput]:
        account = skip_shard(element, self.output)
        if account is None:
            yield element
            return
        count(kept=account.seen, shards=1, shard_bytes=account.size, kept_bytes=account.size)
        yield TaggedOutput(ACCOUNTS, account)


class _SkipSlice(beam.DoFn):
    def __init__(self, output: Output) -> None:
        self.output = output

    def process(self, element: ImageSlice) -> Iterator[ImageSlice | TaggedOutput]:
        compute = True
        for receipt in skip_slice(element, self.output):
            compute = False
            ended = int(receipt.last)
            size = ended * receipt.shard.size
            count(kept=receipt.seen, shards=ended, shard_bytes=size, kept_bytes=size)
            yield TaggedOutput(RECEIPTS, receipt)
        if compute:
            yield element
