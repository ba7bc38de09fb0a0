"""What an output holds already: receipts of committed slices and closed accounts, read back from the files' footers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from itertools import islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.schemas.accounts import ShardAccount, SliceReceipt
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import Shard
from causalprint.schemas.records import from_json
from causalprint.schemas.tables import RECORD, SEALED_RECORD, TABLES
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import EMPTY, Output, folder_names, listed
from causalprint.transforms.tables.packs import SUFFIX, PackError, is_pack, pack_ids, read_index
from causalprint.transforms.tables.seals import Seal, SealError, footer_is_whole, read_seal
from causalprint.transforms.tables.stored import Stored

_log = logging.getLogger(__name__)
_PARTITION = "bundle="

LIST = ".shards.parquet"
"""Ends the name of the list of a run's shards."""

FOOTER = 64 * 1024
"""Bytes at the end of a file that nearly always hold all of its footer."""


class ParquetRecordError(ValueError):
    """A file of the output is damaged or was not written by this pipeline."""


class Record(NamedTuple):
    """What a file's footer says, checked.

    Attributes:
        text: the receipt, account or other record, as JSON.
        seal: ``None`` of earlier versions.
        read: the end of the file, as much as was read of it.
    """

    text: str
    seal: Seal | None
    read: bytes


def committed(output: Output, slice_id: str, stored: Stored | None = None) -> SliceReceipt | None:
    """The receipt of a slice all of whose files are there, ``computed=False``; ``None`` where they are not or it is not believed.

    A mark that cannot be read is no mark, nor is one without the files that it names, as large as it says, nor that of a slice of
    which images could not be read: the slice is computed again and its files, this one too, are written anew.

    Args:
        output: where it is looked for.
        slice_id: of the slice.
        stored: what is there; by default it is looked up.
    """
    stored = stored or Stored(output)
    path = output.path(output.mark, slice_id)
    try:
        receipt = _receipt(output, slice_id, path, stored)
    except ValueError as error:
        _log.warning("the slice is computed again: %s", error)
        return None
    if receipt is None or receipt.slice_id != slice_id or receipt.unfinished or stored.is_to_retry(receipt):
        return None
    if output.slicing and receipt.slicing not in (None, output.slicing):
        _log.warning("the slice is computed again: %s was cut at %s", path, receipt.slicing)
        return None
    if stored.packed(slice_id) is None and not stored.holds(receipt):
        _log.warning("the slice is computed again: files of %s are missing or of another size", slice_id)
        return None
    return receipt


def _receipt(output: Output, slice_id: str, path: str, stored: Stored) -> SliceReceipt | None:
    packed = stored.packed(slice_id)
    if packed is not None:
        return from_json(SliceReceipt, packed, path)
    size = stored.sizes(slice_id)[-1]
    return None if size is None else read_receipt(output, path, size)


def read_receipt(output: Output, path: str, size: int) -> SliceReceipt | None:
    """The receipt in the commit mark at ``path``, of ``size`` bytes; ``None`` where there is no such file.

    Raises:
        ValueError: it cannot be believed.
    """
    record = read_sealed(output, path, size)
    if record is None:
        return None
    receipt = from_json(SliceReceipt, record.text, path)
    return replace(receipt, computed=False).stored(size, record.seal.digest if record.seal else "")


def own_receipt(output: Output, slice_id: str) -> SliceReceipt:
    """The receipt in a slice's own commit mark.

    Raises:
        ParquetRecordError: there is none, or it is damaged.
    """
    path = output.path(output.mark, slice_id)
    data = output.get(path)
    receipt = None if data is None else read_receipt(output, path, len(data))
    if receipt is None:
        raise ParquetRecordError(
            f"{output.root}/{path} is missing: run causalprint verify {output.root} --repair and the audit first"
        )
    return receipt


def closed(output: Output, shard: Shard, stored: Stored | None = None) -> ShardAccount | None:
    """The account of ``shard`` where an earlier run closed it, its slices are there, and reading it again cannot give more."""
    stored = stored or Stored(output)
    account = stored_account(output, shard, stored)
    if account is None or account.retryable or stored.is_to_retry(account):
        return None
    if not stored.holds_all(account):
        _log.warning("the shard is read again: files of %s are missing or of another size", shard.uri)
        return None
    return account


def stored_account(output: Output, shard: Shard, stored: Stored) -> ShardAccount | None:
    """The account of ``shard`` as an earlier run, with the same limit, closed it; ``None`` where none can be believed.

    Args:
        output: where it is looked for.
        shard: of which.
        stored: tells what is there.
    """
    shard_id = shard.shard_id(output.bundle_id)
    path = output.path("shards", shard_id)
    text = stored.packed(shard_id)
    size = stored.account_size(shard_id)
    try:
        if text is None and size is not None:
            record = read_sealed(output, path, size)
            text = None if record is None else record.text
        account = None if text is None else from_json(ShardAccount, text, path)
    except ValueError as error:
        _log.warning("the shard is read again: %s", error)
        return None
    asked = (shard_id, shard.limit, shard.drawn)
    if account is None or (account.shard_id, account.limit, account.drawn) != asked:
        return None
    return stored.placed(account)


