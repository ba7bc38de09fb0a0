"""Names of runs."""

from __future__ import annotations

import time

from causalprint.schemas.runs import new_run


def test_runs_of_one_second_sort_as_they_came() -> None:
    names = []
    for _ in range(10):
        names.append(new_run()[0])
        time.sleep(0.0001)
    assert names == sorted(names)
    assert {len(name) for name in names} == {25}
