"""The slice engine: shards are read as slices, computed and written, unless an earlier run did it, and their accounts closed.

``Skip shards | ReadImageShards | Skip slices | compute | WriteTables | CloseAccounts``
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PBegin, PCollection

from causalprint.schemas.config import Slicing
from causalprint.schemas.elements import ImageSlice, Shard, ShardAccount, SliceReceipt
from causalprint.transforms.read_image_shards import ReadImageShards
from causalprint.transforms.tables.close_accounts import CloseAccounts
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.skip_committed import SkipCommittedShards, SkipCommittedSlices
from causalprint.transforms.tables.write_tables import WriteTables


@dataclass
class ProcessShards(beam.PTransform[PBegin, PCollection[ShardAccount]]):
    """What is committed is not computed again, and of a closed shard not even read.

    Attributes:
        shards: the input.
        output: where slices and accounts are written, and those of earlier runs lie; its storage options also reach the shards.
        slicing: where shards are cut.
        compute: slices to what ``write`` takes.
        write: writes one of them; see :class:`~causalprint.transforms.tables.write_tables.WriteTables`.
    """

    shards: Sequence[Shard]
    output: Output
    slicing: Slicing
    compute: beam.PTransform[PCollection[ImageSlice], PCollection[Any]]
    write: Callable[[Any, Output], SliceReceipt]

    def expand(self, root: PBegin) -> PCollection[ShardAccount]:
        """One account a shard, once it is written."""
        # Shards are dealt out here, once; from here to the receipts nothing is shuffled, so a slice stays in its worker.
        matched = root | "MatchShards" >> beam.Create(self.shards, reshuffle=False) | "Deal" >> beam.Reshuffle()
        skipped = matched | "SkipShards" >> SkipCommittedShards(self.output)
        read = skipped.shards | ReadImageShards(self.output.bundle_id, self.slicing, self.output.storage)
        slices = read | "SkipSlices" >> SkipCommittedSlices(self.output)
        written = slices.slices | "Compute" >> self.compute | WriteTables(self.output, self.write)
        closed = (written, slices.receipts) | "Receipts" >> beam.Flatten() | CloseAccounts(self.output)
        return (closed, skipped.accounts) | "Accounts" >> beam.Flatten()
