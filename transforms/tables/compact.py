"""Committed slices and closed accounts of one partition rewritten into packs: few large files in place of many small ones.

A pack counts from the moment at which its index is put; until then it is nothing, and afterwards the files that it replaces are
nothing. So whatever a process that was killed leaves, every row counts once, and the same command goes on from there.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, TypeVar

from causalprint.schemas.accounts import ShardAccount, SliceReceipt
from causalprint.schemas.records import from_json
from causalprint.transforms.tables.committed import record_in
from causalprint.transforms.tables.output import EMPTY, Output, listed
from causalprint.transforms.tables.pack_rows import PACK_BYTES, PACK_NAMES, Item, account_item, items_of, slice_item, write_packs
from causalprint.transforms.tables.packs import SUFFIX, THREADS, Index, Packs, index_path, is_pack, read_packs
from causalprint.transforms.tables.parquet_bytes import read_parquet, without_record
from causalprint.transforms.tables.stored import Stored
from causalprint.transforms.tables.write_tables import write_empty

AHEAD = 32
"""Slices whose files are fetched while earlier ones are written: on an object store most of the time is waiting."""
_MARKS_FIRST = ("attributions", "shards", "embeddings", "rejects", "images")

Given = TypeVar("Given")
Got = TypeVar("Got")


class CompactError(ValueError):
    """Files that cannot be rewritten as they are; the message says which, and what to do."""


class Fetched(NamedTuple):
    """An account or a slice, and the bytes of its files by table."""

    name: str
    files: dict[str, bytes]


def compact_partition(output: Output, pool: Executor, size: int = PACK_BYTES) -> list[str]:
    """Writes packs of all slices that have files of their own, and whose shards are closed for good; returns their places.

    Packs that are less than half full are written anew with them, and where there are several, by themselves. What is replaced
    stays: see :func:`tidy`.

    Args:
        output: the partition, :attr:`~causalprint.transforms.tables.output.Output.scored` where it is one of other verdicts.
        pool: reads files.
        size: bytes of a pack.

    Raises:
        CompactError: a file is not as its receipt says.
        ValueError: a mark, an account or an index is damaged.
    """
    written: list[str] = []
    while places := _compacted(output, pool, size):
        written += places
    return written


def _compacted(output: Output, pool: Executor, size: int) -> list[str]:
    """What one look at the partition leads to: of packs that are not full, one is made."""
    stored = Stored(output)
    packs = stored.packs
    accounts = sorted(_closed(output, stored, pool), key=lambda account: (account.uri, account.shard_id))
    begun = {pack_id: packs.indexes[pack_id] for pack_id in packs.outlived if any(packs.live(pack_id))}
    open_packs = begun | {index.pack_id: index for index in _open(packs, size)}
    if not accounts and not begun and len(open_packs) < 2:
        return []
    write_empty(output, (table for table in own_tables(output) if not stored.has(table, EMPTY)))
    sources = [items_of(index, [row for row, _ in packs.live(index.pack_id)], output) for index in open_packs.values()]
    merged = heapq.merge(_items(output, accounts, stored, pool), *sources, key=lambda item: item.order)
    number = 1 + max((index.pack.number for index in packs.indexes.values()), default=0)
    return list(write_packs(merged, output, number, size))


def tidy(output: Output) -> list[str]:
    """Removes files that count no more: of packs that newer ones replace, of no pack, and of slices that are in one.

    It returns their paths.

    Raises:
        CompactError: a pack has not all of its files, so that others may be needed.
    """
    folders = {table: f"{table}/bundle={output.bundle_id}" for table in own_tables(output)}
    sizes = {table: listed(output.root, folder, output.storage) for table, folder in folders.items()}
    by_name = {
        table: {name.removesuffix(SUFFIX): size for name, size in found.items() if name.endswith(SUFFIX) and size is not None}
        for table, found in sizes.items()
    }
    packs = read_packs(output)
    check_whole(output, packs, lambda table: by_name.get(table, {}))
    gone = [pack_id for pack_id in packs.outlived if not any(packs.live(pack_id))]
    removed = [index_path(output, pack_id) for pack_id in gone]
    kept = packs.indexes.keys() - {*gone}
    for table in (table for table in _MARKS_FIRST if table in folders):
        names = (name for name in sorted(by_name[table]) if name in packs.places or (is_pack(name) and name not in kept))
        removed += (f"{folders[table]}/{name}{SUFFIX}" for name in names)
    for path in removed[: len(gone)]:
        output.remove(path)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(output.remove, removed[len(gone) :]))
    return removed


def check_whole(output: Output, packs: Packs, sizes: Callable[[str], Mapping[str, int]]) -> None:
    """Makes sure that packs have all of their files.

    Raises:
        CompactError: one has not.
    """
    for index in packs.indexes.values():
        if not index.is_whole(sizes):
            raise CompactError(
                f"files of {index_path(output, index.pack_id)} are missing in {output.root}, or of another size: run causalprint "
                f"verify {output.root} --repair and the audit first"
            )


def own_tables(output: Output) -> tuple[str, ...]:
    """The tables of which files lie in the partition of ``output`` itself."""
    return (*(() if output.scored else output.tables[:-1]), output.mark, "shards")


def ahead(pool: Executor, work: Callable[[Given], Got], given: Iterable[Given], most: int = AHEAD) -> Iterator[Got]:
    """What ``work`` gives for each, in order, begun for so many at most before they are asked for."""
    left = iter(given)
    pending = deque(pool.submit(work, one) for one in islice(left, most))
    while pending:
        yield pending.popleft().result()
        pending.extend(pool.submit(work, one) for one in islice(left, 1))


def _closed(output: Output, stored: Stored, pool: Executor) -> Iterator[ShardAccount]:
    """Accounts with files of their own, of shards of which nothing more can be read, and all of whose slices are there."""

    def read(shard_id: str) -> ShardAccount | None:
        path = output.path("shards", shard_id)
        data = output.get(path)
        return None if data is None else from_json(ShardAccount, record_in(data, f"{output.root}/{path}").text, path)

    for account in ahead(pool, read, stored.own_accounts()):
        if account is not None and not account.retryable and stored.holds_all(account):
            yield account


def _open(packs: Packs, size: int) -> Iterator[Index]:
    """Packs less than half full, by bytes of ``size`` or by names, the emptiest first, as far as they make one together."""
    held = 0.0
    full = {
        pack_id: max(sum(file.size for file in index.pack.files) / size, len(index.names) / PACK_NAMES)
        for pack_id, index in packs.indexes.items()
        if any(packs.live(pack_id))
    }
    for pack_id in sorted(full, key=lambda pack_id: full[pack_id]):
        held += full[pack_id]
        if 2 * full[pack_id] >= 1 or held > 1:
            return
        yield packs.indexes[pack_id]


def _items(output: Output, accounts: Iterable[ShardAccount], stored: Stored, pool: Executor) -> Iterator[Item]:
    """The slices of each account that have files of their own, then the account."""

    def asked() -> Iterator[tuple[ShardAccount | None, str]]:
        for account in accounts:
            for slice_id in account.slice_ids:
                if slice_id not in stored.packs.places:
                    yield None, slice_id
            yield account, account.shard_id

    def fetch(one: tuple[ShardAccount | None, str]) -> tuple[ShardAccount | None, Fetched]:
        account, name = one
        tables = ("shards",) if account else (table for table in own_tables(output) if table != "shards")
        found = {table: output.get(output.path(table, name)) for table in tables if stored.has(table, name)}
        return account, Fetched(name, {table: data for table, data in found.items() if data is not None})

    for account, fetched in ahead(pool, fetch, asked()):
        if account is None:
            yield _slice(output, fetched)
        else:
            yield account_item(account, without_record(read_parquet(fetched.files["shards"])))


def _slice(output: Output, fetched: Fetched) -> Item:
    path = output.path(output.mark, fetched.name)
    mark = fetched.files[output.mark]
    record = record_in(mark, f"{output.root}/{path}", len(mark))
    receipt = from_json(SliceReceipt, record.text, path)
    receipt = replace(receipt, computed=False).stored(len(mark), record.seal.digest if record.seal else "")
    for file in () if receipt.scored else receipt.files:
        if hashlib.sha256(fetched.files.get(file.table, b"")).hexdigest() != file.sha256:
            raise CompactError(
                f"{output.root}/{file.path} is not the file that its receipt names: causalprint verify {output.root} --deep says "
                "what is wrong, and if another causalprint forget was stopped, run that again first"
            )
    tables = {table: without_record(read_parquet(data)) for table, data in fetched.files.items()}
    return slice_item(receipt, {table: rows for table, rows in tables.items() if rows.num_rows}, output)
