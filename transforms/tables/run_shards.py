"""A run's list of its shards, by which it is known what an audit is now: written once, just before the run's manifest."""

from __future__ import annotations

import hashlib
import heapq
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice, pairwise
from operator import itemgetter
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from causalprint.schemas.accounts import RejectCount, ShardAccount, VerdictCount, WrittenFile, summed
from causalprint.schemas.config import AuditConfig, Storage
from causalprint.schemas.elements import digest
from causalprint.schemas.records import to_json
from causalprint.schemas.run_shards import PRESENT, SCHEMA, Listed, State
from causalprint.schemas.runs import Change, Changes, Run
from causalprint.schemas.urls import public
from causalprint.transforms.tables.close_accounts import shard_row
from causalprint.transforms.tables.committed import list_path
from causalprint.transforms.tables.moved import address_before
from causalprint.transforms.tables.output import get, put
from causalprint.transforms.tables.parquet_bytes import read_parquet
from causalprint.transforms.tables.run_lists import RunLists
from causalprint.transforms.tables.write_tables import ROW_GROUP, encode_parts

BATCH = 2048
"""Rows that are Python objects, and are sorted in memory, at a time: some 5 kB each. More are merged from parts on disk."""
STEP = 8
"""Rows of each part that are in memory while these are merged."""
_VERSION = ("generation", "seen")
"""Of a shard that is as it was, these are. More is seen where a broken connection cost a part before."""
_PRESENT = {state.value for state in PRESENT}
_GONE: dict[str, Any] = {"state": State.GONE.value, "slice_ids": []}
_URI = itemgetter("uri")
_ORDER = itemgetter("uri", "shard_id")
_Row = dict[str, Any]
"""A row of a list by column, while it is sorted and compared."""


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

    The bytes are a function of the run, of its accounts in whatever order, and of the lists of runs before. Where shards moved
    (``--same-as``), they are compared with what the newest runs over other inputs found at their old addresses, and these are
    gone.

    Args:
        accounts: of all shards of the run, each once. They are taken as they come; what is held of each is its part of the file.
        run: whose they are.
    """
    config = run.config
    key = inputs_of(run)
    lists = RunLists(config.output, config.storage, run.run_id)
    before = None if key is None else lists.newest(key)
    earlier = None if before is None else lists.data(before)
    elsewhere = _elsewhere(run, key, lists)
    with tempfile.TemporaryFile() as spill:
        now = _by_uri(_rows(accounts, run, elsewhere), spill)
        aways = [_rows_of(lists.data(one)) for one in sorted(elsewhere.runs)]
        joined = _joined(now, _rows_of(earlier), run, elsewhere)
        rows = heapq.merge(joined, *(_gone(away, run, elsewhere) for away in aways), key=_URI)
        found = {state: _Sum() for state in State}
        counted = (found[State(row["state"])].add(row) for row in rows)
        previous = before or max(elsewhere.runs, default=None)
        listed = Listed(run.run_id, key, previous, lists.with_run(run.run_id, key), len(lists.sizes))
        data = encode_parts(_tables(counted), SCHEMA, to_json(listed))
    put(config.output, list_path(run.run_id), data, config.storage, part="shards")  # run ids do not return
    file = WrittenFile(list_path(run.run_id), hashlib.sha256(data).hexdigest(), len(data))
    changes = {str(state): found[state].change for state in State if state != State.GONE}
    return Changes(previous=previous, file=file, **changes)


def found_shards(root: str, run_id: str, storage: Storage) -> list[str]:
    """The ids of the shards that a run found, as its list has them; none where there is no list."""
    data = get(root, list_path(run_id), storage)
    if data is None:
        return []
    rows = read_parquet(data, ["shard_id", "state"])
    return list(rows.filter(pc.field("state").isin([state.value for state in PRESENT])).column("shard_id").to_pylist())


@dataclass
class _Elsewhere:
    """What lies elsewhere now.

    Attributes:
        present: shards that the newest runs over other inputs found below the old prefixes, by URI, each with the last such run.
        moved: those of them that this run found at their new addresses.
    """

    present: dict[str, str]
    moved: set[str] = field(default_factory=set)

    @property
    def runs(self) -> set[str]:
        """Those that listed ``moved``."""
        return {self.present[uri] for uri in self.moved}


@dataclass
class _Sum:
    """Rows of one state added up."""

    shards: int = 0
    images: int = 0
    verdicts: Counter[VerdictCount] = field(default_factory=Counter)
    rejects: Counter[RejectCount] = field(default_factory=Counter)

    def add(self, row: _Row) -> _Row:
        """The row, once it is counted."""
        self.shards += 1
        self.images += row["seen"]
        for count in row["verdicts"]:
            self.verdicts[VerdictCount(**count | {"images": 0})] += count["images"]
        for count in row["reasons"]:
            self.rejects[RejectCount(**count | {"images": 0})] += count["images"]
        return row

    @property
    def change(self) -> Change:
        """As the manifest has it."""
        verdicts = summed(count._replace(images=images) for count, images in self.verdicts.items())
        rejects = summed(count._replace(images=images) for count, images in self.rejects.items())
        return Change(self.shards, self.images, verdicts, rejects)


def _rows(accounts: Iterable[ShardAccount], run: Run, elsewhere: _Elsewhere) -> Iterator[_Row]:
    """A row for each account; its state is what it is where no run before over the same inputs found the shard."""
    key = inputs_of(run)
    moves = run.config.same_as if isinstance(run.config, AuditConfig) else ()
    for account in accounts:
        verdicts, reasons = ([count._asdict() for count in several] for several in (account.verdicts, account.reasons))
        state = State.NEW if key else State.KEPT
        old = address_before(account.uri, moves)
        if old in elsewhere.present:
            elsewhere.moved.add(old)
            state = State.KEPT if account.moved == account.slices else State.CHANGED
        of_the_run = {"run_id": run.run_id, "inputs": key, "bundle": run.bundle_id, "state": state.value}
        kept = {"moved": account.moved, "footprint": account.footprint, "seal": account.seal}
        kept["pack"] = account.pack or None
        yield {**of_the_run, **shard_row(account), "verdicts": verdicts, "reasons": reasons, **kept}


def _by_uri(rows: Iterable[_Row], spill: IO[bytes]) -> Iterator[_Row]:
    """The rows in order. All are taken before the first is given; beyond so many, sorted parts of them wait on disk."""
    left = iter(rows)
    part = sorted(islice(left, BATCH), key=_ORDER)
    if len(part) < BATCH:
        return iter(part)
    ends = [0]
    with pa.ipc.new_file(spill, SCHEMA) as writer:
        while part:
            writer.write_table(pa.Table.from_pylist(part, SCHEMA), max_chunksize=STEP)
            ends.append(ends[-1] + -(-len(part) // STEP))
            part = sorted(islice(left, BATCH), key=_ORDER)
    written = pa.ipc.open_file(spill)

    def read(start: int, end: int) -> Iterator[_Row]:
        for number in range(start, end):
            yield from written.get_batch(number).to_pylist()

    return heapq.merge(*(read(*span) for span in pairwise(ends)), key=_ORDER)


def _tables(rows: Iterator[_Row]) -> Iterator[pa.Table]:
    """The rows in tables of :data:`ROW_GROUP`."""
    parts = range(ROW_GROUP // BATCH)
    while several := [pa.Table.from_pylist(part, SCHEMA) for _ in parts if (part := [*islice(rows, BATCH)])]:
        yield pa.concat_tables(several).combine_chunks()


def _rows_of(data: bytes | None) -> Iterator[_Row]:
    """Those of a list, in its order."""
    if data is not None:
        for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches(STEP, use_threads=False):
            yield from batch.to_pylist()


def _joined(now: Iterator[_Row], was: Iterator[_Row], run: Run, elsewhere: _Elsewhere) -> Iterator[_Row]:
    """Rows of this run with what became of each since the list ``was``, and of that list those of shards that are lost.

    These are vanished; where the list said so already, gone, and without slices.
    """
    for _uri, group in groupby(heapq.merge(was, now, key=_URI), key=_URI):
        old = None
        for row in group:
            if row["run_id"] != run.run_id:
                old = row
                continue
            if old is not None and old["state"] in _PRESENT:
                row["state"] = (State.KEPT if all(row[name] == old[name] for name in _VERSION) else State.CHANGED).value
            old = None
            yield row
        if old is not None and old["uri"] not in elsewhere.moved:
            yield old | {"run_id": run.run_id} | ({"state": State.VANISHED.value} if old["state"] in _PRESENT else _GONE)


def _gone(listed: Iterator[_Row], run: Run, elsewhere: _Elsewhere) -> Iterator[_Row]:
    """Rows of a run over other inputs that tell of shards which lie elsewhere now."""
    for row in listed:
        if row["uri"] in elsewhere.moved and elsewhere.present[row["uri"]] == row["run_id"]:
            yield row | _GONE | {"run_id": run.run_id, "inputs": inputs_of(run)}


def _elsewhere(run: Run, key: str | None, lists: RunLists) -> _Elsewhere:
    """What runs over other inputs than ``key`` found below the old prefixes; nothing where no shard moved."""
    moves = run.config.same_as if isinstance(run.config, AuditConfig) else ()
    found: dict[str, str] = {}
    others = {*lists.telling.values()} - {None, key} if moves else set[str]()
    for earlier in sorted(filter(None, map(lists.newest, others)), reverse=True):
        rows = read_parquet(lists.data(earlier) or b"", ["uri", "state"])
        for uri, state in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            if state in _PRESENT and any(uri.startswith(move.old) for move in moves):
                found.setdefault(uri, earlier)
    return _Elsewhere(found)
