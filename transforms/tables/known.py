"""Which shards the run before closed, by its list alone: a night with nothing new asks for no account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.schemas.accounts import RejectCount, ShardAccount, VerdictCount
from causalprint.schemas.elements import Shard, SkippedCount
from causalprint.schemas.run_shards import PRESENT
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.run_lists import RunLists
from causalprint.transforms.tables.stored import Stored

_PRESENT = {state.value for state in PRESENT}
_AT_ONCE = 1024
"""Rows of a list that are in memory at a time."""


def known_accounts(shards: Iterable[Shard], inputs: str | None, output: Output, stored: Stored) -> Iterator[ShardAccount]:
    """The accounts of those of ``shards`` that need no reading, as far as the list of the run before tells: as they were written.

    Of the others, those of which images were drawn too, the output's files must be asked. So must they of all where a run has
    forgotten images since, or given verdicts anew: what it wrote counts.

    Args:
        shards: of a run.
        inputs: what that was asked to read; see :func:`~causalprint.transforms.tables.run_shards.inputs_of`.
        output: where earlier runs wrote.
        stored: what is there.
    """
    data = None if inputs is None else _list_before(inputs, output)
    if data is None:
        return
    wanted = {shard.shard_id(output.bundle_id): shard for shard in shards if not shard.drawn}
    for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches(_AT_ONCE, use_threads=False):
        for row in batch.to_pylist():
            if row["bundle"] != output.bundle_id or row["state"] not in _PRESENT or row["shard_id"] not in wanted:
                continue
            account = account_of(row)
            is_closed = not (account.retryable or stored.is_to_retry(account))
            if is_closed and stored.holds_pack(account):
                yield account
            elif is_closed and stored.has_account(account.shard_id) and stored.holds_all(account):
                yield stored.placed(account)


def account_of(row: Mapping[str, Any]) -> ShardAccount:
    """The account that a row of a list was made of, but for how its images were drawn."""
    return ShardAccount(
        shard_id=row["shard_id"],
        uri=row["uri"],
        generation=row["generation"],
        size=row["size"],
        format=row["format"],
        slices=row["slices"],
        seen=row["seen"],
        attributed=row["attributed"],
        rejected=row["rejected"],
        forgotten=row["forgotten"],
        resampled=row["resampled"],
        moved=row["moved"],
        skipped=row["skipped"],
        complete=row["complete"],
        damage=row["damage"],
        retryable=row["retryable"],
        limit=row["image_limit"],
        slice_ids=tuple(row["slice_ids"]),
        skipped_kinds=tuple(SkippedCount(**count) for count in row["skipped_kinds"]),
        verdicts=tuple(VerdictCount(**count) for count in row["verdicts"]),
        reasons=tuple(RejectCount(**count) for count in row["reasons"]),
        footprint=row["footprint"],
        seal=row["seal"],
        pack=row.get("pack") or "",  # of earlier versions, nothing
    )


def _list_before(inputs: str, output: Output) -> bytes | None:
    """The list of the newest run over these inputs, where no run that reads no shard came after it."""
    lists = RunLists(output.root, output.storage)
    before, other = lists.newest(inputs), lists.newest(None)
    return None if before is None or (other is not None and other > before) else lists.data(before)
