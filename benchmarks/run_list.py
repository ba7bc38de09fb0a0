"""What a run's list of its shards costs the worker that writes it: memory and seconds, by the number of shards.

    python benchmarks/run_list.py 100000 500000

Two nights over shards that are made up: of the second every tenth has changed. A night is a process of its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace

from causalprint.schemas.accounts import RejectCount, ShardAccount, VerdictCount
from causalprint.schemas.config import AuditConfig, Storage
from causalprint.schemas.elements import digest
from causalprint.schemas.runs import Run
from causalprint.transforms.tables.run_shards import write_list
from causalprint.transforms.tables.settings import agree

VERDICTS = (
    VerdictCount("abstain", None, "undecided", 400),
    VerdictCount("known", "dalle-3", None, 400),
    VerdictCount("real", None, None, 400),
)
REJECTS = (RejectCount("decode", "truncated-image", 7),)


def accounts(shards: int, night: int) -> Iterator[ShardAccount]:
    """Accounts of shards of 1,207 images in one slice, in an order that is not that of their names."""
    for place in range(shards):
        number = place * 7_919 % shards
        generation = digest(number, night if number % 10 == 0 else 0)[:32]
        uri = f"s3://crawl-of-2026/part-{number % 100:03}/{number:08}.tar"
        yield ShardAccount(
            digest(uri, generation)[:32], uri, generation, 10**8, "tar", 1, 1207, 1200, 7, 0, 1200, True, None, False,
            slice_ids=(digest(uri, generation, 0)[:32],), verdicts=VERDICTS, reasons=REJECTS,
        )  # fmt: skip


def one_night(root: str, shards: int, night: int) -> None:
    """Writes a list, and prints what it took."""
    config = AuditConfig(("s3://crawl-of-2026/",), root)
    run = Run(f"2026010{night}T000000Z-00000000", "2026-01-01T00:00:00+00:00", config, "bundle-000000000000", "0" * 64, "prior:x")
    few = replace(run, run_id=f"2025{run.run_id[4:]}", config=replace(config, inputs=("s3://few/",)))
    write_list(accounts(100, night), few)  # what is loaded for any list is no part of it
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    changes = write_list(accounts(shards, night), run)
    seconds, after = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"night {night}: {shards:,} shards, file {changes.file.size / shards:.0f} bytes a shard, "
        f"memory {(after - before) * 1024 / shards:.0f} bytes a shard above {before // 1024} MB, {seconds:.1f} s of CPU"
    )


def main() -> None:
    """Measures each number of shards in processes of their own."""
    if len(sys.argv) == 5 and sys.argv[1] == "night":
        one_night(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return
    for shards in map(int, sys.argv[1:] or ["100000"]):
        with tempfile.TemporaryDirectory() as root:
            agree(root, Storage(), None, None)
            for night in (1, 2):
                subprocess.run([sys.executable, __file__, "night", root, str(shards), str(night)], check=True)


if __name__ == "__main__":
    main()
