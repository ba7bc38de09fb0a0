"""The networks among the baselines: what they share, and what each does to its images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from causalprint.research.methods.base import AUTOENCODERS, Kit
from causalprint.research.methods.cnn import grid, learn, optimise, random_patches, to_images
from causalprint.research.methods.dire_cnn import DIRE_CNN, network
from causalprint.research.methods.dna_det import TRANSFORMATIONS, contrast
from causalprint.research.methods.loaded import residual_of
from causalprint.research.methods.wang20 import blur_and_compress
from causalprint.schemas.arrays import Crops
from tests.research.methods.sources import training_of

KIT = Kit(residual=AUTOENCODERS[0], epochs=3, threads=1)
SIDE = 32


def stripes(count: int, seed: int) -> tuple[Crops, npt.NDArray[np.int64]]:
    """Noise, smoothed down the columns for one source and along the rows for the other: no colour or level tells them apart."""
    draw = np.random.default_rng(seed)
    labels = np.repeat([0, 1], count // 2 + 1)[:count]
    noise = draw.normal(0, 60, (count, SIDE, SIDE, 3))
    smooth = [(image + np.roll(image, 1, axis=label)) / 2 for image, label in zip(noise, labels, strict=True)]
    return (np.stack(smooth) + 128).round().clip(0, 255).astype(np.uint8), labels


def test_a_network_learns_what_only_neighbourhoods_tell_and_does_so_again_for_the_same_seed() -> None:
    crops, labels = stripes(64, seed=0)
    unknown, truth = stripes(16, seed=1)
    training = training_of(crops, labels, classes=2)
    state = torch.get_rng_state()
    one, again = (learn(training, replace(KIT, epochs=8), network)(unknown) for _ in range(2))
    assert (one.argmax(axis=1) == truth).mean() > 0.9
    np.testing.assert_array_equal(one, again)
    short, other = (learn(training._replace(seed=seed), replace(KIT, epochs=1), network)(unknown) for seed in (5, 6))
    assert not np.array_equal(short, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_scores_are_log_probabilities_and_a_source_without_images_is_never_the_answer() -> None:
    crops, labels = stripes(24, seed=0)
    scores = learn(training_of(crops, labels * 2, classes=4), replace(KIT, epochs=1), network)(crops[:6])
    assert scores.shape == (6, 4)
    np.testing.assert_allclose(np.exp(scores[:, [0, 2]]).sum(axis=1), 1, rtol=1e-5)
    assert (scores[:, [1, 3]].max(axis=1) < scores[:, [0, 2]].min(axis=1)).all()


def test_the_best_epoch_is_kept_and_not_the_last() -> None:
    weight = torch.nn.Linear(1, 1, bias=False)
    figures = iter([0.1, 0.5, 0.5, 0.2, 0.4])
    seen: list[float] = []

    def judged() -> float:
        seen.append(float(weight.weight.detach()))
        return next(figures)

    optimise(weight, lambda *_: weight(torch.ones(1, 1)).sum(), 64, 5, 0, KIT.device, judged)
    assert len(set(seen)) == 5
    assert float(weight.weight.detach()) == seen[2]


def test_patches_are_cut_and_mirrored_but_never_resized() -> None:
    crop = np.arange(SIDE * SIDE * 3, dtype=np.float32).reshape(1, SIDE, SIDE, 3)
    patches = random_patches(crop, np.zeros(20, np.int64), 8, np.random.default_rng(0))
    assert patches.shape == (20, 8, 8, 3)
    steps = np.diff(patches[..., 0], axis=2)
    assert set(np.unique(steps)) == {-3, 3}
    assert all((np.isin(patch, crop)).all() for patch in patches)
    assert random_patches(crop, np.zeros(2, np.int64), 100, np.random.default_rng(0)).shape == (2, SIDE, SIDE, 3)


@pytest.mark.parametrize(("side", "count"), [(32, 1), (100, 1), (16, 4), (15, 9), (8, 16)])
def test_a_grid_covers_the_crop(side: int, count: int) -> None:
    crop = np.arange(SIDE * SIDE).reshape(SIDE, SIDE, 1)
    patches = grid(crop, side)
    assert len(patches) == count
    assert np.array_equal(np.unique(patches), np.unique(crop))


def test_bytes_become_zero_to_one_and_other_numbers_stay() -> None:
    patches = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    assert to_images(patches, KIT.device).flatten().tolist() == pytest.approx([0, 0.2, 1])
    assert to_images((patches / 255).astype(np.float16), KIT.device).flatten().tolist() == pytest.approx([0, 0.2, 1], abs=1e-3)


def test_dire_is_the_absolute_residual() -> None:
    crops, _ = stripes(3, seed=2)
    maps = DIRE_CNN.features(crops, KIT)
    assert maps.shape == crops.shape
    assert (maps >= 0).all()
    x = torch.tensor(crops).permute(0, 3, 1, 2) / 255
    expected = (x - residual_of(KIT.residual, KIT.device)(x).reconstruction).abs().permute(0, 2, 3, 1)
    np.testing.assert_allclose(maps, expected.numpy(), atol=1e-3)
    assert maps.mean() > 0.01


def test_wang20_blurs_and_compresses_about_half_of_the_patches() -> None:
    patch = stripes(1, seed=3)[0][0]
    draw = np.random.default_rng(0)
    changed = [blur_and_compress(patch, draw) for _ in range(200)]
    assert all(found.shape == patch.shape and found.dtype == np.uint8 for found in changed)
    untouched = np.mean([np.array_equal(found, patch) for found in changed])
    assert 0.15 < untouched < 0.35  # a quarter escapes both


def test_each_transformation_leaves_a_trace_of_its_own() -> None:
    pixels = stripes(1, seed=4)[0][0]
    changed = [transformation(pixels, np.random.default_rng(1)) for transformation in TRANSFORMATIONS]
    assert all(found.shape == pixels.shape and found.dtype == np.uint8 for found in changed)
    assert np.array_equal(changed[0], pixels)
    assert len({found.tobytes() for found in changed}) == len(TRANSFORMATIONS)


def test_contrast_is_that_of_its_paper() -> None:
    values = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    found = contrast(values, torch.tensor([0, 0, 1]))
    # The two alike point the same way, the third stands upright: -log(e^(1/T) / (e^(1/T) + 1)) for each of the two.
    assert float(found) == pytest.approx(float(np.log1p(np.exp(-1 / 0.07))), abs=1e-6)
    assert float(contrast(values, torch.tensor([0, 1, 2]))) == 0
    # Where the first and the third are alike, the first is drawn the other way, and the third stands between two equals.
    assert float(contrast(values, torch.tensor([0, 1, 0]))) == pytest.approx((1 / 0.07 + np.log(2)) / 2, abs=1e-4)
