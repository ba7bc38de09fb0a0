"""Stores fail here all the time: each test has a budget of retries of its own."""

from __future__ import annotations

import pytest

from causalprint.transforms.storage.retries import Budget


@pytest.fixture(autouse=True)
def full_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as a process begins with."""
    monkeypatch.setattr("causalprint.transforms.storage.retries._budget", Budget())
