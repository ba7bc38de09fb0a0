"""Audits on a real Flink cluster, with what happens to it: the same files as on this machine, and no job that nobody wants."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.cluster import (
    SLICES,
    Cluster,
    Launcher,
    all_end,
    audited_here,
    committed,
    kill,
    processes_with,
    python_workers,
    started,
    suspended,
)
from tests.outputs import files_below

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two TaskManagers of one slot each, started here unless the environment names a cluster."""
    with started("flink", tmp_path_factory.mktemp("flink")) as cluster:
        yield cluster


def test_flink_writes_the_same_files_though_a_worker_and_a_taskmanager_are_killed(flink: Cluster, home: Path) -> None:
    with Launcher(home, flink.command()) as launcher:
        launcher.wait_until(lambda: committed(home) > 0)
        assert list(home.glob("out/runs/*.tally/*.json"))
        kill(python_workers()[0])
        before = committed(home)
        launcher.wait_until(lambda: committed(home) > before)
        kill(flink.workers[0])
        flink.add_worker()
        assert launcher.wait() == 0, launcher.log
        assert f"under the same path, on a disk that all share: {home}/crawl, {home}/out, {home}/tiny" in launcher.log
    assert list(home.glob("out/runs/*.tally")) == []
    assert files_below(home / "out") == audited_here(home)


def test_a_launcher_that_is_stopped_cancels_its_job_on_flink_and_a_full_cluster_is_told_at_once(
    flink: Cluster, home: Path
) -> None:
    with Launcher(home, flink.command()) as launcher:
        launcher.wait_until(lambda: committed(home) > 0)
        with suspended(python_workers()):  # the slots stay taken meanwhile
            assert flink.told("overview")["slots-available"] == 0
            with Launcher(home, [*flink.command(), "--job_name=second"]) as second:
                second.wait_until(lambda: "0 free slots of 2, and the job wants 2: it waits for them" in second.log)
                second.wait_until(lambda: len(_states(flink, "second")) == 1)
                assert second.stop() == 143, second.log
            assert _states(flink, "second") == ["CANCELED"]
        assert launcher.stop() == 143, launcher.log
    last = launcher.log.splitlines()[-1]
    assert last.startswith("causalprint: stopped; the job ")
    assert last.endswith(" is cancelled on the cluster; the same command resumes")
    told = flink.told("overview")
    assert (told["jobs-running"], told["slots-available"]) == (0, told["slots-total"])
    assert 0 < committed(home) < SLICES


def test_with_the_clusters_address_alone_a_job_server_is_started_here_and_ends_with_its_job(flink: Cluster, home: Path) -> None:
    jar = flink.job_server_jar(home)
    alone = [word for word in flink.command() if not word.startswith("--job_endpoint")] + [f"--flink_job_server_jar={jar}"]
    with Launcher(home, alone) as launcher:
        launcher.wait_until(lambda: committed(home) > 0)
        assert processes_with(jar) != []
        assert launcher.stop() == 143, launcher.log
    assert launcher.log.splitlines()[-1].endswith(" is cancelled on the cluster; the same command resumes")
    assert all_end(jar)
    with Launcher(home, alone) as launcher:
        assert launcher.wait() == 0, launcher.log
    assert all_end(jar)
    assert files_below(home / "out") == audited_here(home)


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
        with Launcher(home, [*flink.command(), *chosen]) as launcher:
            assert launcher.wait() == 1
            last = launcher.log.splitlines()[-1]
            assert last.startswith("causalprint: on the worker "), launcher.log
            assert says in last


def _states(flink: Cluster, name: str) -> list[str]:
    return [job["state"] for job in flink.told("jobs/overview")["jobs"] if job["name"] == name]
