"""The slice engine: shards are read as slices, computed and written, unless an earlier run did it, and their accounts closed.

``DealShards | Skip shards | ReadImageShards | Skip slices | compute | write | CloseAccounts``
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection
from apache_beam.utils.shared import Shared

from causalprint.schemas.accounts import ShardAccount, SliceReceipt
from causalprint.schemas.config import Slicing
from causalprint.schemas.elements import ImageSlice
from causalprint.transforms.deal_shards import Begin, Planned, deal
from causalprint.transforms.read_image_shards import ReadImageShards
from causalprint.transforms.tables.close_accounts import CloseAccounts
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.skip_committed import DONE, TO_DO, Skip, pass_shard, pass_slice
from causalprint.transforms.tables.tallies import Tell
from causalprint.transforms.tables.write_together import CLOSED, RECEIPTS, Rows, WriteSlices


@dataclass
class ProcessShards(beam.PTransform[PBegin, PCollection[ShardAccount]]):
    """What is committed is not computed again, and of a closed shard not even read.

    Attributes:
        planned: the input.
        output: where slices and accounts are written, and those of earlier runs lie; its storage options also reach the shards.
        slicing: where shards are cut.
        compute: slices to what ``write`` takes.
        write: writes one of them; see :func:`~causalprint.transforms.tables.write_tables.write_counted`.
        rows: what it would write; with it, small shards are committed together, see
            :mod:`~causalprint.transforms.tables.write_together`.
        retry: a stage; slices of which images were rejected there are computed again.
        workers: among which shards are dealt out.
        inputs: what the run was asked to read, where an earlier run may have been asked the same.
        begin: is called where something is to be read, before it is.
        told_as: the run that workers count for in the output, where they are elsewhere; see
            :mod:`~causalprint.transforms.tables.tallies`.
    """

    planned: Planned
    output: Output
    slicing: Slicing
    compute: beam.PTransform[PCollection[ImageSlice], PCollection[Any]]
    write: Callable[[Any, Output], SliceReceipt]
    rows: Rows | None = None
    retry: str | None = None
    workers: int = 1
    inputs: str | None = None
    begin: Begin | None = None
    told_as: str | None = None

    def expand(self, root: PBegin) -> PCollection[ShardAccount]:
        """One account a shard, once it is written."""
        skip = partial(Skip, output=self.output, retry=self.retry, shared=Shared())
        dealt = partial(deal, workers=self.workers, inputs=self.inputs, begin=self.begin, together=self.rows is not None)
        planned = root | "Plan" >> beam.Create([self.planned], reshuffle=False)
        known = planned | "DealShards" >> beam.ParDo(skip(dealt)).with_outputs(DONE, main=TO_DO)
        # Here they go to their workers; from here to the receipts nothing is shuffled, so a slice stays where it is read.
        portions = known.to_do | "Deal" >> beam.Reshuffle()
        if self.told_as is not None:
            portions |= "Tell" >> beam.ParDo(Tell(self.output, self.told_as))
        shards = portions | "SkipShards" >> beam.ParDo(skip(pass_shard)).with_outputs(DONE, main=TO_DO)
        read = shards.to_do | ReadImageShards(self.output.bundle_id, self.slicing, self.output.storage)
        slices = read | "SkipSlices" >> beam.ParDo(skip(pass_slice)).with_outputs(DONE, main=TO_DO)
        computed = slices.to_do | "Compute" >> self.compute
        write = WriteSlices(self.write, self.rows, self.output)
        written = computed | "WriteSlice" >> beam.ParDo(write).with_outputs(CLOSED, main=RECEIPTS)
        closed = (written.receipts, slices.done) | "Receipts" >> beam.Flatten() | CloseAccounts(self.output)
        return (closed, known.done, shards.done, written.closed) | "Accounts" >> beam.Flatten()
