"""A fingerprint depends on the pixels of its crop and on nothing else, and says nothing where there is nothing to see."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.models.bundles.bundle import Bundle, load_bundle
from causalprint.models.bundles.manifest import BundleError, Geometry
from causalprint.models.features import candidates, chosen, cut, pick_device
from causalprint.models.fingerprint import SCALARS, Fingerprinter
from causalprint.models.residuals.base import Reconstruction
from causalprint.schemas.tables import EMBEDDINGS, FINGERPRINT_DIM
from tests.bundles import photograph, tiny_bundle


@pytest.fixture(scope="module")
def fingerprinter(bundle: Bundle) -> Fingerprinter:
    return Fingerprinter(bundle, "cpu")


def test_rows_are_the_same_to_the_bit_alone_together_and_from_many_threads(fingerprinter: Fingerprinter) -> None:
    crops = np.stack([photograph(seed) for seed in range(8)])
    together = fingerprinter(crops)
    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(fingerprinter, [crop[None] for crop in crops]))
    backwards = fingerprinter(crops[::-1])
    for row, one in enumerate(alone):
        assert one.fingerprint.tobytes() == together.fingerprint[row].tobytes() == backwards.fingerprint[7 - row].tobytes()
        assert one.residual_energy.tobytes() == together.residual_energy[row].tobytes()
        assert one.spectrum.tobytes() == together.spectrum[row].tobytes()
        assert all(one.scalars[name].tobytes() == values[row].tobytes() for name, values in together.scalars.items())


def test_the_micro_batch_of_a_gpu_is_padded_and_the_padding_leaves_no_rows(
    fingerprinter: Fingerprinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = np.stack([photograph(seed) for seed in range(5)])
    single = fingerprinter(crops)
    monkeypatch.setattr(Fingerprinter, "micro_batch", 4)
    padded = fingerprinter(crops)
    assert padded.fingerprint.shape == (5, FINGERPRINT_DIM)
    # Another kernel may round otherwise, and then float16 by one step.
    np.testing.assert_allclose(padded.fingerprint.astype(np.float32), single.fingerprint.astype(np.float32), rtol=2e-2, atol=5e-2)


def test_micro_batches_that_do_not_fit_into_memory_are_halved_once_for_all(
    fingerprinter: Fingerprinter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, bundle: Bundle
) -> None:
    crops = np.stack([photograph(seed) for seed in range(5)])
    monkeypatch.setattr(Fingerprinter, "micro_batch", 8)
    halving = Fingerprinter(bundle, "cpu")
    residual, sizes = halving._extract.residual, []

    def short(x: torch.Tensor) -> Reconstruction:
        sizes.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return residual(x)

    halving._extract.residual = short  # type: ignore[assignment]
    found = [halving(crops) for _ in range(2)]
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]
    assert caplog.messages == [f"cpu has no memory for micro-batches of {size} crops: from now on {size // 2}" for size in (8, 4)]
    monkeypatch.setattr(Fingerprinter, "micro_batch", 2)
    expected = fingerprinter(crops)
    assert all(one.fingerprint.tobytes() == expected.fingerprint.tobytes() for one in found)
    halving._extract.residual = lambda _: short(torch.zeros(3))  # type: ignore[assignment]
    with pytest.raises(torch.OutOfMemoryError):
        halving(crops)


def test_what_the_cpu_reads_of_an_image_beside_a_gpu_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprinter = Fingerprinter(tiny_bundle(tmp_path, views=3, crop=64), "cpu")
    images = [fingerprinter.crops(photograph(seed, 200, 200))[: 1 + seed] for seed in range(3)]
    monkeypatch.setattr(Fingerprinter, "micro_batch", 4)
    expected = fingerprinter.of_images(images)
    extract = fingerprinter._extract
    extract._apart = frozenset(place for place, one in enumerate(extract.features) if one.reading == "image")
    assert extract._apart
    apart = [fingerprinter.look_apart(crops) for crops in images]
    others = [{place: 0 * values for place, values in each.items()} for each in apart]
    found, wrong = fingerprinter.of_images(images, apart), fingerprinter.of_images(images, others)
    assert all(one.fingerprint.tobytes() != other.fingerprint.tobytes() for one, other in zip(found, wrong, strict=True))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.fingerprint.astype(np.float32), other.fingerprint.astype(np.float32), rtol=2e-2, atol=5e-2)


def test_other_pixels_give_another_fingerprint(fingerprinter: Fingerprinter) -> None:
    rows = fingerprinter(np.stack([photograph(seed) for seed in range(4)])).fingerprint
    assert len({row.tobytes() for row in rows}) == 4
    assert rows.dtype == np.float16


def test_nothing_gives_no_rows(fingerprinter: Fingerprinter) -> None:
    empty = fingerprinter(np.zeros((0, 256, 256, 3), np.uint8))
    assert empty.fingerprint.shape == (0, FINGERPRINT_DIM)
    assert empty.residual_energy.shape == (0,)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_image_has_the_zero_vector(fingerprinter: Fingerprinter, level: int) -> None:
    rows = fingerprinter(np.stack([np.full((256, 256, 3), level, np.uint8), photograph(1)])).fingerprint
    assert not rows[0].any()
    assert rows[1].any()


def test_every_scalar_has_its_column_and_the_energy_is_that_of_the_residual(fingerprinter: Fingerprinter) -> None:
    found = fingerprinter(photograph(3)[None])
    assert (
        set(found.scalars)
        == set(SCALARS)
        == {name for name in EMBEDDINGS.names if EMBEDDINGS.field(name).type == "float"} - {"residual_energy", "stability"}
    )
    _, reconstruction = fingerprinter._extract.reconstruct(photograph(3)[None])
    assert found.residual_energy[0] == pytest.approx(float(reconstruction.residual.square().mean().sqrt()), rel=1e-5)


def overlap(one: tuple[int, int], other: tuple[int, int], side: int) -> float:
    return float(np.prod([max(0, side - abs(here - there)) for here, there in zip(one, other, strict=True)])) / side**2


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), side=st.sampled_from([64, 128]), views=st.integers(1, 5))
def test_crops_are_cut_and_never_resized(height: int, width: int, side: int, views: int) -> None:
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows % 256, columns % 256, rows // 256 * 2 + columns // 256], axis=2).astype(np.uint8)
    crops = cut(pixels, Geometry(crop=side, views=views))
    if min(height, width) < side:
        assert len(crops) == 0
        return
    assert 1 <= len(crops) <= views
    corners = []
    for crop in crops:
        top, left = int(crop[0, 0, 0]) + 256 * (int(crop[0, 0, 2]) // 2), int(crop[0, 0, 1]) + 256 * (int(crop[0, 0, 2]) % 2)
        np.testing.assert_array_equal(crop, pixels[top : top + side, left : left + side])
        assert top % 8 == left % 8 == 0
        corners.append((top, left))
    assert all(overlap(one, other, side) <= 0.25 for place, one in enumerate(corners) for other in corners[:place])
    assert abs(corners[0][0] - (height - side) / 2) <= 8
    assert abs(corners[0][1] - (width - side) / 2) <= 8


def test_the_crops_with_most_texture_are_analysed_and_a_flat_centre_is_not() -> None:
    pixels = np.full((192, 192, 3), 128, np.uint8)
    draw = np.random.default_rng(0)
    for place, strength in (((0, 0), 4), ((64, 64), 2), ((128, 128), 30)):
        noise = draw.integers(-strength, strength + 1, (64, 64, 3))
        pixels[place[0] : place[0] + 64, place[1] : place[1] + 64] = 128 + noise
    geometry = Geometry(crop=64, views=3)

    def places(flat: float) -> list[tuple[int, int]]:
        there = candidates(192, 192, geometry)
        crops = np.stack([pixels[top : top + 64, left : left + 64] for top, left in there])
        return [there[number] for number in chosen(crops, there, geometry, flat)]

    assert places(0.5 / 255) == [(64, 64), (128, 128), (0, 0)]
    assert places(2.5 / 255) == [(128, 128), (0, 0)]
    assert len(cut(pixels, replace(geometry, views=1))) == 1


def test_of_several_crops_readings_of_the_image_are_averaged_and_the_residual_is_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprinter = Fingerprinter(tiny_bundle(tmp_path, views=3, crop=64), "cpu")
    crops = fingerprinter.crops(photograph(3, 200, 200))
    assert len(crops) == 3
    (found,) = fingerprinter.of_images([crops])
    alone = fingerprinter(crops[:1])
    assert found.residual_energy == alone.residual_energy
    assert found.scalars == alone.scalars
    assert np.isnan(alone.stability).all()
    assert -1 <= found.stability[0] < 1
    (same,) = fingerprinter.of_images([np.repeat(crops[:1], 3, axis=0)])
    np.testing.assert_allclose(same.fingerprint.astype(np.float32), alone.fingerprint.astype(np.float32), rtol=2e-3, atol=2e-3)
    assert same.stability[0] == pytest.approx(1, abs=1e-5)
    x = torch.tensor(crops).permute(0, 3, 1, 2).float() / 255
    embedded = fingerprinter.embed(x[:1], x[None, 1:])[0].numpy()
    np.testing.assert_allclose(found.fingerprint[0].astype(np.float32), embedded, rtol=2e-3, atol=2e-3)
    other = fingerprinter.crops(photograph(4, 300, 150))
    together = fingerprinter.of_images([other, crops, crops[:1]])
    assert together[1].fingerprint.tobytes() == found.fingerprint.tobytes()
    assert together[1].stability.tobytes() == found.stability.tobytes()
    assert together[2].fingerprint.tobytes() == alone.fingerprint.tobytes()
    monkeypatch.setattr(Fingerprinter, "micro_batch", 4)
    padded = fingerprinter.of_images([other, crops, crops[:1]])
    np.testing.assert_allclose(padded[1].fingerprint[0].astype(np.float32), embedded, rtol=2e-2, atol=5e-2)


def test_another_residual_changes_the_fingerprint(bundle: Bundle, fingerprinter: Fingerprinter) -> None:
    other = Fingerprinter(load_bundle(bundle.directory, f"denoise:{bundle.directory / 'residual'}?sigma=0.2"), "cpu")
    crop = photograph(1)[None]
    assert other(crop).fingerprint.tobytes() != fingerprinter(crop).fingerprint.tobytes()


def test_a_device_that_is_missing_is_an_error_and_never_another_device() -> None:
    with pytest.raises(ValueError, match="'tpu' is unknown; choose auto, cpu or cuda"):
        pick_device("tpu")
    with pytest.raises(ValueError, match="'meta' is not supported"):
        pick_device("meta")
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(ValueError, match=f"'{missing}' was asked for and torch sees"):
        pick_device(missing)
    assert pick_device("cpu").type == "cpu"


def test_a_bundle_of_other_lenses_is_refused(bundle: Bundle) -> None:
    features = tuple(replace(feature, lens="echo") for feature in bundle.manifest.features)
    other = replace(bundle, manifest=replace(bundle.manifest, features=features))
    with pytest.raises(BundleError, match=r"was made for a lens 'echo' of \d+ numbers; here there is none: train it again"):
        Fingerprinter(other, "cpu")
