"""Counterfactual images stay in their ball, say what was asked for, and beat chance."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from causalprint.models.bundles.bundle import Bundle
from causalprint.models.features import places_of
from causalprint.models.residuals.base import Reconstruction, subtract
from causalprint.models.verdicts import Judge
from causalprint.research.anonymization.anonymizer import Anonymizer, see, succeeded, traces
from causalprint.research.anonymization.counterfactual import (
    Chain,
    Descent,
    chain,
    fidelity,
    levels,
    mean_trace,
    pgd,
    random_noise,
    shuffled,
    spread,
    swap,
    to_image,
    to_pixels,
)
from causalprint.research.anonymization.records import Seen
from causalprint.schemas.model_spec import ResidualSpec
from tests.bundles import SOURCES, photograph, tiny_bundle

CPU = torch.device("cpu")
EPSILON = 4 / 255
CROP = 96


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("bundle"), crop=CROP)


@pytest.fixture(scope="module")
def anonymizer(bundle: Bundle) -> Anonymizer:
    return Anonymizer(Judge(bundle, "cpu"))


@pytest.fixture(scope="module")
def of_two_crops(tmp_path_factory: pytest.TempPathFactory) -> Anonymizer:
    """A bundle that analyses two crops."""
    return Anonymizer(Judge(tiny_bundle(tmp_path_factory.mktemp("two"), crop=CROP, views=2), "cpu"))


def other(seen: Seen) -> str:
    """A source that the image is not attributed to."""
    return next(source for source in SOURCES if source != seen.source)


def test_descent_reaches_the_target_where_noise_does_not(anonymizer: Anonymizer) -> None:
    descent = Descent(steps=8, confidence=0.75)
    reached = by_chance = 0
    for seed in range(3):
        pixels = photograph(seed, 104, 112)
        before = see(anonymizer.judge, pixels)
        target = other(before)
        changed = anonymizer.descend(pixels, descent, target, away=False)
        assert changed.shape == pixels.shape
        measured = anonymizer.fidelity(pixels, changed)
        assert measured.largest <= 4
        assert measured.ssim > 0.9
        reached += succeeded(before.source, see(anonymizer.judge, changed), target)
        chance = (anonymizer.perturb(pixels, EPSILON, seed), anonymizer.shuffle(pixels, changed, seed))
        by_chance += any(succeeded(before.source, see(anonymizer.judge, each), target) for each in chance)
    assert reached == 3
    assert by_chance == 0


def test_away_leaves_the_source(anonymizer: Anonymizer) -> None:
    pixels = photograph(7, CROP, CROP)
    before = see(anonymizer.judge, pixels)
    assert before.source is not None
    changed = anonymizer.descend(pixels, Descent(steps=8), before.source, away=True)
    assert succeeded(before.source, see(anonymizer.judge, changed), None)


def test_a_descent_that_survives_jpeg_looks_at_the_jpeg(anonymizer: Anonymizer) -> None:
    pixels = photograph(8, CROP, CROP)
    target = other(see(anonymizer.judge, pixels))
    plain = anonymizer.assess(anonymizer.descend(pixels, Descent(steps=6, confidence=0.75), target, away=False))
    robust = Descent(epsilon=8 / 255, steps=20, step=1 / 255, confidence=0.75, jpeg=75)
    survivor = anonymizer.assess(anonymizer.descend(pixels, robust, target, away=False))
    assert plain.jpeg.named != target
    assert survivor.jpeg.source == target


def test_only_crops_that_are_analysed_are_changed(of_two_crops: Anonymizer) -> None:
    anonymizer = of_two_crops
    pixels = photograph(9, 300, 140)
    analysed = np.zeros(pixels.shape[:2], np.bool_)
    places = places_of(pixels, anonymizer.judge.bundle.manifest.geometry)
    assert len(places) == 2
    for top, left in places:
        analysed[top : top + CROP, left : left + CROP] = True
    target = other(see(anonymizer.judge, pixels))
    for changed in (
        anonymizer.descend(pixels, Descent(steps=1, confidence=1), target, away=False),
        anonymizer.perturb(pixels, EPSILON, 0),
        anonymizer.shuffle(pixels, anonymizer.perturb(pixels, EPSILON, 0), 1),
    ):
        moved = (changed != pixels).any(axis=2)
        assert all(moved[top : top + CROP, left : left + CROP].any() for top, left in places)
        assert not moved[~analysed].any()


def line(x: Tensor) -> Chain:
    """A chain whose fingerprint is the image's mean, and whose sources lie at 0.25 and 0.75."""
    centres = torch.tensor([0.25, 0.75])

    def distances(fingerprint: Tensor) -> Tensor:
        return (fingerprint - centres).square()

    def scores(fingerprint: Tensor) -> Tensor:
        return -100 * distances(fingerprint)

    return Chain(lambda image: image.mean(dim=(1, 2, 3))[:, None], scores, scores, lambda f: 30 * distances(f), -2.0)


