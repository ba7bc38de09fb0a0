"""Where pipelines run."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from causalprint.pipelines.runners import RUNNERS, RunnerError, cores, notes, pipeline_options, worker_processes
from causalprint.schemas.config import AuditConfig

ROOT = Path(__file__).parents[2]
TWO_PROCESSES = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


@pytest.mark.parametrize("name", RUNNERS)
def test_every_runner_can_be_made_or_says_what_is_missing(name: str) -> None:
    options = pipeline_options(name, ())
    if name == "direct" or (name == "dataflow" and importlib.util.find_spec("apitools") is not None):
        assert isinstance(RUNNERS[name].create(options), beam.runners.PipelineRunner)
    else:
        with pytest.raises(RunnerError, match=r"pip install|needs a cluster"):
            RUNNERS[name].create(options)


def test_the_direct_runner_is_the_one_that_downloads_nothing() -> None:
    assert isinstance(RUNNERS["direct"].create(pipeline_options("direct", ())), FnApiRunner)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--no_such_thing=1",), "no_such_thing"),
        (("--runner=FlinkRunner",), "before the two dashes"),
        (("--direct_num_workers=many",), "Beam refused"),
        (("shard.tar",), "shard.tar"),
    ],
)
def test_options_that_beam_would_drop_or_misread_are_errors(given: tuple[str, ...], says: str) -> None:
    with pytest.raises(RunnerError, match=says):
        pipeline_options("direct", given)


def test_other_runners_job_servers_may_know_more_options() -> None:
    assert pipeline_options("flink", ("--only_the_job_server_knows=1",)) is not None


@pytest.mark.parametrize(("given", "processes"), [((), 1), (TWO_PROCESSES, 2), (("--direct_num_workers", "0"), cores())])
def test_worker_processes(given: tuple[str, ...], processes: int) -> None:
    assert worker_processes(pipeline_options("direct", given)) == processes


def test_that_workers_of_dataflow_need_the_package_is_said_where_nothing_brings_it() -> None:
    given = ("s3://b/x.tar",), "s3://b/out"
    assert list(notes(AuditConfig(*given, runner="dataflow", beam_options=("--setup_file=./setup.py",)))) == []
    (line,) = notes(AuditConfig(*given, runner="dataflow", beam_options=("--num_workers=4",)))
    assert "--setup_file=./setup.py" in line


@pytest.mark.slow
def test_two_worker_processes_share_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # workers import this module from where they start
    options = pipeline_options("direct", TWO_PROCESSES)
    with beam.Pipeline(runner=RUNNERS["direct"].create(options), options=options) as root:
        _ = root | beam.Create(range(8), reshuffle=False) | beam.Reshuffle() | beam.Map(sign_in, folder=str(tmp_path))
    workers = {path.name.partition("-")[0] for path in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 8
    assert len(workers) == 2
    assert str(os.getpid()) not in workers


@pytest.mark.slow
def test_a_worker_does_not_outlive_a_launcher_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import apache_beam as beam\n"
        "from causalprint.pipelines.runners import RUNNERS, pipeline_options\n"
        "from tests.pipelines.test_runners import TWO_PROCESSES, sign_in\n"
        "options = pipeline_options('direct', TWO_PROCESSES)\n"
        "with beam.Pipeline(runner=RUNNERS['direct'].create(options), options=options) as root:\n"
        f"    root | beam.Create(range(2)) | beam.Reshuffle() | beam.Map(sign_in, folder={str(tmp_path)!r}, stay=600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL) as launcher:
        _wait_for(lambda: any(tmp_path.iterdir()) or launcher.poll() is not None, 60)
        workers = [int(path.name.partition("-")[0]) for path in tmp_path.iterdir()]
        launcher.send_signal(signal.SIGKILL)
    assert workers
    _wait_for(lambda: not any(_runs(pid) for pid in workers), 30)


def sign_in(element: int, folder: str, stay: float = 0.2) -> int:
    """Leaves a file with this process's id, then stays."""
    (Path(folder) / f"{os.getpid()}-{element}").touch()
    time.sleep(stay)
    return element


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait_for(condition: object, seconds: float) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.1)
