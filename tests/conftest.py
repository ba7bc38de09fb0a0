"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.forks import Forks
from tests.servers import gcs_server, gcs_store, object_store, s3_server, s3_store

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle

__all__ = ["bundle", "forks", "gcs_server", "gcs_store", "object_store", "s3_server", "s3_store", "tiny"]

# The models of the tests are tiny: threads waiting for each other would take most of the time, by far on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # where a command takes more all the same

# A busy machine is no failure: pytest's own timeout is the only clock.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with many slow tests come first: of several processes none is left with a long one at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny, real bundle, which no test changes."""
    from tests.bundles import tiny_bundle

    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(bundle: Bundle) -> Path:
    """Its directory."""
    return bundle.directory


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Starts processes that run the command, at once."""
    with Forks(tmp_path_factory.mktemp("forks")) as started:
        yield started
