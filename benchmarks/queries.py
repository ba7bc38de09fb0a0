"""How long questions to a large audit take: ``python benchmarks/queries.py [ROWS]``, one million by default.

The audit is made up (``synthetic_audit.py``), over two nights, between which a tenth of the shards change. Then every query of
``docs/queries.md`` is run as it stands there, and a few more, in this process; and once more when the tables are
compacted.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

import duckdb
from synthetic_audit import synthetic_audit

from causalprint.pipelines.commands.compact import CompactConfig
from causalprint.pipelines.compact import compact

PAGE = Path(__file__).parents[1] / "docs" / "queries.md"


def main(rows: int) -> None:
    """Writes the tables, and asks; compacts them, and asks again."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "OUT"
        began = time.perf_counter()
        synthetic_audit(str(root), rows, nights=2)
        print(f"{rows:,} images written in {time.perf_counter() - began:.0f} s")
        ask(root)
        began = time.perf_counter()
        compact(CompactConfig(str(root), keep_seconds=0))
        print(f"compacted in {time.perf_counter() - began:.0f} s: {sum(1 for _ in root.rglob('*.parquet')):,} files")
        ask(root)


def ask(root: Path) -> None:
    """Prints for every query its seconds, its rows and how it begins."""
    text = PAGE.read_text(encoding="utf-8").replace("'OUT/", f"'{root}/")
    blocks = re.findall(r"^```sql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    own = ["SELECT count(*) FROM findings", "SELECT count(*) FROM attributions", "SELECT count(*) FROM current_shards"]
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute((root / "views.sql").read_text(encoding="utf-8"))
        ((image_id,),) = connection.execute("SELECT max(image_id) FROM images").fetchall()
        own += [f"FROM {view} WHERE image_id = '{image_id}'" for view in ("images", "embeddings", "findings")]
        for query in [*own, *blocks]:
            began = time.perf_counter()
            found = connection.sql(query)
            number = len(found.fetchall()) if found is not None else 0
            print(f"{time.perf_counter() - began:6.2f} s {number:6} rows  {' '.join(query.split())[:90]}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
