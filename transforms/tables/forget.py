"""Rows that are erased because a licence or a person asks for it, with the accounts closed.

The order of writing is what a command that was killed relies on. Marks come first, then accounts, then the run; the files that
tell which images a slice has come last, ``images`` after all others: as long as one of them holds an image, the same command
finds it again and does all of it once more, with the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from causalprint.schemas.accounts import Counts, RejectCount, ShardAccount, SliceReceipt, WrittenFile, spread, summed
from causalprint.schemas.elements import Shard
from causalprint.schemas.packs import PACKS
from causalprint.schemas.records import from_json, to_json
from causalprint.schemas.tables import FINGERPRINT_DIGEST, TABLES, stored_schema
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.committed import own_receipt, record_in
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output, listed
from causalprint.transforms.tables.parquet_bytes import read_parquet, without_record
from causalprint.transforms.tables.partition import read_columns
from causalprint.transforms.tables.write_manifest import account_digest
from causalprint.transforms.tables.write_tables import encode, verdict_counts

_LAST = ("embeddings", "rejects", "images")
"""The other files of a slice in the order in which they are rewritten."""


class ForgetError(ValueError):
    """What cannot be forgotten as it was asked; the message says why, and what to do first."""


@dataclass(frozen=True)
class Unwanted:
    """Which images are to be forgotten: those with these digests, and all of these shards."""

    image_ids: frozenset[str]
    shards: frozenset[str]

    def among(self, rows: pa.Table | pa.RecordBatch) -> pa.Array:
        """For each row of a table of images, whether it is one of these."""
        ids, shards = self._sets
        return pc.or_(pc.is_in(rows["image_id"], value_set=ids), pc.is_in(rows["shard"], value_set=shards))

    @cached_property
    def _sets(self) -> tuple[pa.Array, pa.Array]:
        ids, shards = (pa.array(words, pa.string()) for words in (self.image_ids, self.shards))
        return ids, shards


class Place(NamedTuple):
    """A row of an unwanted image.

    Attributes:
        bundle_id: of the partition that it is in.
        table: that.
        image_id: ``None`` where the image's bytes were not read.
        shard, slice_id: where the image lies.
    """

    bundle_id: str
    table: str
    image_id: str | None
    shard: str
    slice_id: str


@dataclass(frozen=True)
class Partition:
    """What one audit wrote, and which other verdicts were given to its fingerprints.

    Attributes:
        audit: where its tables are.
        scorings: where those verdicts are.
    """

    audit: Output
    scorings: tuple[Output, ...] = ()

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The audit's, then the others."""
        return (self.audit, *self.scorings)

    def places(self, unwanted: Unwanted) -> Iterator[Place]:
        """Every row of an unwanted image. Embeddings are those of images, and not read."""
        for output in self.outputs:
            for table in _LOOKED_AT if output is self.audit else (output.mark,):
                for rows in read_columns(output, table, "image_id", "shard", "slice_id"):
                    found = rows.filter(unwanted.among(rows))
                    for values in zip(*(column.to_pylist() for column in found.columns), strict=True):
                        yield Place(output.bundle_id, table, *values)


_LOOKED_AT = ("images", "rejects", "attributions")


class _File(NamedTuple):
    """A file of a slice as it is, and as it is once the unwanted rows are gone."""

    path: str
    rows: pa.Table
    before: WrittenFile
    after: WrittenFile
    data: bytes


class _Others:
    """The files of a slice beside its mark, those that are there, read when they are asked for, once."""

    def __init__(self, output: Output, slice_id: str, unwanted: Unwanted) -> None:
        self._output = output
        self._slice_id = slice_id
        self._unwanted = unwanted

    @cached_property
    def files(self) -> dict[str, _File]:
        """By table."""
        paths = {table: self._output.path(table, self._slice_id) for table in self._output.tables[:-1]}
        found = ((table, path, self._output.get(path)) for table, path in paths.items())
        return {table: _without(path, data, self._unwanted) for table, path, data in found if data is not None}

    def rows(self, table: str) -> pa.Table:
        """Those that are left in a table."""
        return self.files[table].rows if table in self.files else stored_schema(table).empty_table()

    def erased_from(self, receipt: SliceReceipt) -> tuple[WrittenFile, ...]:
        """The files that the receipt names, as they are to be.

        Raises:
            ForgetError: they are neither as it says, nor as they are to be once an earlier command is finished.
        """
        after = []
        for named in receipt.files:
            file = self.files.get(named.table)
            if file is None or named not in (file.before, file.after):
                raise ForgetError(
                    f"{self._output.root}/{named.path} is not the file that its receipt names: if another causalprint forget was "
                    f"stopped, run that again first; else causalprint verify {self._output.root} --deep says what is wrong"
                )
            after.append(file.after)
        return tuple(after)


class Marks(NamedTuple):
    """The marks of one slice as they are to be: the audit's, then those of other verdicts.

    Attributes:
        files: each with its path and its partition.
        shard: whose; ``None`` where it has no mark.
        again: whether the next audit computes the slice all the same: it was never committed, or is not finished.
    """

    files: tuple[tuple[Output, str, bytes], ...]
    shard: Shard | None
    again: bool

    def write(self) -> None:
        """Writes them."""
        for output, path, data in self.files:
            output.put(path, data)


