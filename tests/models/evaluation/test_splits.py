"""Splits hold origins and contents apart, whatever the images; near-duplicates count as one content."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from causalprint.models.evaluation.duplicates import difference_hashes, join_near_duplicates
from causalprint.models.evaluation.splits import Split, SplitError, hold_out_validation, rotate_origins, weigh_as_tested
from tests.bundles import photograph

ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 400)), min_size=20, max_size=120)


def split_of(rows: list[tuple[int, int, int]], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Split]:
    sources, origins, contents = (np.array([f"{column}" for column in column_of]) for column_of in zip(*rows, strict=True))
    return sources, origins, contents, rotate_origins(sources, origins, contents, seed)


@given(ROWS, st.integers(0, 5))
def test_no_content_and_no_tested_origin_is_on_two_sides_and_every_source_is_learned_from(
    rows: list[tuple[int, int, int]], seed: int
) -> None:
    try:
        sources, origins, contents, split = split_of(rows, seed)
    except SplitError:
        reject()
    sides = [set(contents[side]) for side in split]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    assert set(sources[split.train]) == set(sources)
    for source in set(sources):
        of_source = sources == source
        tested = set(origins[of_source & split.test])
        if len(set(origins[of_source])) > 1:
            assert len(tested) == 1
            assert not tested & set(origins[of_source & ~split.test])


def test_seeds_rotate_through_the_origins() -> None:
    rows = [(0, origin, 10 * origin + place) for origin in range(3) for place in range(10)]
    tested = []
    for seed in range(4):
        _, origins, _, split = split_of(rows, seed)
        tested.append("".join(sorted(set(origins[split.test]))))
        assert split.test.sum() == 10
        assert split.train.sum() + split.validation.sum() == 20
    assert tested == ["0", "1", "2", "0"]


def test_a_source_with_one_origin_is_split_by_content() -> None:
    _, _, contents, split = split_of([(0, 0, place // 2) for place in range(200)], 0)
    assert [round(side.mean(), 2) for side in split] == pytest.approx([0.64, 0.11, 0.25], abs=0.03)
    assert not set(contents[split.train]) & set(contents[split.test])


def test_in_finding_a_temperature_new_origins_weigh_as_in_the_test() -> None:
    three = [(0, origin, 100 * origin + place) for origin, count in enumerate((10, 10, 60)) for place in range(count)]
    two = [(1, origin, 300 + 20 * origin + place) for origin in range(2) for place in range(20)]
    one = [(2, 0, 400 + place) for place in range(20)]
    sources, origins, _, split = split_of(three + two + one, 0)
    weights = weigh_as_tested(split, sources, origins)
    tuned = sources[split.validation]
    assert len(weights) == split.validation.sum()
    assert weights.mean() == pytest.approx(1)
    # Of source 0 alone is the validation of an origin that was not learned from; of the test, all but source 2 is.
    new = (sources[split.test] != "2").mean()
    assert weights[tuned == "0"].sum() / weights.sum() == pytest.approx(new)
    assert weights[tuned == "1"].sum() == pytest.approx(weights[tuned == "2"].sum())


@given(ROWS, st.integers(0, 5))
def test_every_validation_has_weights(rows: list[tuple[int, int, int]], seed: int) -> None:
    try:
        sources, origins, _, split = split_of(rows, seed)
    except SplitError:
        reject()
    if split.validation.any():
        weights = weigh_as_tested(split, sources, origins)
        assert weights.shape == (split.validation.sum(),)
        assert weights.mean() == pytest.approx(1)
        assert (weights >= 0).all()


def test_sources_that_share_contents_give_the_same_ones_away() -> None:
    sources, _, contents, split = split_of([(source, 0, place) for source in range(3) for place in range(40)], 1)
    for side in split:
        assert len({tuple(sorted(contents[side & (sources == source)])) for source in set(sources)}) == 1
    assert sum(side.sum() for side in split) == 120


def test_a_small_origin_is_held_out_whole_to_tune_on_and_a_large_one_by_half() -> None:
    sources = np.array(["a"] * 20 + ["b"] * 20)
    origins = np.array(["x"] * 16 + ["y"] * 4 + ["x"] * 12 + ["y"] * 8)
    contents = np.arange(40).astype(str)
    train, validation = hold_out_validation(sources, origins, contents, 0)
    assert validation[16:20].all()
    assert validation[32:].sum() == 4
    assert validation.sum() == 8
    assert (train ^ validation).all()


def test_what_cannot_be_learned_from_is_named() -> None:
    sources, origins = np.array(["a", "a", "b"]), np.array(["x", "y", "x"])
    with pytest.raises(SplitError, match="nothing is left to learn b from"):
        rotate_origins(sources, origins, np.array(["1", "2", "1"]), 0)


def test_copies_that_were_encoded_anew_or_brightened_join_and_others_do_not() -> None:
    crops = [photograph(seed) for seed in range(20)]
    draw = np.random.default_rng(0)
    noisy = np.clip(crops[3] + draw.normal(0, 4, crops[3].shape), 0, 255).astype(np.uint8)
    brighter = np.clip(crops[7] * 0.8 + 40, 0, 255).astype(np.uint8)
    flat = [np.full((256, 256, 3), shade, np.uint8) for shade in (10, 200)]
    names = np.array([f"{place:02d}" for place in range(24)])
    joined = join_near_duplicates(names, difference_hashes(np.stack([*crops, noisy, brighter, *flat])))
    assert joined[20] == "03"
    assert joined[21] == "07"
    assert (joined[:20] == names[:20]).all()
    assert (joined[22:] == names[22:]).all()


def test_near_duplicates_join_whole_contents() -> None:
    base = 0x0F0F_33CC_5A5A_9669
    hashes = np.array([base, ~base & (2**64 - 1), base ^ 0b11, 0x1234_5678_9ABC_DEF0], np.uint64)
    joined = join_near_duplicates(np.array(["a", "b", "b", "c"]), hashes)
    assert joined.tolist() == ["a", "a", "a", "c"]
