from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from causalprint.models.statistics.nearest import directions, nearest


@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(1, 4), st.integers(1, 12), st.sampled_from([-1.0, 0.0, 0.2, 2.0]))
def test_nothing_that_is_among_the_nearest_is_missed_and_no_similarity_depends_on_the_block(
    seed: int, count: int, asked: int, top: int, at_least: float
) -> None:
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((count, 8)).astype(np.float16)
    rows[draw.random(count) < 0.2] = 0
    rows[draw.random(count) < 0.3] = rows[:1]
    queries = directions(draw.standard_normal((asked, 8)))
    near = nearest(rows, queries, top, at_least)
    for query in range(asked):
        like = {
            row: float((directions(rows[row : row + 1])[0] * queries[query]).sum()) for row in range(count) if rows[row].any()
        }
        here = near.query == query
        found = dict(zip(near.row[here].tolist(), near.similarity[here].tolist(), strict=True))
        assert all(like[row] == similarity >= at_least for row, similarity in found.items())
        eligible = sorted((similarity for similarity in like.values() if similarity >= at_least), reverse=True)
        assert sorted(found.values(), reverse=True)[:top] == eligible[:top]
