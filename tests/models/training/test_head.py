"""The head finds what separates sources, says honestly how well on what it has not seen, and fits its bundle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from causalprint.models.bundles.manifest import ART, Feature, Network, attribution_shapes, fingerprint_shapes
from causalprint.models.evaluation.bundle_figures import audit_shortcuts, evaluate_head
from causalprint.models.network.fusion import load_network
from causalprint.models.network.reduction import CLIP
from causalprint.models.statistics.discriminant import discriminants
from causalprint.models.statistics.origins import split_folds
from causalprint.models.training.head import Head, HeadConfig, fit_head
from causalprint.models.training.recipe import Optimiser, Recipe
from causalprint.schemas.tables import FINGERPRINT_DIM
from tests.models.training.worlds import CLASSES, OURS, PER_ORIGIN, SIZES, a_world

FEATURES = (Feature("a", "residual", SIZES[0]), Feature("b", "image", SIZES[1]))
SOURCES = ("real", "one", "another")
TWO_FOLDS = HeadConfig(folds=2)
PAPER = replace(
    OURS, fusion="f2", autoencoder=True, attributor="attention", closed_form=False, optimiser=Optimiser(epochs=1, batch=64)
)


def fit(gap: float, recipe: Recipe = OURS) -> tuple[Head, npt.NDArray[np.int64]]:
    labelled = a_world(gap)
    return fit_head(labelled, FEATURES, SOURCES, recipe, TWO_FOLDS), labelled.labels


def fingerprints(head: Head, features: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    """Of features (N, D), by the tensors that a bundle would hold."""
    tensors = {key: torch.from_numpy(value) for key, value in head.fingerprint.items()}
    parts = torch.from_numpy(features.astype(np.float32)).split([one.size for one in FEATURES], dim=1)
    standardised = [
        ((part - tensors[f"{one.key}.mean"]) / tensors[f"{one.key}.scale"]).clamp(-CLIP, CLIP)
        for one, part in zip(FEATURES, parts, strict=True)
    ]
    rows: npt.NDArray[np.float32] = load_network(tensors, FEATURES, head.network)(standardised).fingerprint.numpy()
    return rows


def test_sources_that_differ_are_told_apart_on_origins_it_has_not_seen() -> None:
    head, labels = fit(10.0)
    assert (head.held_out.argmax(axis=1) == labels).mean() > 0.95
    np.testing.assert_allclose(head.held_out.sum(axis=1), 1, rtol=1e-5)


def test_where_nothing_differs_it_claims_nothing() -> None:
    head, labels = fit(0.0)
    assert (head.held_out.argmax(axis=1) == labels).mean() < 0.5
    assert head.held_out.max(axis=1).mean() < 0.6


def test_generated_images_are_told_from_others_on_origins_it_has_not_seen() -> None:
    head, labels = fit(10.0)
    made, decision = labels > 0, head.decision
    assert (head.generated[made] >= decision.generated_limit).mean() > 0.9
    assert (head.generated[~made] >= decision.generated_limit).mean() <= 0.01 + 1 / (~made).sum()
    assert (head.generated[~made] <= decision.cleared_limit).mean() > 0.9
    np.testing.assert_allclose(head.held_out[:, 1:].sum(axis=1), head.generated, atol=1e-5)


def test_paintings_are_a_rival_of_their_own_and_have_no_say_in_limits() -> None:
    world = a_world(10.0)
    painted = world.images.origin == "origin-1"
    labelled = world._replace(images=replace(world.images, source=np.where(painted, ART, world.images.source)))
    assert [set(labelled.rival[painted]), set(labelled.rival[labelled.labels > 0])] == [{1}, {-1}]
    head = fit_head(labelled, FEATURES, SOURCES, OURS, TWO_FOLDS)
    assert head.network.rivals == 2
    np.testing.assert_array_equal(np.isnan(head.generated), painted)
    rows = fingerprints(head, labelled.features[:, 0])
    scores = rows @ head.attribution["generated.weight"].T + head.attribution["generated.bias"]
    made = labelled.labels > 0
    for rival in range(2):
        assert scores[made, rival].min() > scores[labelled.rival == rival, rival].max()


def test_the_tensors_give_the_scores_that_were_fitted() -> None:
    head, labels = fit(6.0)
    rows = fingerprints(head, a_world(6.0).features[:, 0])
    assert rows.shape == (len(labels), FINGERPRINT_DIM)
    assert np.isfinite(rows.astype(np.float16)).all()
    scores = rows @ head.attribution["weight"].T + head.attribution["bias"]
    assert (scores.argmax(axis=1) == labels).mean() > 0.97


@pytest.mark.parametrize("recipe", [OURS, PAPER], ids=["ours", "paper"])
def test_the_tensors_have_the_shapes_that_the_manifest_implies(recipe: Recipe) -> None:
    head, _ = fit(6.0, recipe)
    assert head.network == Network(recipe.fusion, recipe.autoencoder, recipe.attributor)
    shapes = [{key: value.shape for key, value in part.items()} for part in (head.fingerprint, head.attribution)]
    assert shapes == [fingerprint_shapes(FEATURES, head.network), attribution_shapes(SOURCES, head.network)]
    assert {value.dtype for key, value in head.fingerprint.items() if key.endswith("projection")} == {np.dtype(np.float16)}
    assert all(np.isfinite(value).all() for value in (*head.fingerprint.values(), *head.attribution.values()))


def test_what_bears_no_source_is_unknown_and_what_bears_one_is_let_through() -> None:
    head, _ = fit(10.0)

    def unknown(gap: float) -> float:
        rows = fingerprints(head, a_world(gap, seed=1).features[:, 0])
        familiar = discriminants(head.attribution["centre"], head.attribution["whitening"])(rows).max(axis=1)
        return float((familiar / head.decision.novelty_spread < head.decision.novelty_limit).mean())

    assert unknown(0.0) > 0.8
    assert unknown(10.0) < 0.2
    assert np.nanmean(head.novelty > 1) == pytest.approx(0.05, abs=0.02)


def test_the_fingerprints_of_a_source_are_about_its_centre() -> None:
    head, labels = fit(10.0)
    rows = fingerprints(head, a_world(10.0).features[:, 0])
    apart = np.square((rows[:, None] - head.attribution["centre"]) @ head.attribution["whitening"]).mean(axis=2)
    assert (apart.argmin(axis=1) == labels).all()
    assert 0.2 < float(apart.min(axis=1).mean()) < 2


def test_validation_images_set_limits_and_are_never_learned_from() -> None:
    held_out = np.arange(2 * CLASSES * PER_ORIGIN) % 4 == 0
    labelled = a_world(6.0)
    shuffled = labelled.labels.copy()
    shuffled[held_out] = (labelled.labels[held_out] + 1) % CLASSES
    heads, losses = [], []
    for labels in (labelled.labels, shuffled):
        told: list[str] = []
        heads.append(fit_head(labelled._replace(labels=labels), FEATURES, SOURCES, OURS, HeadConfig(), held_out, told.append))
        losses.append([line.partition(", validation")[0] for line in told])
    head, other = heads
    assert np.isnan(head.held_out[~held_out]).all()
    assert np.isfinite(head.held_out[held_out]).all()
    assert losses[0] == losses[1]
    assert len(losses[0]) == OURS.optimiser.epochs
    assert other.decision != head.decision


def test_only_images_of_origins_that_were_not_learned_from_count_as_unseen() -> None:
    labelled = a_world(6.0)
    last = np.arange(2 * CLASSES * PER_ORIGIN) % PER_ORIGIN >= PER_ORIGIN // 2
    of_second_origin = np.arange(2 * CLASSES * PER_ORIGIN) // PER_ORIGIN % 2 == 1

    def figures(held_out: npt.NDArray[np.bool_]) -> dict[str, str]:
        head = fit_head(labelled, FEATURES, SOURCES, OURS, HeadConfig(), held_out)
        found = evaluate_head(head, SOURCES, labelled.labels, labelled.images.origin, labelled.images.content, seed=0)
        return {figure.name: figure.note for figure in found}

    assert "macro recall, unseen origins" not in figures(last)
    assert figures(of_second_origin)["macro recall, unseen origins"] == "held-out images of origins that were not learned from"


@pytest.mark.parametrize("recipe", [OURS, PAPER], ids=["ours", "paper"])
def test_two_fits_of_one_seed_are_the_same(recipe: Recipe) -> None:
    first, second = fit(2.0, recipe)[0], fit(2.0, recipe)[0]
    assert first.decision == second.decision
    for mine, its in ((first.fingerprint, second.fingerprint), (first.attribution, second.attribution)):
        assert mine.keys() == its.keys()
        assert all(np.array_equal(mine[key], its[key]) for key in mine)


def test_the_figures_have_intervals_that_hold_their_value_and_audits_stay_at_chance() -> None:
    head, labels = fit(10.0)
    labelled = a_world(10.0)
    alone = np.array([f"content-{place}" for place in range(len(labels))])
    draw = np.random.default_rng(0)
    figures = evaluate_head(head, SOURCES, labels, labelled.images.origin, alone, seed=0)
    figures += audit_shortcuts(
        draw.integers(1000, 9000, len(labels)),
        draw.integers(0, 256, (len(labels), 12)).astype(np.uint8),
        labels,
        alone,
        split_folds(labels, labelled.images.origin, alone, 2, 0),
        seed=0,
        threads=1,
    )
    by_name = {figure.name: figure for figure in figures}
    assert all(figure.low <= figure.value <= figure.high for figure in figures)
    assert by_name["macro recall"].value > 0.8
    assert all(by_name[f"recall, {source}"].value > 0.7 for source in SOURCES)
    assert by_name["generated against photographs, AUC"].value > 0.9
    for name in ("shortcut audit: file size alone", "shortcut audit: 16x16 thumbnail"):
        assert by_name[name].value < 0.5
