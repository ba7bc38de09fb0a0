"""How long ``causalprint trace`` takes over a million embeddings, and whether it finds what brute force does.

    python benchmarks/trace.py [--images 1000000] [--queries 10] [--audit OUT] [--like IMAGE …]

Without ``--audit`` the audit is made (``synthetic_audit.py``). The whole command is timed, the interpreter too; a cold disk or
a busy machine is the caller's affair, so its processor time is printed too.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from synthetic_audit import synthetic_audit

TOP = 100


def main(images: int, queries: int, audit: Path | None, like: list[str]) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        root = audit or Path(folder) / "audit"
        if audit is None:
            synthetic_audit(str(root), images)
        files = sorted(root.glob("embeddings/*/*.parquet"))
        found = Path(folder) / "found.parquet"
        first = pq.read_table(files[0], columns=["image_id"]).column("image_id").to_pylist()[:queries]
        asked = [part for one in like for part in ("--like", one)] or [part for one in first for part in ("--image-id", one)]
        command = [sys.executable, "-m", "causalprint", "trace", str(root), *asked, "--top", str(TOP), "-o", str(found), "--json"]
        for run in ("first", "second"):
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            print(f"{run} run: {seconds:.1f} s, {spent:.1f} s of processor time, {after.ru_maxrss / 1024:.0f} MiB at most")
        if not like:
            print("equal to brute force:", equal(files, found, first))


def equal(files: list[Path], found: Path, queries: list[str]) -> bool:
    """Whether the finds are those of one sort over all similarities, computed row by row in float64."""
    names, similarities = [], []
    asked = pq.read_table(files[0], columns=["image_id", "fingerprint"])
    wanted = _rows(asked)[[asked.column("image_id").to_pylist().index(one) for one in queries]]
    wanted /= np.sqrt(np.square(wanted).sum(axis=1, keepdims=True))
    for file in files:
        table = pq.read_table(file, columns=["image_id", "fingerprint"], partitioning=None)
        rows = _rows(table)
        rows /= np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
        similarities.append(np.stack([(rows * query).sum(axis=1) for query in wanted]))
        names += table.column("image_id").to_pylist()
    every = np.concatenate(similarities, axis=1)
    table = pq.read_table(found)
    ids = table.column("image_id").to_pylist()
    best = [np.lexsort((names, -each))[:TOP] for each in every]
    return bool(ids == [names[place] for places in best for place in places])


def _rows(table: object) -> np.ndarray:
    column = table.column("fingerprint").combine_chunks()  # type: ignore[attr-defined]
    return column.flatten().to_numpy().reshape(-1, 128).astype(np.float64)  # type: ignore[no-any-return]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=10)
    parser.add_argument("--audit", type=Path)
    parser.add_argument("--like", action="append", default=[])
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores")
    main(given.images, given.queries, given.audit, given.like)
