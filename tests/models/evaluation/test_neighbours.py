"""Neighbours are of other collections: of the same source if fingerprints are of that, of the same scene if they are of this."""

from __future__ import annotations

import numpy as np
import pytest

from causalprint.models.evaluation.neighbours import NEAREST, neighbours

EACH = 60
SOURCE = np.repeat(["alpha", "beta", "gamma"], EACH)
ORIGIN = np.tile(["a", "b", "c"], EACH)
TENTH = np.tile(np.arange(10), 18)


@pytest.mark.parametrize(("by", "source", "content"), [("source", 1.0, 0.1), ("content", 0.25, 1.0)])
def test_what_fingerprints_are_of_is_what_neighbours_share(by: str, source: float, content: float) -> None:
    draw = np.random.default_rng(0)
    place = np.unique(SOURCE, return_inverse=True)[1] if by == "source" else TENTH
    fingerprints = np.eye(128)[place] + draw.normal(0, 0.02, (len(SOURCE), 128))
    found = neighbours(fingerprints.astype(np.float16), SOURCE, ORIGIN, TENTH)
    assert found.of.all()
    assert found.source.mean() == pytest.approx(source, abs=0.06)
    assert found.content.mean() == pytest.approx(content, abs=0.06)
    assert found.source_by_chance.mean() == pytest.approx(40 / 160)


def test_an_image_of_the_same_collection_is_no_neighbour() -> None:
    fingerprints = np.eye(128)[np.unique(np.char.add(SOURCE, ORIGIN), return_inverse=True)[1]]
    found = neighbours(fingerprints, SOURCE, ORIGIN, TENTH)
    whole = fingerprints @ fingerprints.T
    assert (np.sort(whole, axis=1)[:, -NEAREST:] == 1).all()  # within the collection there were ten of the same
    assert found.source.mean() < 0.6


def test_they_are_those_of_a_search_one_by_one() -> None:
    draw = np.random.default_rng(1)
    fingerprints = draw.normal(size=(len(SOURCE), 128))
    found = neighbours(fingerprints, SOURCE, ORIGIN, TENTH)
    unit = fingerprints / np.linalg.norm(fingerprints, axis=1)[:, None]
    for row in range(0, len(SOURCE), 17):
        others = np.flatnonzero((SOURCE[row] != SOURCE) | (ORIGIN[row] != ORIGIN))
        nearest = others[np.argsort(-(unit[others] @ unit[row]))[:NEAREST]]
        assert found.source[row] == pytest.approx((SOURCE[nearest] == SOURCE[row]).mean())
        assert found.content[row] == pytest.approx((TENTH[nearest] == TENTH[row]).mean())


def test_who_has_no_fingerprint_or_no_other_collection_is_not_asked() -> None:
    fingerprints = np.random.default_rng(2).normal(size=(len(SOURCE), 128))
    fingerprints[5] = 0
    origin = np.where(SOURCE == "gamma", "only", ORIGIN)
    found = neighbours(fingerprints, SOURCE, origin, TENTH)
    assert found.of.tolist() == ((SOURCE != "gamma") & (np.arange(len(SOURCE)) != 5)).tolist()
