"""The structure study finds what is there, and no more than chance where nothing is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from causalprint.research.structure.designs import DESIGNS, Design
from causalprint.research.structure.study import nmi, structure_study

SOURCES = np.array([f"model-{place}" for place in range(8)])


def fingerprints_of(groups: list[int], seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.str_]]:
    """30 images a source, each source a little of its own, around the centre of its group."""
    draw = np.random.default_rng(seed)
    centres = 6 * draw.normal(0, 1, (max(groups) + 1, 16))
    offsets = draw.normal(0, 0.3, (len(groups), 16))
    rows = [centres[group] + offset + draw.normal(0, 1, (30, 16)) for group, offset in zip(groups, offsets, strict=True)]
    return np.concatenate(rows).astype(np.float32), np.repeat(SOURCES, 30)


def of(first: npt.NDArray[np.int64], second: npt.NDArray[np.generic]) -> float:
    return nmi(contingency_matrix(first, second))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=40))
def test_nmi_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(labels) for labels in zip(*pairs, strict=True))
    if len(set(first)) > 1 and len(set(second)) > 1:
        assert of(first, second) == pytest.approx(normalized_mutual_info_score(first, second), abs=1e-9)
    else:
        assert of(first, second) == 0


def test_nmi_is_one_for_the_same_grouping_under_other_names_and_small_for_a_shuffled_one() -> None:
    labels = np.arange(600) % 5
    assert of(labels, np.array(list("bdaec"))[labels]) == pytest.approx(1)
    assert of(labels, np.random.default_rng(0).permutation(labels)) < 0.05


def test_a_choice_that_groups_fingerprints_is_found_and_one_that_does_not_is_chance() -> None:
    fingerprints, sources = fingerprints_of([0, 0, 0, 0, 1, 1, 1, 1], seed=0)
    designs = {
        source: Design(family="gan" if place < 4 else "diffusion", upsampling=("nearest", "transposed")[place % 2])
        for place, source in enumerate(SOURCES.tolist())
    }
    rows = {row.choice: row for row in structure_study(fingerprints, sources, designs, seed=0)}
    assert rows.keys() == {"family", "upsampling"}
    assert rows["family"].nmi > 0.95
    assert rows["family"].p < 0.05
    assert rows["family"].nmi > rows["family"].chance + 0.5
    assert rows["upsampling"].nmi < 0.1
    assert rows["upsampling"].p > 0.2
    assert (rows["family"].values, rows["family"].sources, rows["family"].images) == (2, 8, 240)
    assert structure_study(fingerprints, sources, designs, seed=0) == list(rows.values())


def test_images_without_a_declared_design_are_left_out() -> None:
    fingerprints, sources = fingerprints_of([0, 1, 0, 1, 0, 1, 0, 1], seed=1)
    sources = np.where(sources == "model-7", "real", sources)
    designs = {source: Design(space=("pixel", "latent")[place % 2]) for place, source in enumerate(SOURCES[:7].tolist())}
    designs["model-6"] = Design()
    (row,) = structure_study(fingerprints, sources, designs, seed=0)
    assert (row.choice, row.sources, row.images) == ("space", 6, 180)
    assert structure_study(fingerprints[:0], sources[:0], designs, seed=0) == []


def test_declared_values_are_of_the_stated_vocabularies() -> None:
    stated = {
        "family": {"gan", "diffusion", "autoregressive", "reconstruction"},
        "space": {"pixel", "latent"},
        "upsampling": {"nearest", "transposed", "filtered", "pixelshuffle"},
        "compression": {"none", "4", "8"},
        "decoder_loss": {"adversarial", "plain"},
    }
    for source, design in DESIGNS.items():
        for choice, value in design._asdict().items():
            assert value is None or value in stated[choice], source
        assert design.space != "pixel" or design.compression == "none", source
