"""What is audited on clusters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audits import photographs_tar
from tests.clusters.cluster import IMAGES_A_SLICE, SHARDS, SLICES


@pytest.fixture(scope="session")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of as many slices each."""
    folder = tmp_path_factory.mktemp("crawl")
    images = SLICES * IMAGES_A_SLICE // SHARDS
    for number in range(SHARDS):
        photographs_tar(folder / f"{number}.tar", range(100 * number, 100 * number + images))
    return folder


@pytest.fixture
def home(tmp_path: Path, crawl: Path, tiny: Path) -> Path:
    """A folder to start the command in, with ``crawl`` and the bundle ``tiny`` in it."""
    (tmp_path / "crawl").symlink_to(crawl)
    (tmp_path / "tiny").symlink_to(tiny)
    return tmp_path
