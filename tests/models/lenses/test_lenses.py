"""What every lens promises, over every entry of the registry; and known answers for each."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.fft
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from causalprint.models.lenses import LENSES, Lens, dct, fourier, load_lens, read, rgb, stats
from causalprint.models.lenses.stats import cooccurrences
from causalprint.models.residuals.base import subtract
from causalprint.schemas.model_spec import READINGS
from causalprint.schemas.tables import EMBEDDINGS

ALL = pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES.keys())


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def wave(rows: float, columns: float, side: int = 256) -> Tensor:
    """A cosine with that many periods down and across, amplitude 1, in all channels: (1, 3, side, side)."""
    place = torch.arange(side, dtype=torch.float64) / side
    angle = 2 * math.pi * (rows * place[:, None] + columns * place[None, :])
    return angle.cos().float().expand(1, 3, side, side)


def summary(lens: Lens, z: Tensor) -> Tensor:
    """Its scalars (N, S)."""
    return torch.stack([summarise(z) for summarise in lens.scalars.values()], dim=1) if lens.scalars else z.new_zeros(len(z), 0)


@ALL
@settings(max_examples=12, deadline=None)
@given(height=st.integers(64, 150), width=st.integers(64, 150), seed=st.integers(0, 99))
def test_any_size_gives_the_stated_number_of_finite_features(lens: Lens, height: int, width: int, seed: int) -> None:
    z = 0.1 * noise(2, 3, height, width, seed=seed)
    features, scalar = lens.apply(z), summary(lens, z)
    assert features.shape == (2, lens.size)
    assert scalar.shape == (2, len(lens.scalars))
    assert features.dtype == scalar.dtype == torch.float32
    assert features.isfinite().all()
    assert scalar.isfinite().all()


@ALL
@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(1, 3, 64, 80),
        torch.ones(1, 3, 64, 80),
        torch.full((1, 3, 72, 65), -0.3),
        torch.rand(1, 3, 64, 64).round(),
        torch.rand(1, 3, 64, 64) * 1e-9,
        torch.eye(3)[:, :, None, None].expand(3, 3, 64, 64),
    ],
    ids=["black", "white", "constant", "binary", "tiny", "pure colours"],
)
def test_flat_and_extreme_images_stay_finite_and_moderate(lens: Lens, image: Tensor) -> None:
    features, scalar = lens.apply(image), summary(lens, image)
    assert features.isfinite().all()
    assert scalar.isfinite().all()
    assert features.abs().max() < 100


@ALL
def test_a_row_depends_on_its_image_alone(lens: Lens) -> None:
    z = 0.05 * noise(4, 3, 96, 88)
    together, scalars = lens.apply(z), summary(lens, z)
    changed = z.clone()
    changed[0] = 100 * changed[0] + 1
    assert torch.equal(lens.apply(changed)[1:], together[1:])
    assert torch.equal(summary(lens, changed)[1:], scalars[1:])
    for index in range(4):
        torch.testing.assert_close(lens.apply(z[index : index + 1])[0], together[index], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(summary(lens, z[index : index + 1])[0], scalars[index], rtol=1e-4, atol=1e-5)


@ALL
def test_the_same_image_gives_the_same_bits(lens: Lens) -> None:
    z = 0.05 * noise(1, 3, 256, 256)
    assert torch.equal(lens.apply(z), lens.apply(z.clone()))
    assert torch.equal(summary(lens, z), summary(lens, z.clone()))


@ALL
def test_its_scalars_are_columns_of_the_embeddings(lens: Lens) -> None:
    assert lens.scalars.keys() <= set(EMBEDDINGS.names)
    assert LENSES[lens.name] is load_lens(lens.name) is lens


def test_the_columns_that_lenses_fill_keep_their_order() -> None:
    columns = [column for lens in LENSES.values() for column in lens.scalars]
    assert columns == ["rgb_bias", "dft_peak", "dct_blockiness", "qft_share", "radial_slope", "stats_kurtosis"]


@ALL
def test_readings(lens: Lens) -> None:
    x = torch.rand(2, 3, 64, 64)
    found = subtract(x, (x + 0.02 * noise(2, 3, 64, 64)).clamp(0, 1))
    readings = {reading: read(lens, reading, x, found) for reading in READINGS}
    assert torch.equal(readings["residual"], lens.apply(found.residual))
    assert torch.equal(readings["image"], lens.apply(x))
    assert torch.equal(readings["difference"], lens.apply(x) - lens.apply(found.reconstruction))


@pytest.mark.parametrize("name", ["dct", "radial"])
def test_gradients_flow_after_a_call_in_inference_mode(name: str) -> None:
    with torch.inference_mode():
        LENSES[name].apply(torch.rand(1, 3, 77, 77))
    z = torch.rand(1, 3, 77, 77, requires_grad=True)
    LENSES[name].apply(z).sum().backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()


# rgb


def test_rgb_folds_out_a_periodic_pattern() -> None:
    tile = noise(1, 3, 8, 8)
    tile = tile - tile.mean(dim=(2, 3), keepdim=True)
    z = tile.repeat(1, 1, 32, 32) + 2 * noise(1, 3, 256, 256, seed=1)
    torch.testing.assert_close(rgb.mean_tile(z), tile, rtol=0, atol=0.3)
    assert rgb.bias(z).item() == pytest.approx(tile.square().mean().sqrt().item(), rel=0.02)
    assert rgb.bias(noise(1, 3, 256, 256)).item() == pytest.approx(1 / 32, rel=0.15)  # 1,024 tiles: 1 / sqrt(1,024)


def test_rgb_lines_do_not_move_with_the_crop() -> None:
    z = noise(1, 3, 8, 8).repeat(1, 1, 9, 9)
    first, second = rgb.features(z[..., :64, :64]), rgb.features(z[..., 3:67, 5:69])
    lines = slice(3 * 64, 3 * 64 + 120)
    torch.testing.assert_close(first[:, lines], second[:, lines], rtol=1e-3, atol=1e-3)
    assert not torch.allclose(first[:, : 3 * 64], second[:, : 3 * 64], atol=0.1)


def test_rgb_colour_figures_are_those_of_numpy() -> None:
    z = noise(1, 3, 64, 64) * torch.tensor([0.1, 0.2, 0.3])[:, None, None] + 0.05 * noise(1, 1, 64, 64, seed=1) + 0.4
    values = z[0].flatten(1).double().numpy()
    correlation = np.corrcoef(values)
    expected = [*values.mean(axis=1), *np.log10(values.var(axis=1)), correlation[0, 1], correlation[0, 2], correlation[1, 2]]
    assert np.allclose(rgb.features(z)[0, -9:], expected, atol=1e-4)


# dft


@pytest.mark.parametrize(("rows", "columns", "cell"), [(40, 20, (10, 1)), (-100, 60, (1, 3)), (0, 127, (8, 7))])
def test_dft_shows_a_wave_in_its_cell(rows: int, columns: int, cell: tuple[int, int]) -> None:
    grid = fourier.dft(wave(rows, columns))[0, :384].view(3, 16, 8)
    assert all(divmod(int(channel.argmax()), 8) == cell for channel in grid)


def test_dft_lines_hold_the_lattice_of_period_eight() -> None:
    lines = fourier.dft(wave(3 * 32, 2 * 32))[0, 384:].view(8, 5)
    assert divmod(int(lines.argmax()), 5) == (3, 2)
    # A cosine of amplitude 1 puts H·W / 4 in each of its two bins.
    assert lines.max().item() == pytest.approx(math.log10(256 * 256 / 4), abs=1e-3)


@pytest.mark.parametrize("amplitude", [0.01, 0.1])
def test_dft_peak_of_a_checkerboard_in_noise(amplitude: float) -> None:
    board = amplitude * wave(128, 128)
    one_channel = 0.02 * noise(1, 1, 256, 256)
    z = board + one_channel.expand(1, 3, 256, 256)
    # The checkerboard puts a²·H·W in the one bin at (0.5, 0.5); a white spectrum has the median variance · ln 2.
    expected = 10 * math.log10(amplitude**2 * 256 * 256 / (0.02**2 * math.log(2)))
    assert fourier.dft_peak(z).item() == pytest.approx(expected, abs=0.6)
    assert fourier.dft_peak(z + 0.5).item() == pytest.approx(expected, abs=0.6)


def test_dft_peak_of_nothing_is_zero() -> None:
    assert fourier.dft_peak(torch.zeros(1, 3, 64, 64)).item() == 0


# dct


def test_dct_is_scipy_s() -> None:
    z = noise(1, 3, 64, 64)
    luma = (0.299 * z[0, 0] + 0.587 * z[0, 1] + 0.114 * z[0, 2]).double().numpy()
    whole = np.log10(scipy.fft.dctn(luma, norm="ortho") ** 2)
    assert np.allclose(dct.features(z)[0, :4096].view(64, 64), whole, atol=0.01)
    blocks = dct.block_coefficients(z)
    assert np.allclose(blocks[0, 2, 3, :, 5], scipy.fft.dctn(z[0, 2, 24:32, 40:48].numpy(), norm="ortho"), atol=1e-5)


def test_dct_pools_the_whole_transform() -> None:
    place = (2 * torch.arange(256, dtype=torch.float64) + 1) * math.pi / 512
    basis = torch.outer((202 * place).cos(), (37 * place).cos()).float()  # row 202 and column 37 of the transform
    cells = dct.features(basis.expand(1, 3, 256, 256))[0, :4096].view(64, 64)
    assert divmod(int(cells.argmax()), 64) == (202 // 4, 37 // 4)


def test_dct_sparsity_of_known_laws() -> None:
    gaussian = dct.features(noise(1, 3, 256, 256))[0, -64:]
    assert gaussian.mean().item() == pytest.approx(math.log10(2 / math.pi), abs=0.01)
    zeros = noise(1, 3, 256, 256) * (torch.rand(1, 1, 32, 32).repeat_interleave(8, 2).repeat_interleave(8, 3) < 0.1)
    assert dct.features(zeros)[0, -64:].mean() < -1


def test_dct_blockiness_rises_with_block_edges_and_only_there() -> None:
    steps = noise(1, 3, 32, 32).repeat_interleave(8, 2).repeat_interleave(8, 3)
    texture = noise(1, 3, 256, 256, seed=1)
    assert dct.blockiness(texture).item() == pytest.approx(1, abs=0.02)
    assert dct.blockiness(texture + steps).item() == pytest.approx(2, abs=0.2)  # 2 + 2 across, 2 within
    assert dct.blockiness((texture + steps).roll((4, 4), dims=(2, 3))) < 1
    assert dct.blockiness(torch.zeros(1, 3, 64, 64)).item() == 1


# qft


@pytest.mark.parametrize("size", [(64, 64), (256, 256), (65, 91)])
def test_qft_is_the_centre_of_the_shifted_spectrum(size: tuple[int, int]) -> None:
    z = noise(1, 3, *size)
    luma = (0.299 * z[0, 0] + 0.587 * z[0, 1] + 0.114 * z[0, 2]).double().numpy()
    spectrum = np.fft.fftshift(np.abs(np.fft.fft2(luma)) ** 2) / luma.size
    top, left = size[0] // 2 - 16, size[1] // 2 - 16
    assert np.allclose(fourier.lowest_block(z)[0], spectrum[top : top + 32, left : left + 32], rtol=1e-3, atol=1e-5)
    assert np.allclose(fourier.qft(z)[0], np.log10(spectrum[top : top + 32, left : left + 32] + 1e-10).ravel(), atol=1e-3)


def test_qft_share_of_known_spectra() -> None:
    assert fourier.qft_share(noise(1, 3, 256, 256)).item() == pytest.approx(1024 / 65536, rel=0.1)
    assert fourier.qft_share(wave(5, -9)).item() == pytest.approx(1, abs=1e-3)
    assert fourier.qft_share(wave(5, 17)).item() == pytest.approx(0, abs=1e-3)
    assert fourier.qft_share(torch.ones(1, 3, 64, 64)).item() == pytest.approx(1, abs=1e-3)
    assert fourier.qft_share(torch.zeros(1, 3, 64, 64)).item() == 0


# radial


def power_law(exponent: float, seed: int = 0) -> Tensor:
    """Noise whose power falls as frequency to ``-exponent``, in all channels alike: (1, 3, 256, 256)."""
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None, :])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(np.random.default_rng(seed).standard_normal((256, 256))) * frequency ** (-exponent / 2)
    field = np.fft.irfft2(spectrum, s=(256, 256))
    return torch.from_numpy(field / field.std()).float().expand(1, 3, 256, 256)


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 1.0, 2.0, 3.0])
def test_radial_slope_of_power_law_noise(exponent: float) -> None:
    assert fourier.radial_slope(power_law(exponent)).item() == pytest.approx(-exponent, abs=0.1)


@pytest.mark.parametrize("ring", [4, 16, 32])
def test_radial_profile_shows_a_wave_in_its_ring(ring: int) -> None:
    profile = fourier.radial(wave(4 * ring, 0))[0].view(9, 45)[:4]
    assert (profile.argmax(dim=1) == ring - 1).all()


def test_a_ring_spectrum_is_in_decibels_and_ends_at_the_finest_rows() -> None:
    white = fourier.ring_spectrum(0.1 * torch.randn(4, 3, 256, 256, generator=torch.Generator().manual_seed(0)))
    assert white.shape == (4, 32)
    decibels = 10 * float(np.log10(0.1**2 * np.square(fourier.LUMA).sum()))
    torch.testing.assert_close(white.mean(dim=0), torch.full((32,), decibels), atol=0.6, rtol=0)
    assert fourier.ring_spectrum(wave(4 * 32, 0))[0].argmax() == 31
    assert (fourier.ring_spectrum(torch.zeros(1, 3, 64, 64)) == -100).all()


@pytest.mark.parametrize("height", [64, 65, 71, 90, 127, 256])
def test_no_ring_is_empty(height: int) -> None:
    rings = fourier.ring_means(height, 64, torch.device("cpu"))
    torch.testing.assert_close(rings.sum(dim=0), torch.ones(45))


def test_radial_phase_between_channels_survives_a_shift_and_tells_colours_apart() -> None:
    grey = noise(1, 1, 128, 128).expand(1, 3, 128, 128)
    profiles = fourier.radial(grey)[0].view(9, 45)[6:]
    torch.testing.assert_close(profiles, torch.ones(3, 45), rtol=0, atol=1e-3)
    independent = fourier.radial(noise(1, 3, 128, 128))[0].view(9, 45)[6:, 4:]
    assert independent.abs().mean() < 0.1
    opposed = grey * torch.tensor([1.0, -1.0, 1.0])[:, None, None]
    assert fourier.radial(opposed)[0].view(9, 45)[6].mean() < -0.99
    z = noise(1, 3, 128, 128)
    shifted = fourier.radial(z.roll((5, 11), dims=(2, 3)))[0].view(9, 45)
    torch.testing.assert_close(shifted[6:], fourier.radial(z)[0].view(9, 45)[6:], rtol=0, atol=1e-3)


def test_radial_phase_shows_what_is_tied_to_the_origin() -> None:
    free = fourier.radial(noise(1, 3, 128, 128))[0].view(9, 45)[4:6, 4:]
    assert free.abs().mean() < 0.1
    pulse = torch.zeros(1, 3, 128, 128)
    pulse[..., 0, 0] = 1
    cosine, sine = fourier.radial(pulse)[0].view(9, 45)[4:6]
    torch.testing.assert_close(cosine, torch.ones(45), rtol=0, atol=0.01)
    torch.testing.assert_close(sine, torch.zeros(45), rtol=0, atol=0.01)


# stats


def test_kurtosis_of_known_laws() -> None:
    side, generator = 256, np.random.default_rng(0)
    draws = {0.0: generator.normal(size=(3, side, side)), 3.0: generator.laplace(size=(3, side, side)),
             -1.2: generator.uniform(size=(3, side, side))}  # fmt: skip
    for expected, values in draws.items():
        z = torch.from_numpy(values).float()[None] * 0.01
        assert stats.kurtosis(z).item() == pytest.approx(expected, abs=0.15)
        assert stats.kurtosis(z).item() == pytest.approx(scipy.stats.kurtosis(values.ravel()), abs=0.01)
    assert stats.kurtosis(torch.full((1, 3, 64, 64), 0.7)).item() == 0


def test_moments_are_scipy_s() -> None:
    z = torch.from_numpy(np.random.default_rng(1).gamma(2, size=(1, 3, 128, 128))).float()
    green = z[0, 1].double().numpy().ravel()
    standard = (green - green.mean()) / green.std()
    expected = [
        green.mean(),
        np.log10(green.var()),
        np.arcsinh(scipy.stats.skew(green)),
        np.arcsinh(scipy.stats.kurtosis(green)),
        np.abs(standard).mean(),
        (np.abs(standard) > 3).mean(),
    ]
    assert np.allclose(stats.moments(z).view(6, 4)[:, 1], expected, atol=1e-3)


def test_autocorrelation_of_a_shifted_copy() -> None:
    z = noise(1, 1, 128, 128)
    z = (z + z.roll((3, -5), dims=(2, 3))).expand(1, 3, 128, 128)
    found = stats.autocorrelation(z)[0]
    below = found[8:].view(8, 17)  # lags 1 … 8 down, -8 … 8 across
    assert divmod(int(below.argmax()), 17) == (3 - 1, -5 + 8)
    assert below.max().item() == pytest.approx(0.5, abs=0.03)
    along = stats.autocorrelation(noise(1, 1, 128, 128).repeat_interleave(2, 3)[..., :128].expand(1, 3, 128, 128))[0, :8]
    assert along[0].item() == pytest.approx(0.5, abs=0.03)  # pixels doubled: every second neighbour is the same
    assert along[1:].abs().max() < 0.05


def test_cooccurrences_are_shares_and_count_what_is_there() -> None:
    shares = cooccurrences(noise(2, 3, 96, 64)).square().view(2, 3, 125)
    torch.testing.assert_close(shares.sum(dim=2), torch.ones(2, 3))
    flat = cooccurrences(torch.full((1, 3, 64, 64), 0.4)).view(3, 5, 5, 5)
    assert flat[:, 2, 2, 2].tolist() == [1, 1, 1]  # nothing but zeros
    stripes = cooccurrences(wave(0, 32, 64)).square().view(3, 5, 5, 5)  # 1, -1, 1, -1 … along rows
    torch.testing.assert_close(stripes[0, 3, 1, 3] + stripes[0, 1, 3, 1], torch.tensor(1.0))
    assert stripes[1, 2, 2, 2].item() == 1  # and nothing along columns


def test_cooccurrences_do_not_change_with_contrast() -> None:
    z = noise(1, 3, 64, 64)
    torch.testing.assert_close(cooccurrences(z), cooccurrences(z * 0.25), rtol=0, atol=1e-3)
