"""Shares of a dataset that are generated, corrected for the bundle's errors; they are estimated where nobody did."""

from __future__ import annotations

from typing import NamedTuple

from causalprint.models.bundles.held_out import read_held_out
from causalprint.pipelines.prevalence import PrevalenceError, prevalence_of, write_prevalence
from causalprint.pipelines.told import Told
from causalprint.schemas.config import Storage
from causalprint.schemas.prevalence import ALL, FOLDER, Method, What
from causalprint.transforms.tables.output import get, listed
from causalprint.transforms.tables.parquet_bytes import read_parquet

GENERATED = What.GENERATED.value
GROUPS = (ALL, "shard", "domain")


class Share(NamedTuple):
    """An estimated share of the images of a group that were judged.

    Attributes:
        group_by: what the images are grouped by: all, shard, domain.
        group: the group.
        what: generated, source or family.
        name: of the source or family.
        images: the base of the share.
        share, low, high: the estimate and its 95 % interval, 0 to 1.
        useless: whether the interval says too little to be relied on.
        why: why it does.
    """

    group_by: str
    group: str
    what: str
    name: str
    images: int
    share: float
    low: float
    high: float
    useless: bool
    why: str | None


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


def estimated_shares(output: str, bundle_id: str, storage: Storage) -> tuple[Share, ...]:
    """The shares that lie beside an audit's tables, all images first; none where nobody estimated any.

    Shares that are mere counts of verdicts are left out: their interval knows nothing of the bundle's errors.
    """
    folder = f"{FOLDER}/bundle={bundle_id}"
    files = sorted(listed(output, folder, storage), key=lambda name: (name != f"{ALL}.parquet", name))
    shares: dict[tuple[str, ...], Share] = {}
    for name in files:
        data = get(output, f"{folder}/{name}", storage) if name.endswith(".parquet") else None
        for row in read_parquet(data).to_pylist() if data else ():
            if row["method"] != Method.COUNTED and row["images"]:
                share = Share(*(row[column] for column in Share._fields))
                shares.setdefault(share[:4], share)
    return tuple(shares.values())
