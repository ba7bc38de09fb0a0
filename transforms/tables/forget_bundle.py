"""All that one bundle wrote into an output, removed: its runs, accounts and marks before what these name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from causalprint.schemas.packs import PACKS
from causalprint.schemas.run_shards import PRESENT
from causalprint.schemas.tables import TABLES
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.committed import bundle_ids, list_path, listed_runs, run_ids, scored_by
from causalprint.transforms.tables.forget import ForgetError
from causalprint.transforms.tables.manifests import manifest_path, read_manifest
from causalprint.transforms.tables.output import Output, listed
from causalprint.transforms.tables.parquet_bytes import read_parquet
from causalprint.transforms.tables.signatures import is_signature

_IN_ORDER = (PACKS, "shards", "attributions", "embeddings", "rejects", "images")


def files_of(output: Output) -> Iterator[str]:
    """Every file of the bundle, in the order in which they may go: whatever is left, ``verify`` explains.

    Raises:
        ForgetError: other verdicts on its fingerprints would be left without these, or it wrote nothing.
        ValueError: a manifest is damaged.
    """
    root, storage, bundle_id = output.root, output.storage, output.bundle_id
    for other in bundle_ids(root, storage):
        if other != bundle_id and scored_by(Output(root, other, "", storage)) == bundle_id:
            raise ForgetError(
                f"{other} are verdicts on fingerprints of {bundle_id}, of which nothing would tell any more: "
                f"causalprint forget {root} --bundle {other} first"
            )
    found = [*_runs(output), *_tables(output)]
    known = bundle_ids(root, storage)
    if not found and bundle_id not in known:
        raise ForgetError(f"{root} holds nothing by a bundle {bundle_id!r}, but by {', '.join(known) or 'none'}")
    yield from found


def remove_folders(output: Output) -> None:
    """Removes the empty folders of a bundle's partitions, where the store has folders."""
    fs, base = filesystem(output.root, output.storage)
    for table in (*TABLES, PACKS):
        with suppress(OSError, NotImplementedError):
            fs.rmdir(f"{base}/{table}/bundle={output.bundle_id}")


def _runs(output: Output) -> Iterator[str]:
    """Of each of its runs the list, signatures, and last the manifest, which tells whose they are."""
    root, storage = output.root, output.storage
    names = sorted(listed(root, "runs", storage))
    finished = run_ids(root, storage)
    for run_id in finished:
        manifest = read_manifest(root, run_id, storage)
        if manifest is None or manifest.run.bundle_id != output.bundle_id:
            continue
        if list_path(run_id).rpartition("/")[2] in names:
            yield list_path(run_id)
        yield from (f"runs/{name}" for name in names if is_signature(name) and name.startswith(f"{run_id}."))
        yield manifest_path(run_id)
    for run_id in {*listed_runs(root, storage)} - {*finished}:
        if _lists(output, run_id):
            yield list_path(run_id)


def _lists(output: Output, run_id: str) -> bool:
    """Whether a run that was stopped before its manifest lists shards of the bundle as there."""
    data = output.get(list_path(run_id))
    rows = read_parquet(data, ["bundle", "state"]).to_pylist() if data else []
    return any(row["bundle"] == output.bundle_id and row["state"] in {*PRESENT} for row in rows)


def _tables(output: Output) -> Iterator[str]:
    for table in (*_IN_ORDER, "prevalence"):
        folder = f"{table}/bundle={output.bundle_id}"
        files = sorted(listed(output.root, folder, output.storage).items())
        yield from (f"{folder}/{name}" for name, size in files if size is not None)
