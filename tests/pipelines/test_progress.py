"""What a person sees of a running audit."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.pipelines import progress
from causalprint.pipelines.console import SafeConsole
from causalprint.pipelines.progress import (
    UNSEEN,
    Elsewhere,
    Follower,
    Status,
    display,
    duration,
    follow,
    plain_lines,
    telling,
    watched,
)
from causalprint.pipelines.worker import WORKER
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import Shard
from causalprint.transforms import counting
from causalprint.transforms.counting import FILE, FOLDER, Tally, at, count, read_tally
from causalprint.transforms.tables import tallies
from tests.outputs import output_at

COUNTS = st.integers(0, 10**12)
TALLIES = st.builds(Tally, *[COUNTS] * len(Tally._fields))


@pytest.fixture
def watched_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which this process and its children count."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return tmp_path


def test_counts_of_processes_and_threads_add_up(watched_folder: Path) -> None:
    code = "from causalprint.transforms.counting import count\nfor _ in range(500): count(images=2, rejects=1, read_ms=3)"
    others = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    threads = [threading.Thread(target=_tell, args=(500,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    follower = Follower(str(watched_folder), shards=1, shard_bytes=1)
    while any(other.poll() is None for other in others) or any(thread.is_alive() for thread in threads):
        follower.poll()  # reading while they write must neither lose nor double a count
    assert [other.returncode for other in others] == [0, 0]
    assert follower.poll().done == Tally(images=2 * 1000 + 1500, rejects=1000)


def test_a_record_that_is_half_there_is_read_once_it_is_whole(watched_folder: Path) -> None:
    count(images=3)
    count(images=4)
    whole = (watched_folder / FILE).read_bytes()
    (watched_folder / FILE).write_bytes(whole[:-1])
    first, offset = read_tally(str(watched_folder))
    (watched_folder / FILE).write_bytes(whole)
    second, _ = read_tally(str(watched_folder), offset)
    assert (first.images, second.images) == (3, 4)


def test_nobody_watching_and_a_folder_that_is_gone_are_no_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count(images=1)
    monkeypatch.setenv(FOLDER, str(tmp_path / "gone"))
    count(images=1)
    assert read_tally(str(tmp_path / "gone")) == (Tally(), 0)


def test_workers_count_for_a_run_of_this_machine_as_long_as_it_lasts() -> None:
    shards = [Shard(f"file:///data/{number}.tar", 10 + number, "1", "tar") for number in range(3)]
    with watched(shards) as follower:
        count(images=3, encoded_bytes=5)
        status = follower.poll()
    assert (status.done, status.shards, status.shard_bytes) == (Tally(images=3, encoded_bytes=5), 3, 33)
    assert FOLDER not in os.environ
    with watched(shards, UNSEEN) as follower:
        count(images=3)
        assert follower.poll().done == Tally()


def test_workers_elsewhere_tell_in_the_output_as_long_as_somebody_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: list[Callable[[Tally], None]] = []
    monkeypatch.setattr(tallies, "SECONDS", 0.02)
    monkeypatch.setattr(progress, "ELSEWHERE_SECONDS", 0.02)
    monkeypatch.setattr(tallies, "listeners", here)
    monkeypatch.setattr(counting, "listeners", here)
    shards = [Shard("s3://b/x.tar", 10, "1", "tar")]
    output = output_at(tmp_path)
    with watched(shards, Elsewhere(output.root, "run", Storage())) as follower:
        assert follower.still() == []
        workers = [tallies.Teller(output, "run") for _ in range(2)]  # each hears what this process counts
        count(images=3, rejects=1)
        _wait_until(lambda: follower.poll().done == Tally(images=6, rejects=2))
        count(images=1)
        _wait_until(lambda: follower.poll().done == Tally(images=8, rejects=2))
        assert len(tallies.told(output.root, "run", Storage())) == len(workers)
    assert FOLDER not in os.environ
    here.clear()
    _wait_until(lambda: tallies.told(output.root, "run", Storage()) == [])


def test_that_no_worker_elsewhere_begins_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "BEGIN_SECONDS", 0.0)
    follower = Follower(str(tmp_path), 1, 1, elsewhere=True)
    assert [follower.still(), follower.still()] == [[progress.NOT_BEGUN], []]
    follower = Follower(str(tmp_path), 1, 1, elsewhere=True)
    counting.append(str(tmp_path), Tally())  # one has begun, and done nothing yet
    follower.poll()
    assert follower.still() == []


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_that_nothing_moves_is_said_also_where_no_worker_says_where_it_is(
    watched_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("causalprint.pipelines.progress.STILL_SECONDS", 0.2)
    follower = Follower(str(watched_folder), shards=1, shard_bytes=1)
    command = [sys.executable, "-c", "import time; time.sleep(99)", WORKER]
    with subprocess.Popen(command) as worker:
        worker.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        count(images=1)
        follower.poll()
        assert follower.still() == []
        time.sleep(0.3)
        follower.poll()
        said = follower.still()
        assert follower.still() == []
        worker.kill()
    where = f" in worker process {worker.pid}, which somebody stopped (kill -CONT {worker.pid} lets it go on)"
    expected = [f"nothing has moved for 1 s{place}; the run goes on" for place in ("", where)]
    assert [re.sub(r"[0-9]+ s", "1 s", line) for line in said] == expected
    count(images=1)
    follower.poll()
    assert follower.still() == []


def test_where_nothing_moves_is_said_once_and_again_only_after_it_moved(
    watched_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(str(watched_folder), shards=1, shard_bytes=1)
    at("s3://b/0.tar: 7.jpg and what is computed with it")
    other = threading.Thread(target=at, args=("s3://b/1.tar: reading its first slice",))
    other.start()
    other.join()
    assert follower.still() == []
    monkeypatch.setattr("causalprint.pipelines.progress.STILL_SECONDS", -1.0)
    at("s3://b/0.tar: 8.jpg and what is computed with it")
    first = follower.still()
    assert [line.partition(" at ")[2] for line in first] == [
        "s3://b/0.tar: 8.jpg and what is computed with it; the run goes on",
        "s3://b/1.tar: reading its first slice; the run goes on",
    ]
    assert follower.still() == []
    at("")
    assert follower.still() == []
    at("s3://b/0.tar: 8.jpg and what is computed with it")
    assert len(follower.still()) == 1
    said: list[str] = []
    at("s3://b/0.tar: 9.jpg and what is computed with it")
    follow(lambda: time.sleep(0.6), follower, _ignore, said.append)
    assert [line.count("9.jpg") for line in said] == [1]


@given(done=TALLIES, shards=COUNTS, shard_bytes=COUNTS, seconds=st.floats(0, 1e9))
def test_a_status_is_sane_whatever_the_workers_told(done: Tally, shards: int, shard_bytes: int, seconds: float) -> None:
    status = Status(done, shards, shard_bytes, seconds)
    assert 0 <= status.share <= 1
    assert status.seconds_left is None or status.seconds_left >= 0
    assert f"{done.images:,} images" in str(status)


def test_time_left_follows_from_this_runs_own_rate() -> None:
    # 400 of 1000 bytes are done, 300 of them by an earlier run: the other 600 take six times as long as these 100 did.
    done = Tally(images=10, encoded_bytes=100, kept=30, shards=1, shard_bytes=300, kept_bytes=300)
    status = Status(done, shards=4, shard_bytes=1000, seconds=5.0)
    assert status.share == pytest.approx(0.4)
    assert status.seconds_left == pytest.approx(30.0)
    assert str(status) == "1/4 shards, 10 images, 2.0 images/s, 0 rejects, 30 images there already, about 30 s left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (89, "89 s"), (150, "2 min"), (12_000, "3 h 20 min"), (187_200, "2 d 4 h")]
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_log_gets_a_plain_line_when_it_is_time() -> None:
    console = SafeConsole()
    console.file = io.StringIO()
    status = Status(Tally(images=7), 3, 100, 1.0)
    with display(console) as show:
        show(status)
    assert _text(console) == ""
    tell = plain_lines(console, -1e9)
    tell(str(status))
    tell("too soon after it")
    assert _text(console) == f"{status}\n"
    with telling(console) as tell:
        tell("at once")
    assert _text(console) == f"{status}\nat once\n"


def test_a_terminal_gets_a_live_line_that_is_gone_at_the_end() -> None:
    console = SafeConsole()
    console.file, console._force_terminal, console.is_interactive, console.width = io.StringIO(), True, True, 200
    status = Status(Tally(images=7, encoded_bytes=10), 3, 100, 1.0)
    with display(console) as show:
        show(Status(Tally(), 3, 100, 0.0))
        show(status)
        time.sleep(0.2)
    assert "loading the models" in _text(console)
    assert str(status) in _text(console)
    assert _text(console).endswith("\x1b[2K")  # the line is erased


def test_following_gives_the_result_or_the_failure_of_the_work(tmp_path: Path) -> None:
    follower = Follower(str(tmp_path), 1, 1)
    assert follow(lambda: 42, follower, _ignore) == 42
    with pytest.raises(LookupError, match="no such thing"):
        follow(lambda: _fail(LookupError("no such thing")), follower, _ignore)


def test_a_signal_ends_the_wait_while_the_work_goes_on(tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    def stop(_signum: int, _frame: FrameType | None) -> None:
        raise Stop

    before = signal.signal(signal.SIGUSR1, stop)
    release = threading.Event()
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(Stop):
            follow(lambda: release.wait(60), Follower(str(tmp_path), 1, 1), _ignore)
        assert not release.is_set()
    finally:
        release.set()
        signal.signal(signal.SIGUSR1, before)


def _tell(times: int) -> None:
    for _ in range(times):
        count(images=1)


def _fail(error: Exception) -> None:
    raise error


def _ignore(_: Status) -> None:
    pass


def _text(console: SafeConsole) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
