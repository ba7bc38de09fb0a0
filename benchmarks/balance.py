"""How evenly two worker processes share one shard: the processor seconds of each, from the start of the run to its end.

``python benchmarks/balance.py SHARD --output DIR [--workers 2] [--slice-images 10]``. Start-up, which every worker has, is in it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from causalprint.pipelines.worker import WORKER

TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Runs one audit and watches its workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shard")
    parser.add_argument("--output", required=True, help="a new folder")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--slice-images", type=int, default=10)
    asked = parser.parse_args()
    command = [sys.executable, "-m", "causalprint", "audit", asked.shard, "--output", asked.output]
    command += ["--slice-images", str(asked.slice_images), "--", f"--direct_num_workers={asked.workers}"]
    seconds: dict[int, float] = {}
    with subprocess.Popen(command) as running:
        while running.poll() is None:
            seconds |= {pid: of for pid in _workers(running.pid) if (of := _cpu_seconds(pid)) is not None}
            time.sleep(0.1)
    equal = sum(seconds.values()) / max(1, len(seconds))
    for pid, of in seconds.items():
        print(f"worker {pid}: {of:.1f} CPU-s, {of / equal:.2f} of an equal share")
    sys.exit(running.returncode)


def _workers(launcher: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{WORKER}\0{launcher}" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


def _cpu_seconds(pid: int) -> float | None:
    """Of the process and of the processes that it waited for."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS
    return None


if __name__ == "__main__":
    main()
