"""Clusters, and what is audited on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audits import photographs_tar
from tests.clusters.cluster import Cluster, started

SHARDS, IMAGES = 4, 40


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two TaskManagers of one slot each, started here unless the environment names a cluster."""
    with started("flink", tmp_path_factory.mktemp("flink")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two executors of one core each, likewise."""
    with started("spark", tmp_path_factory.mktemp("spark")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards, 80 slices of two images in all."""
    folder = tmp_path_factory.mktemp("crawl")
    for number in range(SHARDS):
        photographs_tar(folder / f"{number}.tar", range(100 * number, 100 * number + IMAGES))
    return folder


@pytest.fixture
def home(tmp_path: Path, crawl: Path, tiny: Path) -> Path:
    """A folder to start the command in, with ``crawl`` and the bundle ``tiny`` in it."""
    (tmp_path / "crawl").symlink_to(crawl)
    (tmp_path / "tiny").symlink_to(tiny)
    return tmp_path