@pytest.mark.parametrize("epsilon", [0.5, 2, 3.9, 8])
def test_rows_descend_alone_and_stay_in_the_ball_after_rounding(epsilon: float) -> None:
    x = torch.randint(0, 256, (3, 3, 16, 16), generator=torch.Generator().manual_seed(0)) / 255
    target = torch.tensor([0, 1, 1])
    descent = Descent(epsilon=epsilon / 255, steps=10, step=2 / 255)
    together = pgd(line(x), x, target, descent)
    alone = torch.cat([pgd(line(x), x[row : row + 1], target[row : row + 1], descent) for row in range(3)])
    torch.testing.assert_close(together, alone)
    change = (together - x) * 255
    torch.testing.assert_close(change, change.round(), atol=1e-3, rtol=0)
    assert change.abs().max() <= math.floor(epsilon) + 1e-3
    if epsilon >= 1:
        means = change.mean(dim=(1, 2, 3))
        assert means[0] < -0.5
        assert (means[1:] > 0.5).all()


def test_descent_ends_as_soon_as_the_constraint_is_met() -> None:
    x = torch.full((1, 3, 16, 16), 190 / 255)
    torch.testing.assert_close(pgd(line(x), x, torch.tensor([1]), Descent()), x)  # there already
    changed = pgd(line(x), x, torch.tensor([0]), Descent(epsilon=1, steps=60, step=10 / 255))
    mean = float(changed.mean())
    assert 0.06 < mean < 0.47  # within the limit of the target, on the near side
    assert mean > 0.35


@pytest.mark.parametrize(("text", "whole"), [(4 / 255, 4), (0.0157, 4), (0.0156, 3), (1.0, 255), (0.003, 0)])
def test_epsilon_is_whole_levels(text: float, whole: int) -> None:
    assert levels(text) == whole


def residuals(gain: float, ripple: float, seed: int) -> Tensor:
    """Residuals (6, 3, 64, 64) of a source: noise of that strength and a period of 8 pixels."""
    noise = torch.randn((6, 3, 64, 64), generator=torch.Generator().manual_seed(seed))
    wave = (torch.arange(64) * math.pi / 4).cos()
    return 0.01 * gain * noise + ripple * wave


def test_the_swap_moves_the_spectrum_as_stated() -> None:
    source, target = mean_trace(residuals(1.0, 0.01, 0)), mean_trace(residuals(2.0, 0.03, 1))
    residual = residuals(1.0, 0.01, 2)[:1]
    x = torch.full((1, 3, 64, 64), 128 / 255) + (residual * 255).round() / 255
    changed = swap(x, residual, source, target, 1.0)
    torch.testing.assert_close((changed * 255).round() / 255, changed)
    after = residual + changed - x
    bare = torch.fft.rfft2(residual - spread(source.tile, residual))
    moved = torch.fft.rfft2(after - spread(target.tile, residual))
    stated = target.log_amplitude - source.log_amplitude
    strong = bare[0].abs() > 0.2  # rounding to 8 bits is a noise of 0.07
    error = (moved.abs().log() - bare.abs().log())[0] - stated
    assert error[strong].abs().mean() < 0.1
    assert stated[strong].mean() == pytest.approx(math.log(2), abs=0.2)
    assert (target.tile - source.tile)[0, 0, 0] == pytest.approx(0.02, abs=0.003)
    torch.testing.assert_close(swap(x, residual, source, source, 1.0), (x * 255).round() / 255)
    near = swap(x, residual, source, target, EPSILON)
    assert (near - x).abs().max() * 255 < 4.5


