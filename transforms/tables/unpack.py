"""Slices that are to be changed get files of their own again, and their pack is written anew without them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import reduce

from causalprint.schemas.accounts import ShardAccount, SliceReceipt
from causalprint.schemas.records import from_json, to_json
from causalprint.transforms.tables.committed import own_receipt
from causalprint.transforms.tables.compact import own_tables, tidy
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import EMPTY, Output
from causalprint.transforms.tables.pack_rows import Item, items_of, table_path, without_rows, write_packs
from causalprint.transforms.tables.packs import Index, Packs, index_path, read_packs
from causalprint.transforms.tables.stored import Stored
from causalprint.transforms.tables.write_tables import commit, encode, write_empty


def begin(output: Output, stored: Stored) -> None:
    """What an audit does first that has something to compute: every table gets a file, and packs that are not whole go."""
    write_empty(output, (table for table in output.tables[:-1] if not stored.has(table, EMPTY)))
    free(output, stored)


def free(output: Output, stored: Stored) -> None:
    """Removes packs that lack a file, or whose index is damaged; what files of their own their slices have counts.

    Args:
        output: where an audit is going to write.
        stored: what is there.
    """
    for pack_id in sorted(stored.pack_ids.keys() - stored.packs.indexes.keys()):
        output.remove(index_path(output, pack_id))
        for table in (table for table in own_tables(output) if stored.has(table, pack_id)):
            output.remove(table_path(output, table, pack_id))


def free_to_retry(output: Output, retry: str) -> None:
    """Has no pack hold slices of which images were rejected at stage ``retry``, so that each is committed in one place."""
    stored = Stored(output, retry)
    free(output, stored)
    if stored.pack_ids:
        unpack(output, [receipt.slice_id for receipt in _receipts(stored.packs) if stored.is_to_retry(receipt)])


def _receipts(packs: Packs) -> Iterator[SliceReceipt]:
    for name in packs.places:
        if packs.shard_id(name) != name:
            yield from_json(SliceReceipt, packs.record(name) or "")


def unpack(output: Output, slice_ids: Collection[str]) -> None:
    """Takes slices out of their packs, with all others of their shards and with the accounts.

    Their own files come first, of the same bytes as before where the same versions write them; else their receipts and accounts
    say what the files are now. Then the packs come without them, and last the old packs go, with which the files begin to count.
    Whatever a process that was killed leaves counts as it did, and the same call goes on from there.

    Args:
        output: the partition; :attr:`~causalprint.transforms.tables.output.Output.scored` where it is one of other verdicts.
        slice_ids: those that are in no pack are left as they are.

    Raises:
        PackError: a pack is damaged.
        CompactError: a pack has not all of its files.
    """
    tidy(output)
    packs = read_packs(output)
    shards = {packs.shard_id(name) for name in slice_ids if name in packs.places}
    wanted = {name for name in packs.places if packs.shard_id(name) in shards} if shards else set()
    if not wanted:
        return
    number = 1 + max(index.pack.number for index in packs.indexes.values())
    changed: dict[str, SliceReceipt] = {}
    accounts: list[Item] = []
    old = [packs.indexes[pack_id] for pack_id in {packs.places[name].pack_id: None for name in wanted}]
    for index in old:
        for _ in write_packs(_kept(index, packs, wanted, output, changed, accounts), output, number):
            pass
    for item in accounts:
        output.put(output.path("shards", item.name), encode(item.tables["shards"], _record(item, output, packs, changed)))
    for index in old:
        output.remove(index_path(output, index.pack_id))
    tidy(output)


def _kept(
    index: Index, packs: Packs, wanted: Collection[str], output: Output, changed: dict[str, SliceReceipt], accounts: list[Item]
) -> Iterator[Item]:
    """What stays in the pack; slices that do not are written, and accounts that do not are put aside."""
    for item in items_of(index, (row for row, _ in packs.live(index.pack_id)), output):
        if item.name not in wanted:
            yield item
        elif item.name == item.shard_id:
            accounts.append(item)
        else:
            changed[item.name] = _written(item, output)


def _written(item: Item, output: Output) -> SliceReceipt:
    """The receipt of a slice, once it has files of its own."""
    receipt = from_json(SliceReceipt, item.record)
    told = next((rows.schema.metadata for rows in item.tables.values()), None)
    tables = {
        table: item.tables[table] if table in item.tables else without_rows(table, told)
        for table in ((output.mark,) if output.scored else output.tables)
    }
    files = receipt.files if output.scored else ()
    written = commit(replace(receipt, files=files, seal="", footprint="", computed=True), tables, output)
    return replace(written, computed=False)


def _record(item: Item, output: Output, packs: Packs, changed: Mapping[str, SliceReceipt]) -> str:
    """The account of a shard; with other digests where its slices have other files than before."""
    account = from_json(ShardAccount, item.record)
    if all(slice_id in changed and to_json(changed[slice_id]) == packs.record(slice_id) for slice_id in account.slice_ids):
        return item.record
    receipts = [changed.get(slice_id) or own_receipt(output, slice_id) for slice_id in account.slice_ids]
    ledger = reduce(Ledger.add, receipts, Ledger(receipts[0].shard))
    return to_json(replace(account, footprint=ledger.footprint, seal=ledger.seal))
