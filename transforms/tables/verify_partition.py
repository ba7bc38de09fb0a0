"""One partition of an output: its marks with the files that they name, its accounts with their slices, and what is left over."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.schemas.accounts import Scored, ShardAccount, SliceReceipt, add_digests
from causalprint.schemas.elements import digest
from causalprint.schemas.records import from_json
from causalprint.schemas.tables import TABLES
from causalprint.transforms.tables.committed import read_receipt, read_sealed, record_in
from causalprint.transforms.tables.output import EMPTY, Output
from causalprint.transforms.tables.packs import PREFIX, Packs, is_pack, read_packs
from causalprint.transforms.tables.seals import check_body
from causalprint.transforms.tables.verify_output import Check, Kind
from causalprint.transforms.tables.verify_packs import check_packs
from causalprint.transforms.tables.write_manifest import account_digest

_OURS = re.compile(rf"(?:{PREFIX})?[0-9a-f]{{32}}\.parquet|{EMPTY}\.parquet")
_COUNTED = ("seen", "attributed", "rejected", "forgotten", "resampled", "skipped")
_STOPPED = "; if a causalprint forget was stopped, the same command finishes it"


class Partition:
    """What one bundle wrote."""

    def __init__(self, check: Check, output: Output, pool: ThreadPoolExecutor) -> None:
        self._check = check
        self._output = output
        self._pool = pool
        self._sound: dict[str, SliceReceipt] = {}
        self._account_of: dict[str, str] = {}
        """By the id of a slice, the path of the account that has it."""
        self._sources: dict[str, Packs] = {}
        """Packs of the bundles whose fingerprints were scored."""
        self._whole: set[str] = set()
        """The paths of accounts that can be read."""

    def check(self) -> None:
        """Marks with the files that they name, accounts with their slices, and what is left over."""
        files = {
            table: self._check.list(f"{table}/bundle={self._output.bundle_id}", lambda name: bool(_OURS.fullmatch(name)))
            for table in TABLES
        }
        sizes = {table: {name.removesuffix(".parquet"): size for name, size in found.items()} for table, found in files.items()}
        for table, found in sizes.items():
            self._empty(table, found.pop(EMPTY, None))
        held = check_packs(self._check, self._output, sizes)
        for found in sizes.values():  # what is in packs, and the packs' own files, are looked at
            for name in [name for name in found if is_pack(name) or name in held.packs.places]:
                del found[name]
        marks = dict(sizes[self._output.mark])
        accounts = dict(self._accounts(sizes["shards"]))
        accounts |= {self._output.path("shards", shard_id): account for shard_id, account in held.accounts.items()}
        self._check.shards += len(held.accounts)
        self._whole |= accounts.keys()
        self._check.accounts |= {path: account_digest(account) for path, account in accounts.items()}
        for path, account in accounts.items():
            self._account_of |= dict.fromkeys(account.slice_ids, path)
        self._slices(marks, sizes)
        self._packs(held.receipts)
        marks |= dict.fromkeys(held.receipts, 0)
        for path, account in accounts.items():
            self._close(path, account, marks)
        self._unclosed()
        for table in self._output.tables[:-1]:
            for slice_id in sizes[table].keys() - marks.keys():
                # Where the account has the slice, its mark is what is missing.
                if slice_id not in self._account_of:
                    path = self._output.path(table, slice_id)
                    self._check.found(path, Kind.ORPHAN, "its slice was not committed; the same audit writes it again")

    def _empty(self, table: str, size: int | None) -> None:
        """Looks at the file without rows of a table's partition, where there is one."""
        path = f"{table}/bundle={self._output.bundle_id}/{EMPTY}.parquet"
        if size is not None and self._check.deep:
            try:
                if pq.read_metadata(pa.BufferReader(self._output.get(path) or b"")).num_rows:
                    self._check.found(path, Kind.DAMAGED, "it has rows, and is there to have none")
            except (OSError, pa.ArrowException) as error:
                self._check.found(path, Kind.DAMAGED, str(error))

    def _accounts(self, sizes: Mapping[str, int]) -> Iterator[tuple[str, ShardAccount]]:
        self._check.shards += len(sizes)
        for path, account in self._pool.map(self._account, sizes, sizes.values()):
            if isinstance(account, ShardAccount):
                yield path, account
            else:
                self._check.found(path, Kind.DAMAGED, account)

    def _account(self, shard_id: str, size: int) -> tuple[str, ShardAccount | str]:
        path = self._output.path("shards", shard_id)
        try:
            record = read_sealed(self._output, path, size)
            if record is None:
                return path, "it was listed and is gone"
            account = from_json(ShardAccount, record.text, path)
            if account.shard_id != shard_id:
                return path, f"it is the account of {account.uri}, {account.shard_id}, under another name"
            if self._check.deep:
                self._read(path, 1)
        except (ValueError, pa.ArrowException) as error:
            return path, str(error)
        self._check.unverified += record.seal is None
        return path, account

    def _slices(self, marks: Mapping[str, int], sizes: Mapping[str, Mapping[str, int]]) -> None:
        self._check.slices += len(marks)
        for slice_id, receipt in zip(marks, self._pool.map(self._receipt, marks, marks.values()), strict=True):
            path = self._output.path(self._output.mark, slice_id)
            if not isinstance(receipt, SliceReceipt):
                self._check.found(path, Kind.DAMAGED, receipt, *self._claims(slice_id))
                continue
            self._check.unverified += not receipt.seal
            self._others(receipt, sizes)
            if not {path, *(file.path for file in receipt.files)} & self._check.findings.keys():
                self._sound[slice_id] = receipt

    def _packs(self, receipts: Mapping[str, SliceReceipt]) -> None:
        """Looks at the receipts in packs."""
        self._check.slices += len(receipts)
        for slice_id, receipt in receipts.items():
            wrong = self._misplaced(receipt, slice_id) or self._unclosing(receipt)
            if wrong:
                self._check.found(self._output.path(self._output.mark, slice_id), Kind.DAMAGED, wrong, *self._claims(slice_id))
            else:
                self._check.unverified += not receipt.seal
                self._sound[slice_id] = receipt

    def _receipt(self, slice_id: str, size: int) -> SliceReceipt | str:
        path = self._output.path(self._output.mark, slice_id)
        try:
            receipt = read_receipt(self._output, path, size)
            if receipt is None:
                return "it was listed and is gone"
            if wrong := self._misplaced(receipt, slice_id):
                return wrong
            if wrong := self._unclosing(receipt):
                return wrong
            if self._check.deep:
                self._read(path, receipt.attributed)
        except (ValueError, pa.ArrowException) as error:
            return str(error)
        return receipt

    @staticmethod
    def _unclosing(receipt: SliceReceipt) -> str | None:
        """What is wrong with the counts of a receipt."""
        told = (sum(count.images for count in receipt.verdicts), sum(count.images for count in receipt.reasons))
        if told == (receipt.attributed, receipt.rejected) and sum(told) + receipt.forgotten == receipt.seen:
            return None
        counted = f"{told[0]} attributed, {told[1]} rejected and {receipt.forgotten} forgotten"
        return f"its account does not close: {receipt.seen} images seen, {counted}"

    def _misplaced(self, receipt: SliceReceipt, slice_id: str) -> str | None:
        """What is wrong with a receipt that is found as that of a slice."""
        output = replace(self._output, scored=receipt.scored.embeddings if receipt.scored else "")
        if receipt.shard.slice_id(output.slices_by, receipt.index) != slice_id:
            return f"it is slice {receipt.index} of {receipt.shard.uri}, {receipt.slice_id}, under another name"
        named = [file.table for file in receipt.files]
        if [file.path for file in receipt.files] != [output.path(one, slice_id) for one in output.tables[:-1] if one in named]:
            return "it names other files than those of its slice"
        for table, rows in (("images", receipt.attributed), ("rejects", receipt.rejected)):
            if rows and table not in named and len(output.tables) > 1:
                return f"it counts {rows} rows of {table} and names no file of them"
        return self._scored(receipt, receipt.scored) if receipt.scored else None

    def _scored(self, receipt: SliceReceipt, scored: Scored) -> str | None:
        """What is wrong with other verdicts on stored fingerprints: they are of files that an audit's receipt must name too."""
        if scored.bundle_id != self._output.bundle_id:
            return f"its verdicts are those of {scored.bundle_id}"
        source = replace(self._output, bundle_id=scored.embeddings)
        path = source.path(source.mark, receipt.slice_id)
        if scored.embeddings not in self._sources:
            self._sources[scored.embeddings] = read_packs(source, sound=True)
        text = self._sources[scored.embeddings].record(receipt.slice_id)
        record = read_sealed(source, path) if text is None else None
        text = record.text if record else text
        if text is None:
            return (
                f"the slice that it scores is not committed: {path} is missing; once it is there, run causalprint attribute again"
            )
        if from_json(SliceReceipt, text, path).files != receipt.files:
            return f"it scores other files than {path} names; run causalprint attribute again{_STOPPED}"
        return None

    def _others(self, receipt: SliceReceipt, sizes: Mapping[str, Mapping[str, int]]) -> None:
        if receipt.scored:
            return  # they are another partition's, and are looked at there
        claims = self._claims(receipt.slice_id, self._output.path(self._output.mark, receipt.slice_id))
        there = []
        where = f"of slice {receipt.index} of {receipt.shard.uri}"
        stopped = _STOPPED if receipt.forgotten else ""
        for file in receipt.files:
            table, size = file.table, sizes[file.table].get(receipt.slice_id)
            if size is None:
                self._check.found(file.path, Kind.MISSING, where, *claims)
            elif size != file.size:
                detail = f"{where}: {size} bytes are there, {file.size} were written{stopped}"
                self._check.found(file.path, Kind.SIZE, detail, *claims)
            else:
                there.append((table, file))
        for table in {*self._output.tables[:-1]} - {file.table for file in receipt.files}:
            if receipt.slice_id in sizes[table]:
                self._check.found(
                    self._output.path(table, receipt.slice_id), Kind.ORPHAN, f"{where}, whose receipt does not name it"
                )
        if self._check.deep:
            rows = {"images": receipt.attributed, "rejects": receipt.rejected}
            for table, file in there:
                try:
                    self._read(file.path, rows.get(table), file.sha256)
                except (ValueError, pa.ArrowException) as error:
                    self._check.found(file.path, Kind.DAMAGED, f"{error}{stopped}", *claims)

    def _read(self, path: str, rows: int | None, sha256: str | None = None) -> None:
        """Compares a whole file with what is known of it."""
        data = self._output.get(path) or b""
        if sha256 is None:
            seal = record_in(data, path).seal
            if seal is not None:
                check_body(data, seal)
        elif (actual := hashlib.sha256(data).hexdigest()) != sha256:
            raise ValueError(f"its SHA-256 is {actual}, its receipt says {sha256}")
        found = pq.read_metadata(pa.BufferReader(data)).num_rows
        if rows not in (None, found):
            raise ValueError(f"it has {found} rows, its receipt says {rows}")

    def _close(self, path: str, account: ShardAccount, marks: Mapping[str, int]) -> None:
        for slice_id in account.slice_ids:
            if slice_id not in marks:
                mark = self._output.path(self._output.mark, slice_id)
                self._check.found(mark, Kind.MISSING, f"the account of {account.uri} has this slice", path)
        receipts = [self._sound[slice_id] for slice_id in account.slice_ids if slice_id in self._sound]
        if len(receipts) < len(account.slice_ids):
            return  # what is wrong with the others is said there
        counted = [sum(getattr(one, name) for one in receipts) for name in _COUNTED]
        claimed = [getattr(account, name) for name in _COUNTED]
        seals = add_digests(digest(one.slice_id, one.seal)[:32] for one in receipts)
        stopped = _STOPPED if any(one.forgotten for one in receipts) else ""
        if counted != claimed or account.seen != account.attributed + account.rejected + account.forgotten:
            detail = f"it counts {claimed} images {', '.join(_COUNTED)}, its slices {counted}{stopped}"
            self._check.found(path, Kind.DAMAGED, detail)
        elif account.seal is not None and account.seal != seals:
            self._check.found(path, Kind.DAMAGED, f"its slices are not those that it was closed with{stopped}")

    def _unclosed(self) -> None:
        for slice_id, receipt in self._sound.items():
            if slice_id in self._account_of:
                continue
            account = self._output.path("shards", receipt.shard.shard_id(self._output.bundle_id))
            if account in self._whole:
                mark = self._output.path(self._output.mark, slice_id)
                detail = f"slice {receipt.index} of {receipt.shard.uri}, whose account does not have it"
                self._check.found(mark, Kind.ORPHAN, detail)
            else:
                detail = f"the account of {receipt.shard.uri}, of which slices are committed; run the same command again"
                self._check.found(account, Kind.MISSING, detail)

    def _claims(self, slice_id: str, *marks: str) -> tuple[str, ...]:
        account = self._account_of.get(slice_id)
        return (*([] if account is None else [account]), *marks)
