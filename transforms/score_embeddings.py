"""Other verdicts on stored fingerprints: no image is opened, and what the audit wrote stays as it is.

``read accounts | Skip | score | write | CloseAccounts``. A slice keeps its name and its other tables; only its attributions are
written, in a partition of their own, and name by digest the files that they were made from.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import PBegin, PCollection, TaggedOutput
from apache_beam.utils.shared import Shared

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import load_bundle
from causalprint.schemas.accounts import Scored, ShardAccount, SliceReceipt, receipt_of, spread
from causalprint.schemas.arrays import Mask
from causalprint.schemas.elements import Shard, Slice
from causalprint.schemas.prior import Prior
from causalprint.schemas.records import from_json
from causalprint.schemas.tables import ATTRIBUTIONS, stored_schema
from causalprint.transforms.attribute_sources import KEYS, attribute_rows
from causalprint.transforms.counting import count
from causalprint.transforms.faults import is_machine_fault, told
from causalprint.transforms.map_slices import MapSlices
from causalprint.transforms.tables.close_accounts import CloseAccounts, close_ledger
from causalprint.transforms.tables.committed import committed, read_sealed, stored_account
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.pack_rows import rows_in_pack
from causalprint.transforms.tables.parquet_bytes import read_parquet
from causalprint.transforms.tables.skip_committed import DONE, TO_DO, Skip
from causalprint.transforms.tables.stored import Stored
from causalprint.transforms.tables.write_manifest import account_digest
from causalprint.transforms.tables.write_tables import commit, stored_table, verdict_counts, write_counted

KEPT = "kept"
"""Tag of accounts of shards in which there is nothing to do."""
_log = logging.getLogger(__name__)


class AuditedShard(NamedTuple):
    """A shard whose account an audit closed: the account's name, and the bytes of the shard."""

    shard_id: str
    size: int


class ScoredSlice(NamedTuple):
    """A slice of an audit, and the other verdicts on it: the receipt of these, and rows of ``attributions``."""

    source: Slice
    receipt: SliceReceipt
    attributions: pa.RecordBatch


def read_account(audited: Stored, shard_id: str) -> ShardAccount:
    """The account of that name of the audit whose embeddings are scored.

    Raises:
        FileNotFoundError: there is none.
        ParquetRecordError: it is damaged.
    """
    output, path = audited.output, audited.output.path("shards", shard_id)
    text = audited.packed(shard_id)
    if text is None:
        record = read_sealed(output, path)
        if record is None:
            raise FileNotFoundError(f"{output.root}/{path} was there and is gone; run the audit again, and then this command")
        text = record.text
    return from_json(ShardAccount, text, path)


def pass_audited(audited: AuditedShard, output: Output, stored: Stored | None = None) -> Iterator[SliceReceipt | TaggedOutput]:
    """Receipts of the audit's slices that are to be scored.

    The others' own receipts go by the tag :data:`DONE`, and by the tag :data:`KEPT` the account of a shard in which all is done.
    """
    stored = stored or Stored(output)
    source = stored.audited
    account = read_account(source, audited.shard_id)
    shard = _shard(account, source)
    before = stored_account(output, shard, stored)
    if before is not None and before.scored == account_digest(account) and stored.holds_all(before):
        count(kept=before.seen, shards=1, shard_bytes=shard.size, kept_bytes=shard.size)
        yield TaggedOutput(KEPT, before)
        return
    if not account.slice_ids:
        nothing = Slice(shard.slice_id(output.scored, 0), shard, 0, last=True, damage=account.damage, retryable=True)
        yield TaggedOutput(DONE, receipt_of(nothing))
    for index, slice_id in enumerate(account.slice_ids):
        receipt = _receipt(source, slice_id, Slice(slice_id, shard, index))
        own = None if receipt.retryable else committed(output, slice_id, stored)
        if own is not None and own.files == receipt.files:
            count(kept=own.seen)
            yield TaggedOutput(DONE, own)
        else:
            yield TaggedOutput(DONE, receipt) if receipt.retryable else receipt


