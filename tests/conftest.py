"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.forks import Forks
from tests.servers import gcs_server, gcs_store, object_store, s3_server, s3_store

__all__ = ["forks", "gcs_server", "gcs_store", "object_store", "s3_server", "s3_store", "tiny"]

# The models of the tests are tiny: threads waiting for each other would take most of the time, by far on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # where a command takes more all the same

# A busy machine is no failure: pytest's own timeout is the only clock.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tiny, real bundle."""
    from tests.bundles import tiny_bundle

    return tiny_bundle(tmp_path_factory.mktemp("tiny")).directory


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Starts processes that run the command, at once."""
    with Forks(tmp_path_factory.mktemp("forks")) as started:
        yield started
