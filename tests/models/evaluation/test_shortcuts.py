"""Audits of shortcuts find what gives a source away, and nothing where labels are shuffled."""

from __future__ import annotations

import numpy as np

from causalprint.models.evaluation.shortcuts import file_features, fit_forest, shuffled_labels, thumbnails


def test_a_shortcut_is_found_and_shuffled_labels_are_not() -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 60)
    encoded = 1000 * (1 + labels) + draw.integers(0, 200, 180)
    features = file_features(encoded, np.array(["PNG"] * 180), np.tile([64, 64], (180, 1)))
    held_out = np.arange(180) % 3 == 0
    found = fit_forest(features[~held_out], labels[~held_out], 3, 0, 1)(features[held_out])
    assert np.mean(found.argmax(axis=1) == labels[held_out]) > 0.9
    shuffled = shuffled_labels(labels[~held_out], 0)
    assert sorted(shuffled) == sorted(labels[~held_out])
    blind = fit_forest(features[~held_out], shuffled, 3, 0, 1)(features[held_out])
    assert np.mean(blind.argmax(axis=1) == labels[held_out]) < 0.6


def test_a_thumbnail_is_the_mean_colour_and_the_means_of_cells() -> None:
    crop = np.zeros((2, 64, 64, 3), np.uint8)
    crop[0, :, :32, 0] = 200
    first, second = thumbnails(crop)
    assert first.shape == (771,)
    assert first[:3].tolist() == [100, 0, 0]
    assert first[3:].reshape(16, 16, 3)[:, :8, 0].tolist() == [[200] * 8] * 16
    assert not second.any()
