"""``OUT/packs/bundle=<id>/<pack>.parquet``: of which slices and shards a pack holds the rows, and what was said of each."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from causalprint.schemas.accounts import WrittenFile
from causalprint.schemas.tables import column

PACKS = "packs"
"""The name of the view of all these files, and of their folder below the output."""


class Pack(NamedTuple):
    """What the file says of the pack, kept in its footer.

    Attributes:
        number: of two packs that hold the same slice, the one of the higher number counts.
        files: that hold its rows: one in each table in which it has any.
    """

    number: int
    files: tuple[WrittenFile, ...]


SCHEMA = pa.schema(
    [
        column("name", pa.string(), "the slice (`slice_id`) or the shard (`shard_id`) whose rows are in the pack"),
        column("shard_id", pa.string(), "the shard of the slice; of a shard itself"),
        column("number", pa.int64(), "of the pack: where several packs have a name, the one of the highest number counts"),
        column("record", pa.string(), "receipt of the slice, or account of the shard, as JSON text"),
    ],
    metadata={
        "description": "`OUT/packs/bundle=<bundle_id>/<pack>.parquet`, written by an audit of small shards and by "
        "`causalprint compact`: a row for every slice and every shard whose rows are in the files of that name in the other "
        "tables, `OUT/<table>/bundle=<bundle_id>/<pack>.parquet`, and not in a file of their own. A pack counts once this file "
        "is there."
    },
)
"""Its columns."""
