"""Ctrl-C and SIGTERM: one line, the right code, and an output that the same command finishes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.audits import command, photographs_tar
from tests.forks import Forks
from tests.outputs import files_below

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.slow

SLICES = 24


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("crawl")
    for number in range(2):
        photographs_tar(root / f"{number}.tar", range(number * 100, number * 100 + SLICES))
    return root


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly_and_the_same_command_resumes(
    signum: signal.Signals, forks: Forks, crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    arguments = ["audit", crawl, "-o", out, "--bundle", tiny, "--slice-images", 2, "--json"]
    before = set(forks.folder.glob("causalprint-*"))  # what other tests' kill -9 has left
    running = forks.start(*arguments)
    _wait_for_a_slice(out)
    running.kill(signum)
    assert running.wait().code == 128 + signum
    assert json.loads(running.out.read_text()) == {"error": "stopped; the same command resumes", "exit_code": 128 + signum}
    assert running.err.read_text().splitlines() == ["causalprint: stopped; the same command resumes"]
    assert set(forks.folder.glob("causalprint-*")) <= before
    kept = len(list(out.glob("attributions/*/*.parquet")))
    assert 0 < kept < SLICES
    found = command(capsys, *arguments[:-1]).found
    assert found["exit_code"] == 0
    assert found["computed"] == SLICES - kept
    assert command(capsys, "audit", crawl, "-o", tmp_path / "whole", *arguments[4:-1]).code == 0
    assert files_below(out) == files_below(tmp_path / "whole")


def test_worker_processes_go_with_their_launcher(crawl: Path, tmp_path: Path, tiny: Path) -> None:
    out, mark = tmp_path / "out", f"CAUSALPRINT_TEST={tmp_path}"
    name, _, value = mark.partition("=")
    arguments = [
        "audit",
        str(crawl),
        "-o",
        str(out),
        "--bundle",
        str(tiny),
        "--slice-images",
        "2",
        "--",
        "--direct_num_workers=2",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "causalprint", *arguments], stderr=subprocess.PIPE, text=True, env={**os.environ, name: value}
    ) as running:
        _wait_for_a_slice(out)
        assert len(_processes_with(mark)) > 1
        running.send_signal(signal.SIGTERM)
        _, log = running.communicate(timeout=60)
    assert running.returncode == 143
    assert log.splitlines() == ["causalprint: stopped; the same command resumes"]
    _wait_until(lambda: not _processes_with(mark))


def _wait_for_a_slice(out: Path) -> None:
    _wait_until(lambda: any(out.glob("attributions/*/*.parquet")))


def _wait_until(condition: object, seconds: float = 120) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.02)


def _processes_with(mark: str) -> list[int]:
    """Processes that have ``mark`` in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue
    return found