def score_slice(receipt: SliceReceipt, attributor: Attributor, stored: Stored) -> ScoredSlice:
    """Verdicts on a slice of an audit, from what is stored of it.

    Args:
        receipt: the audit's.
        attributor: a loaded bundle's head.
        stored: what the output of the verdicts holds, and the audit.

    Raises:
        ValueError: they are not those of the receipt, or not of one another.
        OSError: they cannot be read.
    """
    output = stored.output
    images = _read(stored.audited, receipt, "images", *KEYS, "damage", "encoded_bytes")
    embeddings = _read(stored.audited, receipt, "embeddings", "member", "offset", "fingerprint")
    known = _in_order(embeddings, images, output.path("embeddings", receipt.slice_id))
    damaged = images.column("damage").is_valid().to_numpy(zero_copy_only=False)
    rows = attribute_rows(images, known, damaged, embeddings.column("fingerprint"), attributor)
    if rows.num_rows != receipt.attributed:
        path = output.path("images", receipt.slice_id)
        raise ValueError(f"{path} has {rows.num_rows} rows, its receipt says {receipt.attributed}")
    count(images=rows.num_rows, encoded_bytes=sum(images.column("encoded_bytes").to_pylist()))
    source = Slice(**spread(receipt, Slice))
    own = receipt_of(source, rows.num_rows, verdict_counts(rows), receipt.reasons, receipt.resampled, receipt.forgotten)
    scored = Scored(output.scored, output.bundle_id)
    return ScoredSlice(source, replace(own, files=receipt.files, slicing=receipt.slicing, scored=scored), rows)


def contained(receipt: SliceReceipt, attributor: Attributor, stored: Stored) -> ScoredSlice:
    """:func:`score_slice`; a slice at which it fails is left to another run as ``retryable``, and this one goes on."""
    try:
        return score_slice(receipt, attributor, stored)
    except Exception as error:  # noqa: BLE001 - an unforeseen error costs its slice, not the run
        _log.warning("scoring slice %d of %s failed", receipt.index, receipt.shard.uri, exc_info=error)
        known = isinstance(error, ValueError | OSError) or is_machine_fault(error)
        damage = f"slice {receipt.index} was not scored ({told(error)}{'' if known else '; please report this'})"
        lost = Slice(**spread(receipt, Slice)).given_up(damage)
        return ScoredSlice(lost, receipt_of(lost), pa.RecordBatch.from_pylist([], ATTRIBUTIONS))


def write_scored(scored: ScoredSlice, output: Output) -> SliceReceipt:
    """Writes the attributions of one slice, which commit it; a ``retryable`` one holds nothing and is not written."""
    if scored.receipt.retryable:
        return scored.receipt
    return commit(scored.receipt, {output.mark: stored_table(output.mark, scored.attributions, output)}, output)


def close_scored(ledger: Ledger, output: Output, shared: Shared | None = None) -> ShardAccount:
    """The account of a shard's other verdicts: as complete as the audit's, once there is one for each of its slices.

    Args:
        ledger: of the shard.
        output: of the verdicts.
        shared: the handle of what the output holds, which those of one process share.
    """
    stored = (shared or Shared()).acquire(partial(Stored, output))
    theirs = read_account(stored.audited, ledger.shard.shard_id(output.scored))
    ours = close_ledger(ledger, output)
    if ours.slice_ids != theirs.slice_ids:
        return ours
    said = replace(ours, complete=theirs.complete, damage=theirs.damage, retryable=theirs.retryable)
    return replace(said, scored=account_digest(theirs))


