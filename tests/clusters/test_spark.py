"""Audits on a real Spark cluster, with what happens to it: the same files as on this machine, and no job that nobody wants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clusters.cluster import SLICES, Cluster, Launcher, audited_here, committed, executors_of, kill, started
from tests.outputs import files_below

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two executors of one core each, started here unless the environment names a cluster."""
    with started("spark", tmp_path_factory.mktemp("spark")) as cluster:
        yield cluster


def test_spark_writes_the_same_files_though_an_executor_is_killed(spark: Cluster, home: Path) -> None:
    with Launcher(home, spark.command()) as launcher:
        launcher.wait_until(lambda: committed(home) > 0)
        kill(executors_of(spark.workers[0])[0])
        assert launcher.wait() == 0, launcher.log
    assert files_below(home / "out") == audited_here(home)


def test_a_launcher_that_is_stopped_cancels_its_job_on_spark(spark: Cluster, home: Path) -> None:
    with Launcher(home, spark.command()) as launcher:
        launcher.wait_until(lambda: committed(home) > 0)
        assert launcher.stop() == 143
        launcher_said = launcher.log
    assert "is cancelled on the cluster; the same command resumes" in launcher_said
    assert spark.told("json/")["activeapps"] == []
    assert 0 < committed(home) < SLICES
