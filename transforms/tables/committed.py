"""What an output holds already: receipts of committed slices and closed accounts, read back from the files' footers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.schemas.config import Storage
from causalprint.schemas.elements import Shard, ShardAccount, SliceReceipt
from causalprint.schemas.records import from_json
from causalprint.schemas.tables import RECORD, TABLES
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output, folder_names

_log = logging.getLogger(__name__)
_PARTITION = "bundle="

FOOTER = 64 * 1024
"""Bytes at the end of a file that nearly always hold all of its footer."""


class ParquetRecordError(ValueError):
    """A file of the output is damaged or was not written by this pipeline."""


def committed(output: Output, slice_id: str) -> SliceReceipt | None:
    """The receipt of a slice whose commit mark is there, ``computed=False``; ``None`` where it is not, or cannot be read.

    A mark that cannot be read is no mark: the slice is computed again and its files, this one too, are written anew.
    """
    path = output.path(output.mark, slice_id)
    try:
        record = read_record(output, path)
        return None if record is None else replace(from_json(SliceReceipt, record, path), computed=False)
    except ValueError as error:
        _log.warning("the slice is computed again: %s", error)
        return None


def closed(output: Output, shard: Shard) -> ShardAccount | None:
    """The account of ``shard`` where an earlier run closed it and reading it again cannot give more."""
    account = stored_account(output, shard)
    return None if account is None or account.retryable else account


def stored_account(output: Output, shard: Shard) -> ShardAccount | None:
    """The account of ``shard`` as an earlier run, with the same limit, closed it; ``None`` where none can be read."""
    path = output.path("shards", shard.shard_id(output.bundle_id))
    try:
        record = read_record(output, path)
        account = None if record is None else from_json(ShardAccount, record, path)
    except ValueError as error:
        _log.warning("the shard is read again: %s", error)
        return None
    return account if account is not None and (account.limit, account.drawn) == (shard.limit, shard.drawn) else None


def committed_from(output: Output, shard: Shard, index: int) -> Iterator[SliceReceipt]:
    """The receipts of the shard's slices from slice ``index`` on, to the first that is not committed, or the last."""
    last = False
    while not last:
        receipt = committed(output, shard.slice_id(output.bundle_id, index))
        if receipt is None or receipt.shard != shard:
            return
        yield receipt
        last = receipt.last
        index += 1


def walk(output: Output, shard: Shard) -> ShardAccount | None:
    """The account of a shard whose slices are committed to the last, which an earlier run did not live to close; else ``None``.

    Costs one small read a committed slice, and one more.
    """
    ledger = reduce(Ledger.add, committed_from(output, shard, 0), Ledger(shard))
    return None if ledger.longest is None else ledger.close(output.bundle_id)


def bundle_ids(root: str, storage: Storage) -> list[str]:
    """The bundles that wrote to the output at ``root``, sorted: partitions of its tables."""
    partitions = {name for table in TABLES for name in folder_names(root, table, storage) if name.startswith(_PARTITION)}
    return sorted(name.removeprefix(_PARTITION) for name in partitions)


def run_ids(root: str, storage: Storage) -> list[str]:
    """The finished runs into the output at ``root``, oldest first."""
    return sorted(name.removesuffix(".json") for name in folder_names(root, "runs", storage) if name.endswith(".json"))


def read_record(output: Output, path: str) -> str | None:
    """The record in the footer of a file below the output's root; ``None`` where there is no such file.

    Reads the end of the file only.

    Raises:
        ParquetRecordError: the file is no Parquet file, or has no record.
    """
    tail = output.get(path, tail=FOOTER)
    if tail is not None and tail.endswith(b"PAR1") and int.from_bytes(tail[-8:-4], "little") + 8 > len(tail):
        tail = output.get(path)
    if tail is None:
        return None
    try:
        metadata = pq.read_metadata(pa.BufferReader(tail)).metadata or {}
        record: bytes = metadata[RECORD.encode()]
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ParquetRecordError(
            f"{output.root}/{path} holds no record of this pipeline ({error}); delete it and run the same command again"
        ) from error
    return record.decode()