def committed_from(output: Output, shard: Shard, index: int, stored: Stored | None = None) -> Iterator[SliceReceipt]:
    """The receipts of the shard's slices from slice ``index`` on, to the first that is not committed, or the last."""
    stored = stored or Stored(output)
    last = False
    while not last:
        receipt = committed(output, shard.slice_id(output.slices_by, index), stored)
        if receipt is None or receipt.shard != shard:
            return
        yield receipt
        last = receipt.last
        index += 1


def walk(output: Output, shard: Shard, stored: Stored | None = None) -> ShardAccount | None:
    """The account of a shard whose slices are committed to the last, which an earlier run did not live to close; else ``None``.

    Costs one small read a committed slice.
    """
    ledger = reduce(Ledger.add, committed_from(output, shard, 0, stored), Ledger(shard))
    return None if ledger.longest is None else ledger.close(output.bundle_id, output.slices_by)


def bundle_ids(root: str, storage: Storage) -> list[str]:
    """The bundles that wrote to the output at ``root``, sorted: partitions of its tables."""
    partitions = {name for table in TABLES for name in folder_names(root, table, storage) if name.startswith(_PARTITION)}
    return sorted(name.removeprefix(_PARTITION) for name in partitions)


def scored_by(output: Output) -> str:
    """The bundle whose stored fingerprints got the verdicts of a partition; empty where they are an audit's own.

    Its first mark that can be read tells.
    """
    for receipt in some_receipts(output):
        if receipt is not None:
            return receipt.scored.embeddings if receipt.scored else ""
    return ""


def some_receipts(output: Output) -> Iterator[SliceReceipt | None]:
    """Receipts of a partition, one of each pack and then of each slice; ``None`` for one that cannot be read."""
    for pack_id, size in pack_ids(output).items():
        try:
            index = read_index(output, pack_id, size)
        except PackError:
            index = None
        if index is not None:
            rows = (row for row, name in enumerate(index.names) if name != index.shard_ids[row])
            yield from (from_json(SliceReceipt, index.record(row)) for row in islice(rows, 1))
    folder = output.folder(output.mark)
    for name, bytes_there in sorted(listed(output.root, folder, output.storage).items()):
        slice_id = name.removesuffix(SUFFIX)
        if not name.endswith(SUFFIX) or is_pack(slice_id) or slice_id == EMPTY:
            continue
        try:
            receipt = read_receipt(output, f"{folder}/{name}", bytes_there or 0)
        except ValueError:
            receipt = None
        yield receipt


def run_ids(root: str, storage: Storage) -> list[str]:
    """The finished runs into the output at ``root``, oldest first."""
    return sorted(name.removesuffix(".json") for name in folder_names(root, "runs", storage) if name.endswith(".json"))


def list_path(run_id: str) -> str:
    """Where the list of a run's shards lies below the output's root."""
    return f"runs/{run_id}{LIST}"


def listed_runs(root: str, storage: Storage) -> dict[str, int]:
    """The runs into the output at ``root`` that have listed their shards, oldest first, and the bytes of their lists."""
    names = sorted(listed(root, "runs", storage).items())
    return {name.removesuffix(LIST): size for name, size in names if name.endswith(LIST) and size is not None}


def read_sealed(output: Output, path: str, size: int | None = None) -> Record | None:
    """The record in the footer of a file below the output's root, once its seal is found whole; ``None`` where there is no file.

    Reads the end of the file only.

    Args:
        output: where the file is.
        path: below its root.
        size: of the file, where that is known.

    Raises:
        ParquetRecordError: the file is no Parquet file, or has no record, or is not as it was written.
    """
    tail = output.get(path, tail=FOOTER, size=size)
    if tail is not None and not footer_is_whole(tail):
        tail = output.get(path)
    return None if tail is None else record_in(tail, f"{output.root}/{path}", size)


def record_in(tail: bytes, where: str, size: int | None = None) -> Record:
    """The record in the end of a file that holds its footer; as of :func:`read_sealed`."""
    try:
        metadata = pq.read_metadata(pa.BufferReader(tail)).metadata or {}
        if SEALED_RECORD.encode() not in metadata:
            return Record(metadata[RECORD.encode()].decode(), None, tail)
        seal = read_seal(tail)
        if size not in (None, seal.size):
            raise SealError(f"it has {size} bytes and was written with {seal.size}")
        return Record(metadata[SEALED_RECORD.encode()].decode(), seal, tail)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ParquetRecordError(
            f"{where} holds no record of this pipeline ({error}); delete it and run the same command again"
        ) from error