@dataclass
class ScoreEmbeddings(beam.PTransform[PBegin, PCollection[ShardAccount]]):
    """Scores the slices of shards that an audit accounted for, unless an earlier run did it, and closes their accounts.

    Attributes:
        shards: whose.
        output: of the verdicts; see :attr:`~causalprint.transforms.tables.output.Output.scored`.
        bundle: directory; ``None`` for the bundle inside the package.
        prior: that verdicts take for granted.
        minimum_probability: of a source to be named; ``None`` takes the bundle's.
    """

    shards: Sequence[AuditedShard]
    output: Output
    bundle: str | None
    prior: Prior
    minimum_probability: float | None

    def expand(self, root: PBegin) -> PCollection[ShardAccount]:
        """One account a shard, once it is written."""
        shared = Shared()
        skip = Skip(pass_audited, self.output, None, shared)
        shards = root | "Shards" >> beam.Create(self.shards, reshuffle=False) | "Deal" >> beam.Reshuffle()
        slices = shards | "Skip" >> beam.ParDo(skip).with_outputs(DONE, KEPT, main=TO_DO)
        scored = slices.to_do | "DealSlices" >> beam.Reshuffle() | "Score" >> beam.ParDo(MapSlices(self.load))
        written = scored | "WriteSlice" >> beam.Map(write_counted, write_scored, self.output)
        receipts = (written, slices.done) | "Receipts" >> beam.Flatten()
        closed = receipts | CloseAccounts(self.output, partial(close_scored, shared=shared))
        return (closed, slices.kept) | "Accounts" >> beam.Flatten()

    def load(self) -> Callable[[SliceReceipt], ScoredSlice]:
        """What a worker scores with: the bundle's head."""
        bundle = load_bundle(self.bundle, None, self.prior, self.minimum_probability)
        return partial(contained, attributor=Attributor(bundle), stored=Stored(self.output))


def _shard(account: ShardAccount, source: Stored) -> Shard:
    """The shard of an account, which does not tell of which columns its images are: that, its slices do."""
    shard = Shard(account.uri, account.size, account.generation, account.format, account.limit, account.drawn)
    if shard.shard_id(source.output.bundle_id) == account.shard_id or not account.slice_ids:
        return shard
    return _receipt(source, account.slice_ids[0], Slice(account.slice_ids[0], shard, 0)).shard


def _receipt(source: Stored, slice_id: str, unknown: Slice) -> SliceReceipt:
    """The audit's receipt of a slice, which without it is ``unknown``."""
    path = source.output.path(source.output.mark, slice_id)
    text = source.packed(slice_id)
    try:
        record = read_sealed(source.output, path) if text is None else None
        text = record.text if record else text
        receipt = None if text is None else from_json(SliceReceipt, text, path)
    except ValueError as error:
        return receipt_of(unknown.given_up(f"slice {unknown.index} was not scored ({error})"))
    if receipt is None:
        return receipt_of(unknown.given_up(f"slice {unknown.index} was not scored: {path} is missing; run the audit again"))
    return receipt


def _read(source: Stored, receipt: SliceReceipt, table: str, *columns: str) -> pa.RecordBatch:
    output = source.output
    file = next((file for file in receipt.files if file.table == table), None)
    if file is None:  # the slice has no rows in it
        return pa.RecordBatch.from_pylist([], pa.schema([stored_schema(table).field(name) for name in columns]))
    if (pack_id := source.pack_of(receipt.slice_id)) is not None:
        return rows_in_pack(output, pack_id, receipt, table, columns)
    data = output.get(file.path, size=file.size)
    if data is None:
        raise FileNotFoundError(f"{file.path} is missing; run causalprint verify --repair, and the audit again")
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise ValueError(f"{file.path} is not what its audit wrote; run causalprint verify --deep --repair, and the audit again")
    rows = read_parquet(data, columns).combine_chunks()
    batches = rows.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], rows.schema)


def _in_order(embeddings: pa.RecordBatch, images: pa.RecordBatch, where: str) -> Mask:
    """Which of the images (N,) have a row in ``embeddings``, whose rows are in the images' order."""
    wanted = _places(embeddings)
    waiting = next(wanted, None)
    found = np.zeros(images.num_rows, np.bool_)
    for row, place in enumerate(_places(images)):
        if place == waiting:
            found[row] = True
            waiting = next(wanted, None)
    if waiting is not None:
        raise ValueError(f"{where}: {waiting[0]!r} at {waiting[1]} is no image of its slice, or not in its place")
    return found


def _places(rows: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(rows.column("member").to_pylist(), rows.column("offset").to_pylist(), strict=True)
