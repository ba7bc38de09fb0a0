"""Worker processes that die: the run ends soon, with one line that names the worker, the signal and what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import apache_beam as beam
import pytest

from causalprint.pipelines.errors import explain
from causalprint.pipelines.runners import RUNNERS, pipeline_options
from causalprint.pipelines.scratch import scratch
from causalprint.pipelines.worker import WORKER, _workers, stop_workers
from causalprint.transforms.worker_processes import STARTS, WatchedRunner, WorkerDiedError

ROOT = Path(__file__).parents[2]
SECONDS = 10
TWO = ("--direct_num_workers=2",)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code, WORKER]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os; os.kill(os.getpid(), 9)", r"worker \d of 2 was killed while it started by SIGKILL, .*fewer workers"),
        ("import os; os.abort()", r"worker \d of 2 was killed while it started by SIGABRT, in a native library"),
        ("import nothing_of_that_name", r"worker \d of 2 ended .* code 1: ModuleNotFoundError: No module named 'nothing_of"),
        ("raise SystemExit(7)", r"worker \d of 2 ended while it started with exit code 7: it said nothing"),
        ("pass", r"worker \d of 2 ended while it started with exit code 0"),
    ],
)
def test_a_worker_that_dies_while_it_starts_ends_the_run_in_one_line(code: str, says: str, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    count = f"open({str(starts)!r}, 'a').write('x')\n"
    options = pipeline_options("direct", TWO)
    runner = WatchedRunner(python(count + code), 2, stop_workers, scratch)
    began = time.monotonic()
    with pytest.raises(WorkerDiedError, match=says) as caught, beam.Pipeline(runner=runner, options=options) as root:
        _ = root | beam.Create(range(8)) | beam.Reshuffle() | beam.Map(str)
    assert time.monotonic() - began < SECONDS
    assert len(starts.read_text()) <= 2 * STARTS
    assert explain(caught.value) == str(caught.value)


def test_a_worker_that_is_killed_twice_before_it_reports_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    code = f"""
import os, sys
path = os.path.join({str(tmp_path)!r}, os.environ["WORKER_ID"])
open(path, "a").write("x")
if os.path.getsize(path) < {STARTS}:
    os.kill(os.getpid(), 9)
sys.argv = ["worker", "{os.getpid()}"]
from causalprint.pipelines.worker import main
main()
"""
    options = pipeline_options("direct", TWO)
    with beam.Pipeline(runner=WatchedRunner(python(code), 2, stop_workers, scratch), options=options) as root:
        _ = root | beam.Create(range(8)) | beam.Reshuffle() | beam.Map(sign_in, folder=str(tmp_path))
    assert len(list(tmp_path.glob("done-*"))) == 8
    assert {len(path.read_text()) for path in tmp_path.glob("worker_*")} == {STARTS}


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_at_work_ends_the_run(signum: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    options = pipeline_options("direct", TWO)
    runner = RUNNERS["direct"].create(options)
    says = rf"worker \d of 2 was killed by {signum.name}, .*; the same command resumes"
    with pytest.raises(WorkerDiedError, match=says), beam.Pipeline(runner=runner, options=options) as root:
        _ = root | beam.Create(range(8)) | beam.Reshuffle() | beam.Map(die, folder=str(tmp_path), signum=int(signum))
    assert time.time() - (tmp_path / "died").stat().st_mtime < SECONDS
    assert not [path for path in Path("/proc/self/task").glob("*/children") if path.read_text().strip()]


def test_workers_are_found_while_threads_come_and_go() -> None:
    """A thread that ends between two looks once ended the look, and with it the watch over a worker: the run hung."""
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            threads = [threading.Thread(target=time.sleep, args=(0.002,)) for _ in range(40)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    churning = threading.Thread(target=churn)
    with subprocess.Popen(python("import time; time.sleep(60)")) as child:
        while child.pid not in _workers():  # until it is what it was started as
            time.sleep(0.01)
        churning.start()
        try:
            assert all(child.pid in list(_workers()) for _ in range(1000))  # of all threads
            stop_workers()
            assert child.wait(SECONDS) == -signal.SIGKILL
        finally:
            done.set()
            churning.join()


def sign_in(element: int, folder: str) -> int:
    (Path(folder) / f"done-{element}").touch()
    return element


def die(element: int, folder: str, signum: int) -> int:
    """Whoever comes first kills itself; the others would go on for a minute."""
    try:
        (Path(folder) / "died").mkdir()
    except FileExistsError:
        time.sleep(60)
    else:
        time.sleep(1)
        os.kill(os.getpid(), signum)
    return element
