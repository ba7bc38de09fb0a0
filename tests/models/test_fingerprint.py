"""A fingerprint depends on the pixels of its crop and on nothing else, and says nothing where there is nothing to see."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.models.bundles.bundle import Bundle, load_bundle
from causalprint.models.bundles.manifest import BundleError, Geometry
from causalprint.models.features import cut, pick_device
from causalprint.models.fingerprint import SCALARS, Fingerprinter, Fingerprints, combine
from causalprint.schemas.tables import EMBEDDINGS, FINGERPRINT_DIM
from tests.bundles import photograph


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
        == {name for name in EMBEDDINGS.names if EMBEDDINGS.field(name).type == "float"} - {"residual_energy"}
    )
    _, reconstruction = fingerprinter._extract.reconstruct(photograph(3)[None])
    assert found.residual_energy[0] == pytest.approx(float(reconstruction.residual.square().mean().sqrt()), rel=1e-5)


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
    assert len(set(corners)) == len(corners)
    assert abs(corners[0][0] - (height - side) / 2) <= 8
    assert abs(corners[0][1] - (width - side) / 2) <= 8


def test_the_crops_of_an_image_vote_and_flat_ones_abstain() -> None:
    rows = np.zeros((3, FINGERPRINT_DIM), np.float16)
    rows[0], rows[2] = 1, 3
    voted = combine(Fingerprints(rows, np.array([1, 2, 3], np.float32), {"rgb_bias": np.array([0, 0, 3], np.float32)}))
    assert (voted.fingerprint == 2).all()
    assert voted.fingerprint.shape == (1, FINGERPRINT_DIM)
    assert voted.residual_energy.tolist() == [2]
    assert voted.scalars["rgb_bias"].tolist() == [1]


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
