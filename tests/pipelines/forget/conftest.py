"""The output from which rows are to go."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from causalprint.pipelines import forget_runs
from tests.pipelines.forget.erased import (
    begun,
    copied,
)


@pytest.fixture(autouse=True, scope="module")
def clock() -> Iterator[None]:
    """Seconds pass from run to run, so that none waits for the next."""
    seconds = count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forget_runs, "new_run", lambda: (f"{20260201 + next(seconds)}T000000Z-00000000", "2026-02-01T00:00:00"))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole") / "OUT"
    begun(str(root))
    return root


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return copied(whole, tmp_path / "OUT")
