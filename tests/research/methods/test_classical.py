"""Known answers for the formula of each classical baseline, and what their shared estimators promise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from causalprint.models.statistics.calibration import balanced
from causalprint.models.statistics.metrics import macro_recall
from causalprint.research.methods.base import Kit, Method, Training, UnavailableError
from causalprint.research.methods.durall20 import DURALL20, profile
from causalprint.research.methods.dzanic20 import DZANIC20, decay
from causalprint.research.methods.estimators import load_library
from causalprint.research.methods.frank20 import FRANK20, PENALTIES
from causalprint.research.methods.images import azimuthal_mean
from causalprint.research.methods.marra19 import MARRA19, residual
from causalprint.research.methods.mccloskey18 import MCCLOSKEY18, cues
from causalprint.research.methods.nataraj19 import NATARAJ19, cooccurrences
from causalprint.research.methods.prism import AMPLITUDES, PRISM
from causalprint.research.methods.synthbuster import SYNTHBUSTER, peaks
from causalprint.schemas.arrays import Crops
from tests.research.methods.sources import crops_of_each, training_of

KIT = Kit(threads=1)
SIDE = 128
Floats = npt.NDArray[np.float64]


def noise(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=shape)


def grey_crops(values: Floats) -> Crops:
    """uint8 (N, C, C, 3) of grey levels (N, C, C)."""
    return values.round().clip(0, 255).astype(np.uint8)[..., None].repeat(3, axis=-1)


def test_azimuthal_mean_of_a_spectrum_that_is_its_radius() -> None:
    frequency = np.fft.fftfreq(SIDE) * SIDE
    radius = np.hypot(frequency[:, None], frequency[None, :])
    found = azimuthal_mean(radius)
    assert len(found) == round(SIDE / 2**0.5) + 1 == 92
    np.testing.assert_allclose(found, np.arange(92), atol=0.5)


def test_marra19_finds_a_planted_pattern_and_no_other() -> None:
    patterns = 4 * noise(2, SIDE, SIDE)
    scenes = 128 + 60 * np.sin(np.arange(24 * SIDE).reshape(24, 1, SIDE) / 40 + noise(24, 1, 1)) + noise(24, SIDE, SIDE, seed=1)
    labels = np.arange(24) % 2
    features = MARRA19.features(grey_crops(scenes + patterns[labels]), KIT)
    scores = MARRA19.fit(training_of(features[:16], labels[:16], 2), KIT)(features[16:])
    assert (scores.argmax(axis=1) == labels[16:]).all()
    own = np.take_along_axis(scores, labels[16:, None], axis=1)
    other = np.take_along_axis(scores, 1 - labels[16:, None], axis=1)
    assert own.min() > 0.7
    assert np.abs(other).max() < 0.1
    correlation = np.corrcoef(features[16].ravel().astype(np.float64), patterns[0].ravel())[0, 1]
    assert scores[0, 0] == pytest.approx(correlation, abs=0.1)


def test_marra19_keeps_edges_out_of_the_residual() -> None:
    edge = torch.zeros(1, 1, 64, 64)
    edge[..., 32:] = 0.8
    faint = torch.from_numpy(0.004 * noise(1, 1, 64, 64)).float()
    found = residual(0.1 + edge + faint)
    assert found[..., 30:34].abs().max() < 0.02
    flat = found[..., 4:28]
    assert torch.corrcoef(torch.stack([flat.flatten(), faint[..., 4:28].flatten()]))[0, 1] > 0.95
    assert residual(torch.full((1, 1, 16, 16), 0.3)).abs().max() < 1e-6


def test_durall20_profile_is_the_azimuthal_mean_in_decibels_over_its_first_value() -> None:
    white = grey_crops(128 + 20 * noise(1, SIDE, SIDE))
    found = profile(white[0])
    assert found[0] == 1  # the mean, 0 cycles per pixel
    assert found[5:90].std() < 0.02  # white noise is flat
    magnitude = np.abs(np.fft.fft2(white[0, :, :, 0].astype(np.float64)))
    ring = 20 * np.log10(magnitude[[0, 0, 1, -1, 1, -1, 1, -1], [1, -1, 0, 0, 1, 1, -1, -1]]).mean()
    assert found[1] == pytest.approx(ring / (20 * np.log10(magnitude[0, 0])), abs=1e-6)
    constant, black = DURALL20.features(np.stack([np.full((64, 64, 3), level, np.uint8) for level in (7, 0)]), KIT)
    assert constant[0] == 1
    assert not constant[1:].any()
    assert not black.any()


@pytest.mark.parametrize("exponent", [0.0, -1.0, 2.0])
def test_dzanic20_finds_the_exponent_and_the_ends_of_a_power_law(exponent: float) -> None:
    frequency = np.fft.fftfreq(256)
    radius = np.maximum(np.hypot(frequency[:, None], frequency[None, :]), 0.03) * 2**0.5
    shaped = np.fft.ifft2(np.fft.fft2(noise(256, 256)) * radius**exponent).real
    gain = 25 / shaped.std()
    slope, start, end = decay(grey_crops((128 + gain * shaped)[None])[0])
    rayleigh = np.pi**0.5 / 2  # the mean of |z| for a complex normal z of unit power
    assert slope == pytest.approx(exponent, abs=0.5)
    assert start == pytest.approx(np.log10(rayleigh * gain * 0.765**exponent), abs=0.02)
    assert end == pytest.approx(np.log10(rayleigh * gain * 0.98**exponent), abs=0.08)


def test_dzanic20_votes_weigh_sources_and_not_images() -> None:
    draw = np.random.default_rng(0)
    labels = np.array([0] * 90 + [1] * 10)
    features = draw.normal(size=(100, 3)).astype(np.float32)
    rule = DZANIC20.fit(training_of(features, labels, 2), KIT)
    answers = rule(draw.normal(size=(200, 3)).astype(np.float32)).argmax(axis=1)
    assert 0.15 < answers.mean() < 0.85  # alike in distribution: neither is preferred for its number


def test_frank20_reads_the_cosine_at_its_frequency() -> None:
    wave = 60 * np.cos(np.pi * 24 * (np.arange(64) + 0.5) / 64)
    features = FRANK20.features(grey_crops(128 + wave[None, None, :].repeat(64, axis=1)), KIT)[0]
    features[0, 0] = -10  # the mean
    assert np.unravel_index(features.argmax(), features.shape) == (0, 24)
    energy = (60 / 255) ** 2 / 2 * 64 * 64  # orthonormal: all of the wave in one coefficient
    assert features.max() == pytest.approx(np.log10(energy), abs=0.01)


def test_frank20_is_weighted_ridge_regression_of_standardised_coefficients() -> None:
    crops, labels = crops_of_each(8, seed=0)
    keep = np.r_[0:8, 8:12, 16:20]
    features, labels = FRANK20.features(crops[keep], KIT)[:, ::8, ::8], labels[keep]
    training = training_of(features, labels)._replace(validation=np.zeros(len(labels), bool))
    found = FRANK20.fit(training, KIT)(features)
    rows = features.reshape(len(features), -1).astype(np.float64)
    z = (rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-3)
    unit = np.square(z).sum(axis=1).mean()
    z = np.concatenate([z, np.full((len(z), 1), unit**0.5)], axis=1)
    weights = balanced(labels)[:, None]
    targets = np.eye(3)[labels] - 1 / 3
    primal = np.linalg.solve(z.T @ (weights * z) + PENALTIES[0] * unit * np.eye(z.shape[1]), z.T @ (weights * targets))
    np.testing.assert_allclose(found, z @ primal, atol=2e-3)


def test_mccloskey18_counts_exposure_bands_and_chromaticity() -> None:
    crop = np.zeros((64, 64, 3), np.uint8)
    crop[:32] = 255
    crop[32:48] = (252, 10, 10)
    shares = np.square(cues(crop))
    assert shares.shape == (400,)
    over, under = shares[:24].reshape(4, 6), shares[24:48].reshape(4, 6)
    np.testing.assert_allclose(over[0], [0.5, 0.5, 0.75, 0.75, 0.75, 0.75])  # red: 252 is within 3
    np.testing.assert_allclose(over[3], 0.5)  # all three
    np.testing.assert_allclose(under[1], [0.25, 0.25, 0.25, 0.25, 0.5, 0.5])  # green: 10 is within 15
    np.testing.assert_allclose(under[3], 0.25)
    bands, joint = shares[48:144].reshape(3, 32), shares[144:].reshape(16, 16)
    np.testing.assert_allclose(bands.sum(axis=1), 1)
    np.testing.assert_allclose(bands[0, [0, 31]], [0.25, 0.75])
    assert joint[5, 5] == pytest.approx(0.75)  # white and black are grey
    assert joint[14, 0] == pytest.approx(0.25)
    assert MCCLOSKEY18.features(crop[None], KIT).shape == (1, 400)


def test_nataraj19_cells_are_sums_of_the_full_matrix() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    full = np.zeros((3, 256, 256))
    for channel in range(3):
        np.add.at(full[channel], (crop[:, :-1, channel], crop[:, 1:, channel]), 1 / (64 * 63))
    found = cooccurrences(crop)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), 1)
    first, second = np.indices((256, 256))
    np.testing.assert_allclose(found[1, 3, 16 + 5], full[1][(first // 16 == 3) & (second - first == 5)].sum())
    np.testing.assert_allclose(found[2, 15, 0], full[2][(first // 16 == 15) & (second - first <= -16)].sum())
    assert NATARAJ19.features(crop[None], KIT).shape == (1, 3 * 16 * 33)


@pytest.mark.parametrize(("period", "line"), [(2, 4), (4, 2), (8, 1)])
def test_synthbuster_peaks_lie_at_the_period_of_the_upsampling(period: int, line: int) -> None:
    small = noise(SIDE // period, SIDE // period)
    doubled = grey_crops((128 + 30 * small.repeat(period, axis=0).repeat(period, axis=1))[None])[0]
    plain = grey_crops((128 + 5 * noise(SIDE, SIDE))[None])[0]
    found, floor = peaks(doubled)[0], peaks(plain)[0, 1:, 1:].max()
    assert found[0, line] > 5 * floor  # across
    assert found[line, 0] > 5 * floor  # down
    others = [eighths for eighths in range(1, 5) if eighths % line]
    assert found[0, others].max(initial=0) < found[0, line] / 3
    assert (found[0, line::line] > 3 * floor).all()  # harmonics
    assert SYNTHBUSTER.features(doubled[None], KIT).shape == (1, 3 * 8 * 5)


def test_prism_sees_a_phase_that_the_amplitude_hides() -> None:
    scene = np.full((64, 64), 20.0)
    scene[0, 0] = 250
    moved = np.roll(scene, (9, 21), axis=(0, 1))
    first, second = PRISM.features(grey_crops(np.stack([scene, moved])), KIT)
    np.testing.assert_allclose(first[:AMPLITUDES], second[:AMPLITUDES], atol=1e-4)
    cosine, sine = first[AMPLITUDES:].reshape(2, -1)
    np.testing.assert_allclose(cosine, 1, atol=1e-3)  # a pulse at the origin: every phase is 0
    np.testing.assert_allclose(sine, 0, atol=1e-3)
    assert np.abs(second[AMPLITUDES:]).mean() < 0.3


@pytest.mark.parametrize("method", [DURALL20, DZANIC20, FRANK20, MARRA19, MCCLOSKEY18, NATARAJ19, PRISM, SYNTHBUSTER])
def test_a_source_without_training_rows_is_never_the_answer(method: Method) -> None:
    crops, labels = crops_of_each(16, seed=0)
    features = method.features(crops, KIT)
    known = labels != 1
    training = training_of(features, labels)
    only = Training(
        features[known], labels[known], 3, training.origins[known], training.contents[known], training.validation[known], 5
    )
    scores = method.fit(only, KIT)(features)
    assert scores.shape == (48, 3)
    assert np.isfinite(scores).all()
    assert (scores.argmax(axis=1) != 1).all()
    assert (scores[known].argmax(axis=1) == labels[known]).mean() > 0.9


def test_macro_recall_and_balanced_weights_count_sources_alike() -> None:
    labels = np.array([0, 0, 0, 0, 2])
    assert macro_recall(labels, np.array([0, 0, 0, 1, 2])) == pytest.approx((0.75 + 1) / 2)
    weights = balanced(labels)
    assert weights.mean() == pytest.approx(1)
    assert weights[:4].sum() == pytest.approx(weights[4])


def test_a_missing_library_names_the_extra() -> None:
    with pytest.raises(UnavailableError, match=r"causalprint\[compare\]"):
        load_library("no_such_library.part")