def marks_without(part: Partition, unwanted: Unwanted, slice_id: str) -> Marks:
    """The marks of one slice without the unwanted rows. Nothing is written: it is asked of all slices before one is changed.

    Raises:
        ForgetError: the slice is not as its receipt says.
        ValueError: a mark is damaged.
    """
    others = _Others(part.audit, slice_id, unwanted)
    marks: list[tuple[Output, str, bytes]] = []
    shard, again = None, True
    for output in part.outputs:
        path = output.path(output.mark, slice_id)
        data = output.get(path)
        if data is None:
            continue
        receipt = from_json(SliceReceipt, record_in(data, f"{output.root}/{path}").text, path)
        rows = _kept(without_record(read_parquet(data)), unwanted)
        fresh = output is part.audit or {*receipt.files} <= {
            version for file in others.files.values() for version in (file.before, file.after)
        }
        if fresh:  # else it scores files that an audit has since written anew: verify and attribute go by the names of those
            rejects, images = (others.rows(table) for table in ("rejects", "images"))
            receipt = replace(
                receipt,
                files=others.erased_from(receipt),
                reasons=_reasons(rejects),
                rejected=rejects.num_rows,
                resampled=images["resampled"].to_pylist().count(True),
            )
        receipt = replace(
            receipt,
            attributed=rows.num_rows,
            verdicts=summed(verdict_counts(rows)),
            forgotten=receipt.seen - rows.num_rows - receipt.rejected,
        )
        marks.append((output, path, encode(rows, to_json(receipt))))
        shard = receipt.shard
        again = receipt.unfinished if output is part.audit else again
    return Marks(tuple(marks), shard, again)


def erase_from_accounts(part: Partition, shard: Shard) -> list[tuple[Output, ShardAccount]]:
    """Writes the accounts of a shard of which slices were changed, the audit's and those of other verdicts, where there are any.

    Raises:
        ForgetError: a slice of an account is not there.
        ValueError: one is damaged.
    """
    written: list[tuple[Output, ShardAccount]] = []
    audited: list[SliceReceipt] = []
    for output in part.outputs:
        path = output.path("shards", shard.shard_id(output.bundle_id))
        data = output.get(path)
        if data is None:
            continue
        account = from_json(ShardAccount, record_in(data, f"{output.root}/{path}").text, path)
        receipts = [own_receipt(output, slice_id) for slice_id in account.slice_ids]
        ledger = reduce(Ledger.add, receipts, Ledger(shard))
        account = replace(account, **spread(ledger.counts, Counts), footprint=ledger.footprint, seal=ledger.seal)
        if output is part.audit:
            audited = receipts
        elif [(one.slice_id, one.files) for one in receipts] == [(one.slice_id, one.files) for one in audited]:
            account = replace(account, scored=account_digest(written[0][1]))
        else:  # an audit has since written slices anew: attribute looks at each
            account = replace(account, scored="")
        written.append((output, write_account(account, _as_written(output, data))))
    return written


def erase_files(part: Partition, unwanted: Unwanted, slice_id: str) -> None:
    """Rewrites the other files of a slice whose marks are written; of a slice that was never committed, removes them."""
    files = _Others(part.audit, slice_id, unwanted).files
    committed = part.audit.get(part.audit.path(part.audit.mark, slice_id), tail=8) is not None
    for table in _LAST:
        file = files.get(table)
        if file is not None and not committed:
            part.audit.remove(file.path)
        elif file is not None and file.after != file.before:
            part.audit.put(file.path, file.data)


def remove_parts(outputs: Iterable[Output]) -> None:
    """Removes what killed processes left of files: it may hold any row."""
    for output in outputs:
        for folder in (*map(output.folder, TABLES), f"{PACKS}/bundle={output.bundle_id}"):
            for name in listed(output.root, folder, output.storage):
                if name.startswith(".") and name.endswith(".part"):
                    output.remove(f"{folder}/{name}")


def _without(path: str, data: bytes, unwanted: Unwanted) -> _File:
    rows = without_record(read_parquet(data))
    kept = _kept(rows, unwanted)
    changed = data if kept.num_rows == rows.num_rows else encode(kept)
    before, after = (WrittenFile(path, hashlib.sha256(each).hexdigest(), len(each)) for each in (data, changed))
    return _File(path, kept, before, after, changed)


def _kept(rows: pa.Table, unwanted: Unwanted) -> pa.Table:
    return rows.filter(pc.invert(unwanted.among(rows)))


def _reasons(rejects: pa.Table) -> tuple[RejectCount, ...]:
    columns = (rejects[name].to_pylist() for name in ("stage", "reason"))
    return summed(RejectCount(stage, reason, 1) for stage, reason in zip(*columns, strict=True))


def _as_written(output: Output, data: bytes) -> Output:
    """With what the metadata of a file say of the bundle that wrote it."""
    metadata = pq.read_metadata(pa.BufferReader(data)).metadata or {}
    told = (metadata.get(key, b"").decode() for key in (b"bundle_digest", FINGERPRINT_DIGEST.encode()))
    return replace(output, **dict(zip(("bundle_digest", "fingerprint_digest"), told, strict=True)))
