"""``OUT/runs/<run_id>.shards.parquet``, the list of a run's shards: by these it is known what an audit is now."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import pyarrow as pa

from causalprint.schemas.tables import SHARDS, column, list_of

RUN_SHARDS = "run_shards"
"""The name of the view of all these files."""


class State(StrEnum):
    """What became of a shard since the run before over the same inputs."""

    NEW = "new"
    KEPT = "kept"
    CHANGED = "changed"
    VANISHED = "vanished"
    GONE = "gone"


PRESENT = (State.NEW, State.KEPT, State.CHANGED)
"""Of shards that the run found."""


class Telling(NamedTuple):
    """A run whose list tells what an audit is, and what it was asked to read; ``None``: it read no shard."""

    run_id: str
    inputs: str | None


class Listed(NamedTuple):
    """What the file says of itself, kept in its footer.

    Attributes:
        run_id: whose it is.
        inputs: digest of what the run was asked to read: runs that agree in it are compared. ``None``: it read no shard.
        previous: the run that it was compared with; ``None``: there was none.
        telling: the lists that told what the audit was when this one was written, itself included; none of earlier versions.
        before: how many lists of earlier runs there were.
    """

    run_id: str
    inputs: str | None
    previous: str | None
    telling: tuple[Telling, ...] = ()
    before: int = 0


def _counts(name: str, meaning: str, *keys: tuple[str, bool]) -> pa.Field:
    parts = [pa.field(key, pa.string(), nullable=nullable) for key, nullable in keys]
    return column(name, list_of(pa.struct([*parts, pa.field("images", pa.int64(), nullable=False)])), meaning)


VERDICTS = _counts("verdicts", "how the attributed images divide", ("verdict", False), ("source", True), ("reason", True))
REASONS = _counts("reasons", "how the rejected images divide", ("stage", False), ("reason", False))

SCHEMA = pa.schema(
    [
        column("run_id", pa.string(), "the run; sorts by time"),
        column(
            "inputs",
            pa.string(),
            "digest of what the run was asked to read: of runs that agree in it, the newest counts; null of a run that scored "
            "stored fingerprints, or erased rows, and does not say which shards there are",
            nullable=True,
        ),
        column("bundle", pa.string(), "by which its verdicts are: partition of attributions and of shards"),
        column(
            "state",
            pa.string(),
            "since the run before over the same inputs: new, kept, changed (another version, or another number of images), "
            "vanished (not found any more) or gone (vanished earlier, or found elsewhere now: `--same-as`)",
        ),
        *SHARDS,
        VERDICTS,
        REASONS,
        column("moved", pa.int64(), "slices whose rows are those of the same bytes at another address", "slice"),
        column(
            "footprint",
            pa.string(),
            "digest of the sizes of its slices' files, by which they are found to be there",
            nullable=True,
        ),
        column("seal", pa.string(), "digest of what these files hold", nullable=True),
        column(
            "pack",
            pa.string(),
            "where its account was in a pack when the run ended: the pack's name, and a digest of the sizes of its files",
            nullable=True,
        ),
    ],
    metadata={
        "description": "`OUT/runs/<run_id>.shards.parquet`, a file a run: every shard of it, and those that are not found any "
        "more. What the audit is now is, for every `uri`, the row of the newest run, unless that is vanished or gone; and of its "
        "slices the verdicts by whoever scored them last: view `current_shards`."
    },
)
"""Its columns: those of table ``shards``, with the run's, and the rest of the account."""
