"""Metrics on pairs, against counting the pairs one by one."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.models.evaluation.consistency import contents_solved, decoder_moves, swap_consistency, swap_holds

ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=20)
Rows = list[tuple[int, int, int]]


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _pairs(rows: Rows) -> list[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    return [(rows[a], rows[b]) for a, b in permutations(range(len(rows)), 2)]


def _over_sources(rows: Rows, first_right: bool) -> float:
    shares = []
    for source in {row[0] for row in rows}:
        pairs = [(a, b) for a, b in _pairs([row for row in rows if row[0] == source]) if a[1] != b[1]]
        kept = [a[2] == b[2] for a, b in pairs if not first_right or a[2] == source]
        shares += [_mean([float(each) for each in kept])] if kept else []
    return _mean(shares)


@settings(max_examples=80)
@given(ROWS)
def test_pairs_are_counted_as_one_would_by_hand(rows: Rows) -> None:
    source, content, verdict = (np.array(column) for column in zip(*rows, strict=True))
    assert swap_consistency(source, content, verdict) == pytest.approx(_over_sources(rows, False), nan_ok=True)
    assert swap_holds(source, content, verdict) == pytest.approx(_over_sources(rows, True), nan_ok=True)
    other = [float(a[2] != b[2]) for a, b in _pairs(rows) if a[1] == b[1] and a[0] != b[0]]
    assert decoder_moves(source, content, verdict) == pytest.approx(_mean(other), nan_ok=True)
    versions = {row[1]: [each for each in rows if each[1] == row[1]] for row in rows}
    solved = [
        float(all(each[0] == each[2] for each in versions[row[1]]))
        for row in rows
        if len({each[0] for each in versions[row[1]]}) > 1
    ]
    assert contents_solved(source, content, verdict) == pytest.approx(_mean(solved), nan_ok=True)


def test_a_perfect_attribution_passes_and_one_by_content_fails() -> None:
    source, content = np.tile([0, 1, 2], 4), np.repeat(np.arange(4), 3)
    for metric in (swap_consistency, swap_holds, decoder_moves, contents_solved):
        assert metric(source, content, source) == 1
    assert swap_consistency(source, content, content) == 0
    assert decoder_moves(source, content, content) == 0
