from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.models.candidates import clusters, named
from causalprint.models.enrolment import Surroundings

KNOWN = Surroundings(("real", "alpha"), np.stack([np.zeros(128), np.full(128, 0.2)]), np.eye(128) * 2)


def test_images_of_new_generators_are_grouped_most_central_first_and_what_is_alone_is_left() -> None:
    draw = np.random.default_rng(0)
    centres = draw.normal(0, 1, (3, 128))
    sizes = (20, 15, 10)
    alone = draw.normal(0, 4, (6, 128))
    groups = [centre + draw.normal(0, 0.2, (size, 128)) for centre, size in zip(centres, sizes, strict=True)]
    rows = np.concatenate([*groups, alone])
    order = draw.permutation(len(rows))
    truth = np.repeat([0, 1, 2, 3], [*sizes, len(alone)])[order]
    found = clusters(rows[order].astype(np.float32), KNOWN, 5)
    assert [set(truth[one.members].tolist()) - {3} for one in found] == [{0}, {1}, {2}]
    assert [int((truth[one.members] < 3).sum()) for one in found] == list(sizes)
    assert sum(int((truth[one.members] == 3).sum()) for one in found) <= 2
    for one in found:
        assert one.likeness.tolist() == sorted(one.likeness.tolist(), reverse=True)
        assert one.cohesion > 0.9
        assert one.nearest in KNOWN.sources
    assert clusters(rows[:4], KNOWN, 5) == []


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 2**16))
def test_names_are_each_once_and_stay_when_nothing_changes_or_clusters_grow(labels: list[int], seed: int) -> None:
    images = [f"{place:064x}" for place in np.random.default_rng(seed).permutation(len(labels)).tolist()]
    found = [[image for image, label in zip(images, labels, strict=True) if label == one] for one in sorted(set(labels))]
    first = named(found, {})
    assert len(set(first)) == len(found)
    before = dict(zip(first, found, strict=True))
    assert named(found, before) == first
    grown = [[*one, *(f"f{len(one)}{number:062x}" for number in range(len(one)))] for one in found]
    assert named(grown[::-1], before) == first[::-1]
    assert set(named([["9" * 64]], before)).isdisjoint(first)


def test_what_falls_apart_leaves_its_name_to_its_largest_part() -> None:
    images = [f"{place:064x}" for place in range(10)]
    names = named([images[:3], images[3:]], {"old": images})
    assert names[1] == "old"
    assert names[0] != "old"
    assert named([images], {"a": images[:6], "b": images[6:]}) == ["a"]
