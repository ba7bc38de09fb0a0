"""Shares of a dataset that are generated, corrected for the bundle's errors; they are estimated where nobody did."""

from __future__ import annotations

from causalprint.models.bundles.held_out import read_held_out
from causalprint.pipelines.prevalence import PrevalenceError, prevalence_of, write_prevalence
from causalprint.pipelines.told import Told
from causalprint.schemas.config import Storage
from causalprint.schemas.prevalence import ALL, FOLDER, Method, PrevalenceRow, What
from causalprint.transforms.tables.output import get, listed
from causalprint.transforms.tables.parquet_bytes import read_parquet

GENERATED = What.GENERATED.value
GROUPS = (ALL, "shard", "domain")


def estimate_shares(output: str, told: Told, judged: int, storage: Storage) -> None:
    """Writes table ``prevalence`` for :data:`GROUPS`, where it is not there, or of other images; labels that people gave stay.

    Nothing where the bundle cannot tell its errors.

    Args:
        output: root of the audit.
        told: whose verdicts.
        judged: images that have a score by it now.
        storage: fsspec options.
    """
    if told.run is None or told.bundle is None or read_held_out(told.bundle) is None:
        return
    for by in GROUPS:
        data = get(output, f"{FOLDER}/bundle={told.bundle_id}/{by}.parquet", storage)
        rows = read_parquet(data).to_pylist() if data else []
        if any(row["labelled"] or (row["group_by"], row["images"]) == (ALL, judged) for row in rows):
            continue
        try:
            found = prevalence_of(output, storage, by=by, bundle=str(told.bundle.directory))
        except PrevalenceError:
            return
        if found.bundle == told.bundle_id:
            write_prevalence(found, output, storage)


def estimated_shares(output: str, bundle_id: str, storage: Storage) -> tuple[PrevalenceRow, ...]:
    """The shares that lie beside an audit's tables, all images first; none where nobody estimated any.

    Shares that are mere counts of verdicts are left out: their interval knows nothing of the bundle's errors.
    """
    folder = f"{FOLDER}/bundle={bundle_id}"
    files = sorted(listed(output, folder, storage), key=lambda name: (name != f"{ALL}.parquet", name))
    shares: dict[tuple[str, ...], PrevalenceRow] = {}
    for name in files:
        data = get(output, f"{folder}/{name}", storage) if name.endswith(".parquet") else None
        for row in read_parquet(data).to_pylist() if data else ():
            if row["method"] != Method.COUNTED and row["images"]:
                share = PrevalenceRow(**row)
                shares.setdefault(share[:4], share)
    return tuple(shares.values())
