"""Fixtures for all tests."""

from __future__ import annotations

from tests.servers import gcs_server, gcs_store, object_store, s3_server, s3_store

__all__ = ["gcs_server", "gcs_store", "object_store", "s3_server", "s3_store"]
