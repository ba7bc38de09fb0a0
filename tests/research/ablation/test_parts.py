"""Rows of an ablation differ from the recipe in one part; what they measure can be told from what is known of the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from causalprint.models.evaluation.splits import Split, rotate_origins
from causalprint.models.training.examples import Labelled
from causalprint.models.training.recipe import Recipe, load_recipe, recipe_names
from causalprint.research.ablation.parts import FULL, try_out, variants
from tests.models.training.worlds import CLASSES, OURS, PER_ORIGIN, SIZES, a_world

OWN_CONTENT = 2 * CLASSES * PER_ORIGIN


def a_split(labelled: Labelled) -> Split:
    names = np.array([f"{label}" for label in labelled.labels.tolist()])
    return rotate_origins(names, labelled.images.origin, labelled.images.content, 0)


def another_content_each(labelled: Labelled) -> Labelled:
    """So that no image shares a content with the test."""
    return labelled._replace(images=replace(labelled.images, content=np.array([f"{place}" for place in range(OWN_CONTENT)])))


def row(recipe: Recipe, name: str) -> Recipe:
    return next(one.recipe for one in variants(recipe) if one.name == name)


@pytest.mark.parametrize("name", recipe_names())
def test_every_row_differs_from_the_recipe_and_reads_what_the_recipe_reads(name: str) -> None:
    recipe = load_recipe(name)
    first, *others = variants(recipe)
    assert (first.name, first.recipe) == (FULL, recipe)
    assert len({one.name for one in others}) == len(others)
    for one in others:
        assert one.recipe != recipe
        assert set(one.recipe.lenses) <= set(recipe.lenses)
        assert set(one.recipe.interventions) <= set(recipe.interventions)
        assert replace(one.recipe, name="x") != replace(recipe, name="x")
    assert [one.recipe.lenses for one in others if one.lens] == [(use,) for use in recipe.lenses]


def test_ours_has_a_row_for_each_of_its_parts() -> None:
    names = {one.name for one in variants(load_recipe("default")) if not one.lens}
    parts = (
        "closed-form from-scratch no-contrast no-hard no-invariance no-independence no-swap adversary no-interventions first last"
    )
    assert names >= {*parts.split(), "f1", "f2", "autoencoder", "attention", "images", "residuals"}


def test_a_row_without_a_part_has_that_part_alone_taken_out() -> None:
    assert row(OURS, "no-invariance") == replace(OURS, objective=replace(OURS.objective, invariance=0))
    adversary = row(OURS, "adversary").objective
    assert (adversary.independence, adversary.adversary) == (0, OURS.objective.independence)
    assert row(OURS, "closed-form").optimiser.epochs == 0
    assert row(OURS, "images").lenses == OURS.lenses[1:]
    assert row(OURS, "from-scratch").optimiser.epochs > OURS.optimiser.epochs


def test_of_three_lenses_each_has_a_row_without_it() -> None:
    recipe = load_recipe("default")
    names = [f"no-{use.lens}/{use.reading}" for use in recipe.lenses]
    without = [one.recipe for one in variants(recipe) if one.name in names]
    assert [set(recipe.lenses) - set(one.lenses) for one in without] == [{use} for use in recipe.lenses]
    assert not any("without rgb" in one.title for one in variants(OURS))  # of two it is a row already, the other alone


def test_a_lens_that_tells_sources_is_told_from_one_that_does_not() -> None:
    labelled = another_content_each(a_world(gap=8))
    split = a_split(labelled)
    accuracies, detected = [], []
    for name in ("rgb/residual", "dct/image"):
        run, _, _, detection = try_out(row(OURS, name), OURS, labelled, CLASSES, split, 0)
        detected.append([one.auc for one in detection])
        assert np.array_equal(run.rows, np.flatnonzero(split.test))
        accuracies.append(float(np.mean(run.scores.argmax(axis=1) == labelled.labels[run.rows])))
    assert SIZES[0] == 20, "the axes that tell sources are all of the first lens"
    assert accuracies[0] > 0.8
    assert accuracies[1] < 0.6
    assert min(detected[0]) > 0.9  # as they are, and in the other version
    assert max(detected[1]) < 0.7


def test_paintings_are_no_photographs_that_generated_images_are_told_from() -> None:
    labelled = another_content_each(a_world(gap=8))
    painted = np.where(labelled.labels == 0, "real-art", labelled.images.source)
    changed = labelled._replace(images=replace(labelled.images, source=painted))
    _, _, _, detection = try_out(OURS, OURS, changed, CLASSES, a_split(labelled), 0)
    assert all(np.isnan(value) for one in detection for value in one)


def test_decoupling_is_measured_in_all_views_whatever_was_learned_from() -> None:
    labelled = another_content_each(a_world(gap=4))
    split = a_split(labelled)
    without = row(OURS, "no-interventions")
    moved = labelled._replace(features=labelled.features.copy())
    moved.features[split.test, 1] += np.float16(3)
    still = try_out(without, OURS, labelled, CLASSES, split, 0)
    shifted = try_out(without, OURS, moved, CLASSES, split, 0)
    assert np.array_equal(still.run.scores, shifted.run.scores)
    assert 0 < still.invariance < shifted.invariance
    one_view = labelled._replace(features=labelled.features[:, :1], style=labelled.style[:, :1])
    assert np.isnan(try_out(without, replace(OURS, interventions=()), one_view, CLASSES, split, 0).invariance)


def test_of_two_interventions_alike_each_gives_a_view() -> None:
    labelled = another_content_each(a_world(gap=4))
    features = np.concatenate([labelled.features, labelled.features[:, 1:] + np.float16(3)], axis=1)
    style = np.concatenate([labelled.style, labelled.style[:, 1:]], axis=1)
    split, twice = a_split(labelled), replace(OURS, interventions=2 * OURS.interventions)
    both = try_out(twice, twice, labelled._replace(features=features, style=style), CLASSES, split, 0)
    one = try_out(OURS, OURS, labelled, CLASSES, split, 0)
    assert not np.array_equal(both.run.scores, one.run.scores)
    same = labelled._replace(features=features[:, [0, 1, 1]], style=style)
    assert not np.array_equal(both.run.scores, try_out(twice, twice, same, CLASSES, split, 0).run.scores)


def test_fingerprints_that_follow_content_are_less_independent() -> None:
    labelled = another_content_each(a_world(gap=4))
    split = a_split(labelled)
    shown = labelled.thumbnail[:, :1]
    grey = labelled._replace(thumbnail=np.repeat(shown, labelled.thumbnail.shape[1], axis=1))
    leaking = grey._replace(features=(labelled.features.astype(np.float32) + shown[:, None] / 8).astype(np.float16))
    apart, following = (try_out(row(OURS, "closed-form"), OURS, one, CLASSES, split, 0) for one in (grey, leaking))
    assert 0 <= apart.independence < following.independence <= 1
