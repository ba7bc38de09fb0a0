"""Processes that die between two writes to an output on disk, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from causalprint.transforms.tables import output as writing
from causalprint.transforms.tables.output import Output


class KilledError(BaseException):
    """As if the process were gone."""


def killed_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has the process die at its next write or removal after so many of them; returns their paths below OUT, as they come."""
    monkeypatch.undo()
    done: list[str] = []
    put, remove = writing._put_local, Output.remove

    def one_more(path: str) -> None:
        if len(done) >= writes:
            raise KilledError
        done.append(path.rpartition("/OUT/")[2])

    def counted_put(path: Path, data: bytes, part: Path, *, exclusive: bool) -> None:
        one_more(path.as_posix())
        put(path, data, part, exclusive=exclusive)

    def counted_remove(self: Output, path: str) -> None:
        one_more(path)
        remove(self, path)

    monkeypatch.setattr(writing, "_put_local", counted_put)
    monkeypatch.setattr(Output, "remove", counted_remove)
    return done
