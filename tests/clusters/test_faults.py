"""Whole audits on real clusters, with what happens to those: the same files as on this machine, and no job that nobody wants."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clusters.cluster import Cluster, Launcher, executors_of, kill, python_workers, surroundings
from tests.outputs import files_below

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

OPTIONS = ["--bundle", "tiny", "--slice-images", "2"]


def test_flink_writes_the_same_files_though_a_worker_and_a_taskmanager_are_killed(flink: Cluster, home: Path) -> None:
    with Launcher(home, _with_options(flink.command())) as launcher:
        launcher.wait_until(lambda: _committed(home) > 0)
        assert list(home.glob("out/runs/*.tally/*.json"))
        kill(python_workers()[0])
        before = _committed(home)
        launcher.wait_until(lambda: _committed(home) > before)
        kill(flink.workers[0])
        flink.add_worker()
        assert launcher.wait() == 0, launcher.log
        assert f"under the same path, on a disk that all share: {home}/crawl, {home}/out, {home}/tiny" in launcher.log
    assert list(home.glob("out/runs/*.tally")) == []
    assert files_below(home / "out") == _local(home)


def test_spark_writes_the_same_files_though_an_executor_is_killed(spark: Cluster, home: Path) -> None:
    with Launcher(home, _with_options(spark.command())) as launcher:
        launcher.wait_until(lambda: _committed(home) > 0)
        kill(executors_of(spark.workers[0])[0])
        assert launcher.wait() == 0, launcher.log
    assert files_below(home / "out") == _local(home)


def test_a_launcher_that_is_stopped_cancels_its_job_on_flink_and_a_full_cluster_is_told_at_once(
    flink: Cluster, home: Path
) -> None:
    with Launcher(home, _with_options(flink.command())) as launcher:
        launcher.wait_until(lambda: _committed(home) > 0)
        assert flink.told("overview")["slots-available"] == 0
        with Launcher(home, [*_with_options(flink.command()), "--job_name=second"]) as second:
            second.wait_until(lambda: "0 free slots of 2, and the job wants 2: it waits for them" in second.log, 30)
            second.wait_until(lambda: len(_states(flink, "second")) == 1, 30)
            assert second.stop() == 143
        assert _states(flink, "second") == ["CANCELED"]
        assert launcher.stop() == 143
    last = launcher.log.splitlines()[-1]
    assert last.startswith("causalprint: stopped; the job ")
    assert last.endswith(" is cancelled on the cluster; the same command resumes")
    told = flink.told("overview")
    assert (told["jobs-running"], told["slots-available"]) == (0, told["slots-total"])
    assert 0 < _committed(home) < 80


def test_a_launcher_that_is_stopped_cancels_its_job_on_spark(spark: Cluster, home: Path) -> None:
    with Launcher(home, _with_options(spark.command())) as launcher:
        launcher.wait_until(lambda: _committed(home) > 0)
        assert launcher.stop() == 143
        launcher_said = launcher.log
    assert "is cancelled on the cluster; the same command resumes" in launcher_said
    assert spark.told("json/")["activeapps"] == []
    assert 0 < _committed(home) < 80


def test_what_a_worker_lacks_is_said(flink: Cluster, home: Path) -> None:
    older = home / "older"
    code = "import causalprint; causalprint.__version__ = '0.0.1'; from causalprint.pipelines.engine_worker import main; main()"
    older.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    older.chmod(0o755)
    for command, says in [
        ("/nowhere/causalprint-worker", "on the worker there is no /nowhere/causalprint-worker: install causalprint there"),
        (str(older), "has causalprint 0.0.1 and apache-beam"),
    ]:
        chosen = ["--environment_type=PROCESS", "--environment_config=" + json.dumps({"command": command})]
        with Launcher(home, [*_with_options(flink.command()), *chosen]) as launcher:
            assert launcher.wait() == 1
            last = launcher.log.splitlines()[-1]
            assert last.startswith("causalprint: on the worker "), launcher.log
            assert says in last


def _with_options(words: list[str]) -> list[str]:
    cut = words.index("--")
    return [*words[:cut], *OPTIONS, *words[cut:]]


def _committed(home: Path) -> int:
    return len(list(home.glob("out/attributions/*/*.parquet")))


def _states(flink: Cluster, name: str) -> list[str]:
    return [job["state"] for job in flink.told("jobs/overview")["jobs"] if job["name"] == name]


def _local(home: Path) -> dict[str, bytes]:
    """What the same audit writes on this machine."""
    words = [sys.executable, "-m", "causalprint", "audit", "crawl", "--output", "local", *OPTIONS]
    subprocess.run(words, cwd=home, check=True, capture_output=True, env=surroundings())
    return files_below(home / "local")
