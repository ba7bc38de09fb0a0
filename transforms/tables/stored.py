"""Which files an output holds, by one listing of each partition: what receipts and accounts claim is compared with it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from causalprint.schemas.accounts import ShardAccount, SliceReceipt, add_digests, footprint
from causalprint.transforms.tables.output import EMPTY, Output, listed
from causalprint.transforms.tables.packs import SUFFIX, Packs, is_pack, pack_ids, place_of, read_packs


class Stored:
    """The files of one output as they are when it is first asked. Threads may share it; it holds some 300 bytes a slice.

    Slices and accounts that are in a pack are there where the pack has all of its files; its index says what they came to.

    What is written later is not seen: a run takes what earlier ones left, and computes the rest.

    Args:
        output: where they are.
        retry: a stage; slices of which images were rejected there do not count as committed, nor accounts of their shards.
    """

    def __init__(self, output: Output, retry: str | None = None) -> None:
        self.output = output
        self.retry = retry
        self._lock = threading.RLock()

    def account_size(self, shard_id: str) -> int | None:
        """Bytes of the file of a shard's account; ``None`` where there is none."""
        with self._lock:
            return self._accounts.get(shard_id)

    def has_account(self, shard_id: str) -> bool:
        """Whether there is an account of a shard, in a file of its own or in a pack."""
        return self.account_size(shard_id) is not None or self.pack_of(shard_id) is not None

    def packed(self, name: str) -> str | None:
        """The receipt of a slice, or the account of a shard, that is in a pack, as JSON text; ``None`` where it is in none."""
        with self._lock:
            packs = self.packs
        return packs.record(name)

    def pack_of(self, name: str) -> str | None:
        """The pack in which a slice or shard is; ``None`` where it is in none."""
        with self._lock:
            place = self.packs.places.get(name)
        return None if place is None else place.pack_id

    def placed(self, account: ShardAccount) -> ShardAccount:
        """The account with the pack in which it and all of its slices are, where they are in one."""
        pack_id = self.pack_of(account.shard_id)
        together = pack_id is not None and all(self.pack_of(slice_id) == pack_id for slice_id in account.slice_ids)
        return replace(account, pack=self._place(pack_id or "") if together else "")

    def holds_pack(self, account: ShardAccount) -> bool:
        """Whether the pack of a :meth:`placed` account is there, its files as large as they were; none is opened to tell."""
        return bool(account.pack) and self._place(account.pack.partition("/")[0]) == account.pack

    def _place(self, pack_id: str) -> str:
        with self._lock:
            sizes = {table: self._sizes_in(table).get(pack_id) for table in (*self.output.tables, "shards")}
            there = {table: size for table, size in sizes.items() if size is not None}
            return place_of(pack_id, self.pack_ids.get(pack_id, 0), there)

    def has(self, table: str, name: str) -> bool:
        """Whether there is a file of that name in one of the tables of slices, or in ``shards``."""
        with self._lock:
            return name in self._sizes_in(table)

    def own_accounts(self) -> list[str]:
        """The ids of shards whose accounts have files of their own, and are in no pack."""
        with self._lock:
            return [name for name in self._accounts if name not in self.packs.places and not is_pack(name) and name != EMPTY]

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
        own = {slice_id: self.sizes(slice_id) for slice_id in account.slice_ids}
        if all(mark for *_, mark in own.values()) and account.footprint == add_digests(
            footprint(slice_id, (size for size in sizes if size is not None)) for slice_id, sizes in own.items()
        ):
            return True
        alone = {slice_id: sizes for slice_id, sizes in own.items() if self.pack_of(slice_id) is None}
        if account.footprint is not None and len(alone) == len(own):
            return False
        # What is in packs was compared with theirs.
        return all(size for sizes in alone.values() for size in (sizes if account.footprint is None else sizes[-1:]))

    def is_to_retry(self, found: SliceReceipt | ShardAccount) -> bool:
        """Whether images of it were rejected at the stage that is to be tried again; where some are forgotten, no slice is."""
        if isinstance(found, SliceReceipt) and found.forgotten:
            return False
        return self.retry is not None and any(count.stage == self.retry for count in found.reasons)

    @cached_property
    def packs(self) -> Packs:
        """Those that have all of their files."""
        whole = [index for index in self._all_packs.indexes.values() if index.is_whole(self._sizes_in)]
        return self._all_packs if len(whole) == len(self._all_packs.indexes) else Packs.of(whole)

    @cached_property
    def _all_packs(self) -> Packs:
        return read_packs(self.output, sound=True, ids=self.pack_ids)

    @cached_property
    def pack_ids(self) -> dict[str, int]:
        """All packs that there are, whole or not, and the bytes of the index of each."""
        return pack_ids(self.output)

    @cached_property
    def audited(self) -> Stored:
        """Of the audit whose stored fingerprints get these verdicts, where the output is of such."""
        return Stored(replace(self.output, bundle_id=self.output.scored, bundle_digest="", scored=""))

    @cached_property
    def _accounts(self) -> dict[str, int]:
        return self._partition("shards")

    @cached_property
    def _slices(self) -> tuple[dict[str, int], ...]:
        return tuple(self._partition(table) for table in self.output.tables)

    def _sizes_in(self, table: str) -> Mapping[str, int]:
        return dict(zip((*self.output.tables, "shards"), (*self._slices, self._accounts), strict=True)).get(table, {})

    def _partition(self, table: str) -> dict[str, int]:
        _ = self.pack_ids  # listed first: where another audit puts packs meanwhile, none is seen without its files
        names = listed(self.output.root, self.output.folder(table), self.output.storage)
        return {name.removesuffix(SUFFIX): size for name, size in names.items() if name.endswith(SUFFIX) and size is not None}
