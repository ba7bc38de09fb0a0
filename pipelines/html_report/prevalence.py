"""The share of a dataset that is generated, corrected for the bundle's errors, where this version can estimate it."""

from __future__ import annotations

from typing import NamedTuple

from causalprint.schemas.config import Storage


class Share(NamedTuple):
    """An estimated share of all images that were judged.

    Attributes:
        of: what it is the share of: ``generated``, a source, a shard.
        value, low, high: the estimate and its 95 % interval, 0 to 1.
        note: what whoever reads it must know; empty where nothing.
    """

    of: str
    value: float
    low: float
    high: float
    note: str = ""


def estimated_share(output: str, bundle_id: str, storage: Storage) -> Share | None:
    """The share that is generated; ``None`` where nothing estimates it."""
    del output, bundle_id, storage
    return None
