"""Which files an output holds, by one listing of each partition: what receipts and accounts claim is compared with it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import cached_property

from causalprint.schemas.accounts import ShardAccount, SliceReceipt, add_digests, footprint
from causalprint.transforms.tables.output import Output, listed

SUFFIX = ".parquet"


class Stored:
    """The files of one output as they are when it is first asked. Threads may share it; it holds some 300 bytes a slice.

    What is written later is not seen: a run takes what earlier ones left, and computes the rest.

    Args:
        output: where they are.
        retry: a stage; slices of which images were rejected there do not count as committed, nor accounts of their shards.
    """

    def __init__(self, output: Output, retry: str | None = None) -> None:
        self.output = output
        self.retry = retry
        self._lock = threading.Lock()

    def account_size(self, shard_id: str) -> int | None:
        """Bytes of the file of a shard's account; ``None`` where there is none."""
        with self._lock:
            return self._accounts.get(shard_id)

    def sizes(self, slice_id: str) -> tuple[int | None, ...]:
        """Bytes of each file of a slice in the order of :attr:`Output.tables`, the mark's last; ``None`` where there is none."""
        with self._lock:
            tables = self._slices
        return tuple(files.get(slice_id) for files in tables)

    def holds(self, receipt: SliceReceipt) -> bool:
        """Whether all files of a slice are there, as large as its receipt says."""
        sizes = dict(zip(self.output.tables, self.sizes(receipt.slice_id), strict=True))
        return sizes[self.output.mark] is not None and all(sizes.get(file.table) == file.size for file in receipt.files)

    def holds_all(self, account: ShardAccount) -> bool:
        """Whether all files of the account's slices are there, as large as they were written; of earlier versions, not empty."""
        several = [self.sizes(slice_id) for slice_id in account.slice_ids]
        if account.footprint is None:
            return all(size for sizes in several for size in sizes)
        return all(mark for *_, mark in several) and account.footprint == add_digests(
            footprint(slice_id, (size for size in sizes if size is not None))
            for slice_id, sizes in zip(account.slice_ids, several, strict=True)
        )

    def is_to_retry(self, found: SliceReceipt | ShardAccount) -> bool:
        """Whether images of it were rejected at the stage that is to be tried again; where some are forgotten, no slice is."""
        if isinstance(found, SliceReceipt) and found.forgotten:
            return False
        return self.retry is not None and any(count.stage == self.retry for count in found.reasons)

    @cached_property
    def _accounts(self) -> dict[str, int]:
        return self._partition("shards")

    @cached_property
    def _slices(self) -> tuple[dict[str, int], ...]:
        marks = self._partition(self.output.mark)
        # Where nothing is committed, nobody asks what else is there.
        return (*(self._partition(table, marks) for table in self.output.tables[:-1]), marks)

    def _partition(self, table: str, only: Iterable[str] | None = None) -> dict[str, int]:
        names = listed(self.output.root, self.output.folder(table), self.output.storage) if only != {} else {}
        files = ((name.removesuffix(SUFFIX), size) for name, size in names.items() if name.endswith(SUFFIX) and size is not None)
        return {name: size for name, size in files if only is None or name in only}
