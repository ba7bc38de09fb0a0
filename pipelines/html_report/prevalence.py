"""Shares of a dataset that are generated, corrected for the bundle's errors, where this version can estimate them."""

from __future__ import annotations

from typing import NamedTuple

from causalprint.pipelines.html_report.bundle import Told
from causalprint.schemas.config import Storage

GENERATED = "generated"
ALL = "all"


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


def estimated_shares(output: str, told: Told, storage: Storage, by: str = ALL) -> tuple[Share, ...]:
    """Shares of all images and of each group of ``by``; none where nothing estimates them."""
    del output, told, storage, by
    return ()
