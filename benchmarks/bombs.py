"""What hostile shards cost: the audit of each beside that of an ordinary tar of as many images, one as large where one is large.

    python benchmarks/bombs.py [WORD …] [--seconds 300]

Builds the bombs of bomb_shards.py whose names have one of the words in them (all, without words), each in its turn, audits it in
a process of its own, and prints a row: its bytes, the exit code, what came of it, and the CPU seconds and the resident memory of
all its processes together, at their peak, beyond those of the ordinary tar. No bomb should cost 5 seconds or 500 MiB; exits with
1 where one does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from bomb_shards import BOMBS, Bomb, ordinary

MOST_SECONDS, MOST_MIB = 5, 500
LOOKED_AT_EVERY = 0.02


class Cost(NamedTuple):
    """What an audit cost: its exit code, ``None`` where it was killed, what it said, CPU seconds, MiB."""

    code: int | None
    told: dict[str, Any]
    seconds: float
    mib: float


def main(words: list[str], seconds: float) -> int:
    """Prints the table; returns how many bombs cost too much."""
    usual: dict[tuple[int, bool], Cost] = {}
    missed = 0
    print("| bomb | bytes | exit | what came of it | CPU s more | MiB more |\n|---|--:|--:|---|--:|--:|")
    for name, bomb in BOMBS.items():
        if words and not any(word.lower() in name.lower() for word in words):
            continue
        like = bomb.images, bomb.is_large
        if like not in usual:
            usual[like] = measure(ordinary(*like), seconds)[1]
        size, cost = measure(bomb, seconds)
        more, mib = cost.seconds - usual[like].seconds, cost.mib - usual[like].mib
        over = more >= MOST_SECONDS or mib >= MOST_MIB or cost.code is None
        missed += over
        print(f"| {name} | {size:,} | {cost.code} | {outcome(cost)} | {more:.1f} | {mib:.0f} |{' too much' * over}", flush=True)
    return missed


def measure(bomb: Bomb, seconds: float) -> tuple[int, Cost]:
    """The bytes of a bomb, and what its audit cost."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "in")
        folder.mkdir()
        builder = get_context("fork").Process(target=bomb.build, args=(folder,))  # so that this process stays small
        builder.start()
        builder.join()
        size = sum(file.stat().st_size for file in folder.iterdir())
        return size, audit(folder / bomb.name, Path(scratch, "out"), seconds)


def audit(path: Path, output: Path, seconds: float) -> Cost:
    """Audits in a process of its own, which is killed after so many seconds."""
    command = [sys.executable, "-m", "causalprint", "audit", str(path), "--output", str(output), "--json", "--device", "cpu"]
    peak, end, late = 0, time.monotonic() + seconds, False
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL)
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            peak = max(peak, sum(map(resident, family(process.pid))))
            if not late and time.monotonic() > end:
                late = True
                os.kill(process.pid, signal.SIGKILL)
            time.sleep(LOOKED_AT_EVERY)
        _, status, usage = ended
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        told = json.loads(said.read() or b"{}")
    return Cost(None if late else process.returncode, told, usage.ru_utime + usage.ru_stime, peak / 2**20)


def family(process: int) -> list[int]:
    """A process and all that it started, and these, once they are another program than it is; as far as they are there."""
    found = [process]
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                if program(child) != program(process):
                    found += family(child)
    return found


def program(process: int) -> bytes:
    """What a process runs, with its arguments."""
    return Path(f"/proc/{process}/cmdline").read_bytes()


def resident(process: int) -> int:
    """Bytes of memory that a process has; 0 of one that has ended."""
    with suppress(OSError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def outcome(cost: Cost) -> str:
    """What an audit came to, in a few words."""
    if cost.code is None:
        return "killed"
    rejects = [f"{each['images']} {each['reason']}" for each in cost.told.get("rejects", ())]
    damage = [each["damage"] for each in cost.told.get("incomplete_shards", ())]
    return "; ".join([f"{cost.told.get('attributed', 0)} attributed", *rejects, *damage])[:160]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="of the names of those to measure")
    parser.add_argument("--seconds", type=float, default=300, help="after which an audit is killed")
    arguments = parser.parse_args()
    sys.exit(main(arguments.words, arguments.seconds) > 0)
