"""Some images of shards, chosen one by one, through the slice engine: each is computed once, whichever run chose it.

A shard has one account, of all its images that were ever chosen. What a run chooses becomes slices with numbers that are free.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count as numbers
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.pvalue import PBegin, PCollection, TaggedOutput
from apache_beam.utils.shared import Shared

from causalprint.schemas.accounts import ShardAccount
from causalprint.schemas.config import Slicing
from causalprint.schemas.elements import ImageSlice, Place, Portion, Shard
from causalprint.transforms.counting import count
from causalprint.transforms.deal_shards import PlanError, Planned
from causalprint.transforms.read_image_shards import ReadImageShards
from causalprint.transforms.tables.close_accounts import CloseAccounts
from causalprint.transforms.tables.committed import closed, committed
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.skip_committed import DONE, TO_DO, Skip, kept, pass_slice
from causalprint.transforms.tables.stored import Stored
from causalprint.transforms.tables.write_tables import write_counted, write_slice

RECEIPTS = "receipts"
"""Tag of what earlier runs committed of shards whose accounts are to be closed anew."""
GAP = 64
"""So many slices in a row may be missing before one that is there: those that failed while others did not."""
CHOSEN = pa.schema([("shard", pa.string()), ("members", pa.list_(pa.string())), ("offsets", pa.list_(pa.int64()))])
"""Of the file that names chosen images: a row a shard, by its URI, with their places in it."""
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Chosen:
    """The images that a run is to compute, as the description of its pipeline carries them.

    Attributes:
        planned: all shards of the run, those without a chosen image too: what is left of an earlier run is accounted for.
        path: below the output's root, of the file that names the images.
    """

    planned: Planned
    path: str

    @classmethod
    def of(cls, shards: tuple[Shard, ...], places: pa.Table, output: Output, run_id: str) -> Chosen:
        """Writes the file; ``places`` has the columns of :data:`CHOSEN`, and its launcher calls :meth:`remove` at the end."""
        path = "runs/.chosen.part"  # one at a time: what a stopped launcher leaves, the next run replaces and removes
        sink = io.BytesIO()
        pq.write_table(places.cast(CHOSEN), sink, row_group_size=_AT_ONCE, compression="zstd")
        output.put(path, sink.getvalue())
        return cls(Planned.of(shards, output, run_id), path)

    def remove(self, output: Output) -> None:
        """Removes what :meth:`of` wrote."""
        self.planned.remove(output)
        output.remove(self.path)

    def portions(self, output: Output) -> Iterator[Portion]:
        """Every shard with the images to be read of it, those that have none last.

        Raises:
            PlanError: the file cannot be read.
        """
        left = {shard.uri: shard for shard in self.planned.shards(output)}
        data = output.get(self.path)
        if data is None:
            raise PlanError(f"{output.root}/{self.path}, the list of this run's images, is gone; run the same command again")
        for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches(_AT_ONCE, use_threads=False):
            for uri, members, offsets in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield Portion((left.pop(uri),), only=tuple(map(Place, members, offsets)))
        yield from (Portion((shard,), only=()) for shard in left.values())


def pass_chosen(portion: Portion, output: Output, stored: Stored) -> Iterator[Portion | TaggedOutput]:
    """The portion where images are to be read, its numbers those that are free; and what earlier runs left of its shard.

    That is its account, by the tag :data:`DONE`, where nothing is to be read and the account has all slices; else the receipts of
    these, by the tag :data:`RECEIPTS`.
    """
    (shard,) = portion.shards
    named = dict(_named(shard, output, stored))
    account = None if portion.only else closed(output, shard, stored)
    if account is not None and account.slice_ids == tuple(named.values()):
        yield kept(account)
        return
    taken = set()
    for number, slice_id in named.items():
        receipt = committed(output, slice_id, stored)
        if receipt is not None and receipt.shard == shard:
            taken.add(number)
            count(kept=receipt.seen)
            yield TaggedOutput(RECEIPTS, replace(receipt, damage=None))  # what was missing then is chosen again
    if portion.only:
        yield portion._replace(taken=frozenset(taken))


def _named(shard: Shard, output: Output, stored: Stored) -> Iterator[tuple[int, str]]:
    """The slices of a shard of which there is a mark, by their numbers; no file is read."""
    missing = 0
    for number in numbers():
        slice_id = shard.slice_id(output.bundle_id, number)
        if stored.has(output.mark, slice_id) or stored.pack_of(slice_id):
            missing = 0
            yield number, slice_id
        elif (missing := missing + 1) > GAP:
            return


def close_chosen(ledger: Ledger, output: Output) -> ShardAccount:
    """The account of a shard's chosen images: it is complete once all that were to be read have a row."""
    slices = ledger.present.bit_length()
    return replace(ledger, shortest=slices, longest=slices).close(output.bundle_id)


@dataclass
class ComputeChosen(beam.PTransform[PBegin, PCollection[ShardAccount]]):
    """Reads, computes and writes the chosen images, and closes the accounts of their shards.

    Attributes:
        chosen: those images.
        output: where slices and accounts are written, and those of earlier runs lie; its storage options also reach the shards.
        slicing: how many images a slice has.
        compute: slices to attributed slices.
    """

    chosen: Chosen
    output: Output
    slicing: Slicing
    compute: beam.PTransform[PCollection[ImageSlice], PCollection[Any]]

    def expand(self, root: PBegin) -> PCollection[ShardAccount]:
        """One account for each shard of which an image was ever chosen, once it is written."""
        skip = partial(Skip, output=self.output, retry=None, shared=Shared())
        chosen = root | "Chosen" >> beam.Create([self.chosen], reshuffle=False)
        portions = chosen | "Portions" >> beam.FlatMap(Chosen.portions, self.output) | "Deal" >> beam.Reshuffle()
        shards = portions | "SkipShards" >> beam.ParDo(skip(pass_chosen)).with_outputs(DONE, RECEIPTS, main=TO_DO)
        read = shards.to_do | ReadImageShards(self.output.bundle_id, self.slicing, self.output.storage)
        slices = read | "SkipSlices" >> beam.ParDo(skip(pass_slice)).with_outputs(DONE, main=TO_DO)
        computed = slices.to_do | "Compute" >> self.compute
        written = computed | "WriteSlice" >> beam.Map(write_counted, write_slice, self.output)
        receipts = (written, slices.done, shards.receipts) | "Receipts" >> beam.Flatten()
        return (receipts | CloseAccounts(self.output, close_chosen), shards.done) | "Accounts" >> beam.Flatten()
