"""What `make demo` must have written: closed accounts, whole tables, sound fingerprints. Exits non-zero with the reason."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

CHECKS = {
    "at least 300 images have a verdict": "SELECT count(*) >= 300 FROM attributions",
    "every shard is complete": "SELECT bool_and(complete) FROM shards",
    "seen = attributed + rejected + forgotten": "SELECT bool_and(seen = attributed + rejected + forgotten) FROM shards",
    "the accounts hold what the tables hold": """
        SELECT sum(attributed) = (SELECT count(*) FROM attributions) AND sum(rejected) = (SELECT count(*) FROM rejects)
        FROM shards""",
    "images and attributions have the same keys": """
        SELECT count(*) = (SELECT count(*) FROM attributions) AND count(*) = (SELECT count(*) FROM images)
        FROM images JOIN attributions USING (slice_id, member, image_id)""",
    "every image that is large enough has a fingerprint": """
        SELECT count(*) = (SELECT count(*) FROM attributions WHERE reason IS DISTINCT FROM 'too-small')
        FROM embeddings JOIN attributions USING (slice_id, member, image_id)""",
    "fingerprints are finite": "SELECT bool_and(isfinite(list_sum(fingerprint::FLOAT[128]))) FROM embeddings",
    "each hazard was rejected for its own reason": """
        SELECT list(DISTINCT reason ORDER BY reason) = ['empty', 'truncated-image', 'unsupported-format'] FROM rejects""",
    "more than one verdict was given": "SELECT count(DISTINCT verdict) > 1 FROM attributions",
}


def main(demo: Path) -> None:
    """Checks the tables below ``demo``."""
    db = duckdb.connect()
    for table in ("images", "embeddings", "attributions", "rejects", "shards"):
        db.read_parquet(str(demo / "tables" / table / "*" / "*.parquet")).create_view(table)
    failed = [what for what, query in CHECKS.items() if db.execute(query).fetchone() != (True,)]
    if "demo" not in (demo / "report.html").read_text(encoding="utf-8"):
        failed.append("there is a report")
    sys.exit("the demo's tables fail: " + "; ".join(failed) if failed else None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