class Half:
    """A residual that is half of the image."""

    spec = ResidualSpec("autoencoder", "nowhere")
    digests: ClassVar[dict[str, str]] = {}

    def __call__(self, x: Tensor) -> Reconstruction:
        return subtract(x, x / 2)


def test_traces_are_of_their_own_source_and_are_exchanged_within_the_ball(anonymizer: Anonymizer) -> None:
    crops = np.stack([photograph(seed, CROP, CROP) for seed in range(4)])
    found = traces(crops, ["real", "alpha", "real", "alpha"], Half(), CPU)
    assert set(found) == {"alpha", "real"}
    own = mean_trace(torch.stack([to_image(crops[row], CPU) / 2 for row in (1, 3)]))
    torch.testing.assert_close(found["alpha"].log_amplitude, own.log_amplitude)
    pixels = photograph(5, 100, 120)
    changed = anonymizer.exchange(pixels, Half(), found["real"], found["alpha"], EPSILON)
    assert 0 < anonymizer.fidelity(pixels, changed).largest <= 4


def test_controls_have_the_norm_that_they_are_to_have() -> None:
    x = torch.full((1, 3, 32, 32), 0.5019608)
    noisy = random_noise(x, EPSILON, 1)
    torch.testing.assert_close((noisy - x).abs(), torch.full_like(x, 4 / 255), atol=1e-5, rtol=0)
    assert abs((noisy - x).mean()) < 0.5 / 255
    attacked = x + torch.arange(x.numel()).view_as(x) % 5 / 255
    control = shuffled(x, attacked, 1)
    assert not torch.equal(control, attacked)
    torch.testing.assert_close((control - x).flatten().sort().values, (attacked - x).flatten().sort().values, atol=1e-5, rtol=0)
    torch.testing.assert_close(control, shuffled(x, attacked, 1))


def test_fidelity_of_known_changes() -> None:
    crops = photograph(1)[None] // 2 + 20
    same = fidelity(crops, crops)
    assert (same.ssim, same.psnr, same.largest, same.rms) == (1.0, None, 0, 0.0)
    changed = fidelity(crops, crops + np.uint8(5))
    assert (changed.largest, changed.rms) == (5, 5.0)
    assert changed.psnr == pytest.approx(20 * math.log10(255 / 5))
    assert changed.ssim > fidelity(crops, to_pixels(random_noise(to_image(crops, CPU), 5 / 255, 0))).ssim


def test_the_chain_is_what_an_audit_computes_of_both_crops(of_two_crops: Anonymizer) -> None:
    judge = of_two_crops.judge
    pixels = photograph(11, 250, 210)
    places = places_of(pixels, judge.bundle.manifest.geometry)
    assert len(places) == 2
    attacked = chain(judge.fingerprinter, judge.attributor, places)
    scores = attacked.scores(attacked.embed(to_image(pixels, CPU)[None]))
    assert SOURCES[int(scores.argmax())] == see(judge, pixels).source
    assert float(scores.softmax(dim=1).max()) == pytest.approx(see(judge, pixels).probability, abs=0.02)


def test_success_is_a_verdict_and_not_a_guess() -> None:
    undecided = Seen("abstain", "alpha", 0.4, 0.5)
    assert not succeeded("real", undecided, "alpha")
    assert succeeded("real", undecided, None)
    assert not succeeded("alpha", undecided, None)
    assert succeeded("alpha", Seen("real", "real", 0.9, 0.5), "real")
    assert not succeeded("alpha", Seen("abstain", None, None, None), None)
