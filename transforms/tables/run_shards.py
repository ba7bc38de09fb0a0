"""A run's list of its shards, by which it is known what an audit is now: written once, just before the run's manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from causalprint.schemas.accounts import RejectCount, ShardAccount, VerdictCount, WrittenFile
from causalprint.schemas.config import AuditConfig, Storage
from causalprint.schemas.elements import digest
from causalprint.schemas.records import from_json, to_json
from causalprint.schemas.run_shards import PRESENT, SCHEMA, Listed, State
from causalprint.schemas.runs import Change, Changes, Run
from causalprint.schemas.urls import public
from causalprint.transforms.tables.close_accounts import shard_row
from causalprint.transforms.tables.committed import list_path, listed_runs, read_sealed
from causalprint.transforms.tables.output import Output, get, put
from causalprint.transforms.tables.parquet_bytes import read_parquet
from causalprint.transforms.tables.write_tables import encode

BATCH = 4096
"""Accounts that are Python objects at a time; the rest are columns."""
_VERSION = ("generation", "seen")
"""Of a shard that is as it was, these are. More is seen where a broken connection cost a part before."""
_PRESENT = pa.array([state.value for state in PRESENT])
_OF_THE_RUN = ("run_id", "inputs", "bundle", "state")


def inputs_of(run: Run) -> str | None:
    """What the run was asked to read, as 32 hex digits: the same for the same inputs, in whatever order they are given.

    ``None`` of a run that reads no shard: one that gives stored fingerprints other verdicts, or forgets.
    """
    config = run.config
    if run.forgets or not isinstance(config, AuditConfig):
        return None
    return digest(*sorted(map(public, config.inputs)), "columns", *sorted(config.image_column))[:32]


def write_list(accounts: Iterable[ShardAccount], run: Run) -> Changes:
    """Writes ``OUT/runs/<run_id>.shards.parquet``, and says what has changed since the run before over the same inputs.

    The bytes are a function of the run, of its accounts in whatever order, and of the list of the run before.

    Args:
        accounts: of all shards of the run, each once. They are taken as they come; some 500 bytes of each are kept.
        run: whose they are.
    """
    config = run.config
    rows = _sorted(_rows(accounts))
    key = inputs_of(run)
    before = None if key is None else _before(config.output, config.storage, key, run.run_id)
    earlier = None if before is None else get(config.output, list_path(before), config.storage)
    if earlier is None:
        rows = _with(
            rows, run_id=run.run_id, inputs=key, bundle=run.bundle_id, state=(State.KEPT if key is None else State.NEW).value
        )
    else:
        was = pq.ParquetFile(pa.BufferReader(earlier))
        rows = _with(rows, run_id=run.run_id, inputs=key, bundle=run.bundle_id, state=_states(rows, was))
        rows = _sorted(pa.concat_tables([rows, *_lost(rows, was, run.run_id)]))
    data = encode(rows, to_json(Listed(run.run_id, key, before)))
    put(config.output, list_path(run.run_id), data, config.storage, part="shards")  # run ids do not return
    file = WrittenFile(list_path(run.run_id), hashlib.sha256(data).hexdigest(), len(data))
    return Changes(previous=before, file=file, **{str(state): _change(rows, state) for state in State if state != State.GONE})


def read_listed(root: str, run_id: str, storage: Storage) -> Listed | None:
    """What the list of a run's shards says of itself; ``None`` where there is none.

    Raises:
        ValueError: it is not as it was written.
    """
    path = list_path(run_id)
    record = read_sealed(Output(root, "", "", storage), path)
    return None if record is None else from_json(Listed, record.text, f"{root}/{path}")


def found_shards(root: str, run_id: str, storage: Storage) -> list[str]:
    """The ids of the shards that a run found, as its list has them; none where there is no list."""
    data = get(root, list_path(run_id), storage)
    if data is None:
        return []
    rows = read_parquet(data, ["shard_id", "state"])
    return list(rows.filter(pc.field("state").isin([state.value for state in PRESENT])).column("shard_id").to_pylist())


def _rows(accounts: Iterable[ShardAccount]) -> pa.Table:
    columns = [field for field in SCHEMA if field.name not in _OF_THE_RUN]
    schema = pa.schema(columns)
    left = map(_row, accounts)
    batches = iter(lambda: list(islice(left, BATCH)), [])
    return pa.Table.from_batches((pa.RecordBatch.from_pylist(some, schema=schema) for some in batches), schema=schema)


def _row(account: ShardAccount) -> dict[str, Any]:
    verdicts, reasons = ([count._asdict() for count in several] for several in (account.verdicts, account.reasons))
    return {**shard_row(account), "verdicts": verdicts, "reasons": reasons}


def _sorted(rows: pa.Table) -> pa.Table:
    return rows.take(pc.sort_indices(rows["uri"])) if rows.num_rows else rows


def _with(rows: pa.Table, **columns: Any) -> pa.Table:
    """``rows`` with these columns, each one value or all of them."""
    kept = {name: rows[name] for name in rows.schema.names}
    size = rows.num_rows
    made = {
        name: pa.repeat(one, size) if isinstance(one, str) else pa.nulls(size) if one is None else one
        for name, one in columns.items()
    }
    return pa.table(kept | made).select(SCHEMA.names).cast(SCHEMA)


def _states(rows: pa.Table, was: pq.ParquetFile) -> pa.Array:
    """What became of each shard of ``rows`` since the list ``was``."""
    there = was.read(columns=["uri", "state", *_VERSION], use_threads=False)
    there = there.filter(pc.is_in(there["state"], value_set=_PRESENT))
    old = there.take(pc.index_in(rows["uri"], value_set=there["uri"]))  # null where it was not there
    same = pc.and_(*(pc.equal(rows[name], old[name]) for name in _VERSION))
    return pc.fill_null(pc.if_else(same, State.KEPT.value, State.CHANGED.value), State.NEW.value)


def _lost(rows: pa.Table, was: pq.ParquetFile, run_id: str) -> Iterator[pa.Table]:
    """Rows of shards that ``was`` lists and ``rows`` does not: vanished; where it said so already, gone, and without slices."""
    for batch in was.iter_batches(use_threads=False):
        lost = pa.Table.from_batches([batch.filter(pc.invert(pc.is_in(batch["uri"], value_set=rows["uri"])))])
        there = pc.is_in(lost["state"], value_set=_PRESENT)
        gone = lost.filter(pc.invert(there))
        yield _with(lost.filter(there), run_id=run_id, state=State.VANISHED.value)
        none = pa.array([[]] * gone.num_rows, SCHEMA.field("slice_ids").type)
        yield _with(gone, run_id=run_id, state=State.GONE.value, slice_ids=none)


def _before(root: str, storage: Storage, key: str, run_id: str) -> str | None:
    """The newest run before ``run_id`` over the same inputs. One whose list is damaged is passed over; ``verify`` finds it."""
    for earlier in reversed([one for one in listed_runs(root, storage) if one < run_id]):
        try:
            listed = read_listed(root, earlier, storage)
        except ValueError:
            continue
        if listed is not None and listed.inputs == key:
            return earlier
    return None


def _change(rows: pa.Table, state: State) -> Change:
    of_it = rows.filter(pc.equal(rows["state"], state.value))
    return Change(
        shards=of_it.num_rows,
        images=pc.sum(of_it["seen"]).as_py() or 0,
        verdicts=tuple(VerdictCount(*values) for values in _summed(of_it["verdicts"])),
        rejects=tuple(RejectCount(*values) for values in _summed(of_it["reasons"])),
    )


def _summed(counts: pa.ChunkedArray) -> Iterator[tuple[Any, ...]]:
    """Lists of structs of words and a number of images, all lists together added up by their words, sorted."""
    names = [field.name for field in counts.type.value_type]
    flat = pc.list_flatten(counts)
    columns = pa.table({name: pc.struct_field(flat, name) for name in names})
    sums = columns.group_by(names[:-1]).aggregate([("images", "sum")])
    rows = zip(*(sums[name].to_pylist() for name in [*names[:-1], "images_sum"]), strict=True)
    return iter(sorted(rows, key=lambda row: tuple(word or "" for word in row[:-1])))
