"""What ``forget`` writes down of itself: for each bundle a run, like its last one, with the accounts as they are now."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace

import pyarrow as pa

from causalprint.pipelines.describe import describe
from causalprint.pipelines.open_audit import open_audit
from causalprint.schemas.accounts import ShardAccount
from causalprint.schemas.config import Storage
from causalprint.schemas.records import from_json
from causalprint.schemas.runs import RunManifest, new_run
from causalprint.transforms.tables.committed import listed_runs, read_sealed, run_ids
from causalprint.transforms.tables.output import EMPTY, Output
from causalprint.transforms.tables.packs import SUFFIX, is_pack, read_packs
from causalprint.transforms.tables.partition import counted_files


def write_runs(root: str, storage: Storage, changed: Sequence[tuple[Output, ShardAccount]], pool: Executor) -> Iterator[str]:
    """Writes a list and a manifest for each bundle of which accounts were changed; gives the runs' ids.

    The list has those shards of which the bundle's verdicts are the audit's now, so that ``current_shards`` counts what is left.
    The manifest names all accounts of the bundle, so that a signature of it vouches for them. Where no run by the bundle has
    finished, its next one writes both.

    Args:
        root: of the output.
        storage: fsspec options.
        changed: the accounts as they are written, each with its partition.
        pool: reads the others.
    """
    from causalprint.transforms.tables.run_shards import write_list
    from causalprint.transforms.tables.write_manifest import add_up, totals_of, write_manifest

    outputs = list(dict.fromkeys(output for output, _account in changed))
    newest = _newest(root, storage, {output.bundle_id for output in outputs})
    current = _current(root, storage, {account.uri for _output, account in changed}) if newest else set()
    last_listed = max(listed_runs(root, storage), default="")  # of these runs none lists a shard that another one does
    for output in outputs:
        last = newest.get(output.bundle_id)
        if last is None:
            continue
        shown = [
            account
            for partition, account in changed
            if partition == output and (output.bundle_id, account.uri, account.slice_ids) in current
        ]
        run_id, started = _run_after(last_listed)
        config = replace(last.run.config, output=root, storage=storage)
        run = replace(last.run, run_id=run_id, started=started, config=config, forgets=True)
        every = [totals_of(account) for account in _accounts(output, pool)]
        closed = tuple(sorted(shard for one in every for shard in one.closed))  # the list has not all of them to tell
        totals = replace(add_up(every), closed=closed)
        describe(root, write_manifest(totals, run, write_list(shown, run)), storage)
        yield run_id


def _newest(root: str, storage: Storage, bundle_ids: Collection[str]) -> dict[str, RunManifest]:
    """The manifest of the newest finished run by each bundle."""
    from causalprint.transforms.tables.manifests import read_manifest

    found: dict[str, RunManifest] = {}
    for run_id in reversed(run_ids(root, storage)):
        if len(found) == len(bundle_ids):
            break
        manifest = read_manifest(root, run_id, storage)
        if manifest is not None and manifest.run.bundle_id in bundle_ids:
            found.setdefault(manifest.run.bundle_id, manifest)
    return found


def _current(root: str, storage: Storage, uris: Collection[str]) -> set[tuple[str, str, tuple[str, ...]]]:
    """By whom the verdicts on these shards are now: the bundle, the shard, and which of its slices."""
    if not listed_runs(root, storage):
        return set()
    with open_audit(root, storage_options=storage.options) as tables:
        tables.add("touched", pa.table({"uri": pa.array(sorted(uris), pa.string())}))
        rows = tables.sql("SELECT bundle, uri, slice_ids FROM current_shards SEMI JOIN touched USING (uri)").rows()
    return {(row["bundle"], row["uri"], tuple(row["slice_ids"])) for row in rows}


def _accounts(output: Output, pool: Executor) -> Iterator[ShardAccount]:
    """All accounts of a partition."""
    packs = read_packs(output)
    names = [name.removesuffix(SUFFIX) for name in counted_files(output, "shards", packs)]
    paths = [output.path("shards", name) for name in names if name != EMPTY and not is_pack(name)]
    for path, record in zip(paths, pool.map(lambda path: read_sealed(output, path), paths), strict=True):
        if record is not None:
            yield from_json(ShardAccount, record.text, path)
    yield from (from_json(ShardAccount, packs.record(name) or "") for name in packs.places if packs.shard_id(name) == name)


def _run_after(last: str) -> tuple[str, str]:
    """A run that sorts behind another: ids of one second sort by chance, so it waits for the next."""
    while (run := new_run())[0].partition("-")[0] == last.partition("-")[0]:
        time.sleep(0.05)
    return run
