"""Kills of the driver and of its workers, at any time, also in the first second: nothing hangs, and the tables are the same.

``CAUSALPRINT_KILLS=60 pytest tests/test_kills.py`` kills more often than the suite does.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from causalprint.pipelines.worker import WORKER
from tests.audits import photographs_tar
from tests.forks import Fork, Forks
from tests.outputs import files_below

KILLS = int(os.environ.get("CAUSALPRINT_KILLS", "3"))
SECONDS = 10.0
PATIENCE = 120.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 + 30 * KILLS)]


def test_kills_of_driver_and_workers_change_nothing_and_none_hangs(forks: Forks, tiny: Path, tmp_path: Path) -> None:
    crawl = tmp_path / "crawl"
    for number in range(2):
        photographs_tar(crawl / f"{number}.tar", range(number * 10, number * 10 + 6))
    draw = random.Random(KILLS)

    def audit(output: Path) -> Fork:
        return forks.start(
            "audit", crawl, "-o", output, "--bundle", tiny, "--slice-images", 1, "--json", "--", "--direct_num_workers=2"
        )

    began = time.monotonic()
    assert audit(tmp_path / "whole").wait().code == 0
    length = time.monotonic() - began
    whole = files_below(tmp_path / "whole")
    kills, outputs, longest, ends = 0, 0, 0.0, dict[str, int]()
    while kills < KILLS:
        outputs += 1
        output = tmp_path / str(outputs)
        for _ in range(10):
            running = audit(output)
            time.sleep(draw.uniform(0, 1) if draw.random() < 0.3 else draw.uniform(0, length))
            workers = _workers(running.pid)
            victim = draw.choice([running.pid, *workers, *workers])
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                victim = 0
            killed = time.monotonic()
            _wait_until(lambda running=running: not running.runs, PATIENCE)
            code = running.wait().code
            kills += victim > 0
            what = {0: "went on", 1: "ended"}.get(code, "killed") if victim else "missed"
            ends[what] = ends.get(what, 0) + 1
            if code == 1:
                longest = max(longest, time.monotonic() - killed)
                said = [line for line in running.err.read_text().splitlines() if line.startswith("causalprint: ")]
                assert [line.count("was killed") for line in said] == [1], said
            assert code in (0, 1, -signal.SIGKILL)
            _wait_until(lambda workers=workers: not any(map(_runs, workers)), SECONDS)
            if code == 0 or kills >= KILLS:
                break
        last = audit(output)
        assert last.wait().code == 0, last.err.read_text()
        assert files_below(output) == whole
    sys.stdout.write(
        f"{kills} kills over {outputs} outputs: {ends}; a run ended {longest:.1f} s after its worker's kill at the latest\n"
    )
    assert longest < SECONDS


def _workers(driver: int) -> list[int]:
    children = [path.read_text().split() for path in Path(f"/proc/{driver}/task").glob("*/children")]
    return [int(pid) for several in children for pid in several if _runs(int(pid))]


def _runs(pid: int) -> bool:
    return WORKER.encode() in _read(pid, "cmdline")


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _wait_until(condition: object, seconds: float) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.02)
