"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import gcs_server, gcs_store, object_store, s3_server, s3_store

__all__ = ["gcs_server", "gcs_store", "object_store", "s3_server", "s3_store", "tiny"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tiny, real bundle; nothing changes it."""
    from tests.bundles import tiny_bundle

    return tiny_bundle(tmp_path_factory.mktemp("tiny")).directory
