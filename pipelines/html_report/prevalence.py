"""Shares of a dataset that are generated, corrected for the bundle's errors, where they were estimated."""

from __future__ import annotations

import io
from typing import NamedTuple

import pyarrow.parquet as pq

from causalprint.schemas.config import Storage
from causalprint.transforms.tables.output import get, listed

FOLDER = "prevalence"
"""Below an audit's output: where estimated shares lie, a file for each way to group images."""
GENERATED = "generated"
ALL = "all"
COUNTED = "counted"
"""The method of a share that is no estimate."""


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


def estimated_shares(output: str, bundle_id: str, storage: Storage) -> tuple[Share, ...]:
    """The shares that lie beside an audit's tables, all images first; none where nobody estimated any.

    Shares that are mere counts of verdicts are left out: their interval knows nothing of the bundle's errors.
    """
    folder = f"{FOLDER}/bundle={bundle_id}"
    files = sorted(listed(output, folder, storage), key=lambda name: (name != f"{ALL}.parquet", name))
    shares: dict[tuple[str, ...], Share] = {}
    for name in files:
        data = get(output, f"{folder}/{name}", storage) if name.endswith(".parquet") else None
        for row in pq.read_table(io.BytesIO(data)).to_pylist() if data else ():
            if row["method"] != COUNTED and row["images"]:
                share = Share(*(row[column] for column in Share._fields))
                shares.setdefault(share[:4], share)
    return tuple(shares.values())
