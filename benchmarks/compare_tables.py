"""Whether two audits wrote the same rows: every table of both outputs, file by file, less what tells the code's version.

    python benchmarks/compare_tables.py OUT OTHER

Slices are named by their shard's URI and version, so both must be audits of the same files at the same place by the same bundle.
Exits with 1 and the first difference of each table.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq

TABLES = ("images", "embeddings", "attributions", "rejects", "shards")
VERSIONED = (b"code_version",)


def read(file: Path) -> tuple[object, dict[bytes, bytes]]:
    """The columns and rows of a file, and its metadata but for the code's version."""
    table = pq.read_table(file, partitioning=None)
    about = {key: value for key, value in (table.schema.metadata or {}).items() if key not in VERSIONED}
    return table.replace_schema_metadata(None), about


def main(one: Path, other: Path) -> int:
    """Compares; returns the exit code."""
    differences = 0
    for table in TABLES:
        mine, theirs = ({file.relative_to(root) for file in (root / table).glob("*/*.parquet")} for root in (one, other))
        unequal = sorted(mine ^ theirs) + sorted(file for file in mine & theirs if read(one / file) != read(other / file))
        equal_bytes = sum((one / file).read_bytes() == (other / file).read_bytes() for file in mine & theirs)
        print(f"{table}: {len(mine | theirs)} files, {len(unequal)} differ, {equal_bytes} equal byte for byte", *unequal[:1])
        differences += len(unequal)
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
