"""A bundle that is damaged or from elsewhere is refused in one sentence; its id says exactly what rows depend on."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from safetensors.torch import save as torch_save

from causalprint.models.bundles import bundle as bundle_module
from causalprint.models.bundles.bundle import (
    ATTRIBUTION_FILE,
    FINGERPRINT_FILE,
    MANIFEST,
    load_bundle,
    save_bundle,
)
from causalprint.models.bundles.manifest import (
    SCHEMA,
    BundleError,
    Feature,
    Figure,
    Geometry,
    Manifest,
    Network,
    Origin,
    attribution_shapes,
    fingerprint_shapes,
    parse_manifest,
)
from causalprint.models.bundles.weights import first_not_finite
from causalprint.schemas.elements import digest
from causalprint.schemas.records import to_json
from tests.bundles import UNDECIDED

MANIFEST_OF_TWO = Manifest(
    schema=SCHEMA,
    name="first",
    licence="Apache-2.0",
    sources=("real", "alpha"),
    geometry=Geometry(crop=64, views=2),
    residual="denoise:./residual?sigma=0.03",
    features=(Feature("dct", "residual", 6), Feature("dct", "image", 6)),
    decision=replace(UNDECIDED, temperature=1.5, novelty_limit=9.0, flat=1e-3),
    data=(Origin("real", "somewhere", 10, 2, "CC0"),),
    figures=(Figure("macro recall", 0.5, 0.4, 0.6, "validation"),),
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A bundle whose weights are zero, which nobody computes with here."""
    folder = tmp_path / "bundle"
    (folder / "residual" / "unet").mkdir(parents=True)
    (folder / "residual" / "unet" / "config.json").write_text("{}")
    zeros = {key: np.zeros(shape, np.float32) for key, shape in fingerprint_shapes(MANIFEST_OF_TWO.features, Network()).items()}
    head = {key: np.zeros(shape, np.float32) for key, shape in attribution_shapes(MANIFEST_OF_TWO.sources, Network()).items()}
    save_bundle(folder, MANIFEST_OF_TWO, zeros, head, {"residual": "MIT"})
    return folder


def test_a_bundle_is_read_back_as_it_was_written(directory: Path) -> None:
    bundle = load_bundle(directory)
    assert replace(bundle.manifest, files=()) == MANIFEST_OF_TWO
    assert {file.path: file.licence for file in bundle.manifest.files} == {
        FINGERPRINT_FILE: "Apache-2.0",
        ATTRIBUTION_FILE: "Apache-2.0",
        "residual/unet/config.json": "MIT",
    }
    assert bundle.residual == f"denoise:{directory.resolve()}/residual?sigma=0.03"
    assert bundle.calibrated


def test_its_id_follows_its_content_and_not_its_place(directory: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(directory, tmp_path / "elsewhere")
    assert load_bundle(moved).bundle_id == load_bundle(directory).bundle_id
    manifest = json.loads((moved / MANIFEST).read_text())
    manifest["decision"]["temperature"] = 2.0
    (moved / MANIFEST).write_text(json.dumps(manifest))
    assert load_bundle(moved).bundle_id != load_bundle(directory).bundle_id
    assert load_bundle(moved).bundle_id.startswith("first-")


def test_prose_is_no_part_of_its_id(directory: Path) -> None:
    before = load_bundle(directory).bundle_id
    (directory / "card.md").write_text("what it is for")
    assert load_bundle(directory).bundle_id == before


def test_another_residual_gives_another_id_that_follows_its_weights(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: dict[str, dict[str, str]] = {}
    loaded: list[str] = []

    def load(spec: str) -> SimpleNamespace:
        loaded.append(spec)
        return SimpleNamespace(digests=weights[spec])

    monkeypatch.setattr(bundle_module, "load_residual", load)

    def with_residual(spec: str, digit: str) -> str:
        weights[spec] = {"model.safetensors": digit * 64}
        return load_bundle(directory, spec).bundle_id

    own = load_bundle(directory)
    here, moved = tmp_path / "here", tmp_path / "moved"
    here.mkdir()
    moved.mkdir()
    first = load_bundle(directory, f"denoise:{here}?sigma=0.1")
    assert not first.calibrated
    assert first.residual == f"denoise:{here}?sigma=0.1"
    assert (own.bundle_id, loaded) == (load_bundle(directory).bundle_id, [])  # only another residual's id needs its weights
    as_it_was = with_residual(f"denoise:{here}?sigma=0.1", "1")
    assert as_it_was == f"{own.manifest.name}-{digest(own.digest, 'denoise:?sigma=0.1', ('model.safetensors', '1' * 64))[:12]}"
    assert with_residual(f"denoise:{moved}?sigma=0.1", "1") == as_it_was
    ids = {
        own.bundle_id,
        as_it_was,
        with_residual(f"denoise:{here}?sigma=0.1", "2"),
        with_residual(f"denoise:{here}?sigma=0.2", "1"),
        with_residual("autoencoder:someone/some-model", "1"),
        with_residual("autoencoder:someone/some-model", "2"),
    }
    assert len(ids) == 6


def _set(key: str, value: object) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        manifest = json.loads((directory / MANIFEST).read_text())
        manifest[key] = value
        (directory / MANIFEST).write_text(json.dumps(manifest))

    return damage


def _flip_a_bit(directory: Path) -> None:
    data = bytearray((directory / FINGERPRINT_FILE).read_bytes())
    data[-1] ^= 1
    (directory / FINGERPRINT_FILE).write_bytes(bytes(data))


def _drop_a_weight(directory: Path) -> None:
    (directory / ATTRIBUTION_FILE).unlink()


def _point_outside(directory: Path) -> None:
    manifest = json.loads((directory / MANIFEST).read_text())
    manifest["files"][0]["path"] = "../../etc/passwd"
    (directory / MANIFEST).write_text(json.dumps(manifest))


def _drop_the_manifest(directory: Path) -> None:
    (directory / MANIFEST).unlink()


def _no_json(directory: Path) -> None:
    (directory / MANIFEST).write_text("{")


@pytest.mark.parametrize("name", ["default", "demo"])
def test_bundles_of_the_package_have_names_where_no_bundle_here_is_called_so(
    name: str, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert load_bundle(name).manifest.name == name
    (tmp_path / name).rmdir()
    directory.rename(tmp_path / name)
    assert load_bundle(name).manifest.name == "first"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop_the_manifest, "no bundle.json in .*; give the directory"),
        (_no_json, "is no JSON"),
        (_set("schema", 1), "has schema 1, this version reads 3"),
        (_set("sources", ["alpha", "beta"]), "sources must be distinct and hold 'real'"),
        (_set("sources", ["real", "alpha", "beta"]), r"shape \(2, 128\), bundle.json implies \(3, 128\)|shape \(2,\)"),
        (_set("families", [{"name": "kin", "members": ["alpha", "real"]}]), "families must be of different generators"),
        (_set("name", "Erste/r"), "name 'Erste/r' must match"),
        (_set("licence", 3), "licence must be a text, not 3"),
        (_set("geometry", {"crop": "64"}), "geometry.crop must be a whole number, not '64'"),
        (_set("decision", {"temperature": 1}), "bundle.json: decision: '[a-z_]+' is missing"),
        (_set("colour", "red"), "'colour' is unknown"),
        (
            _set("features", [{"lens": "dct", "reading": "backwards", "size": 6}]),
            "reading 'backwards' is none of residual, difference, image",
        ),
        (_set("files", []), "lists no fingerprint.safetensors"),
        (_flip_a_bit, "fingerprint.safetensors has SHA-256 .* says"),
        (_drop_a_weight, "attribution.safetensors is named in bundle.json and cannot be read"),
        (_point_outside, "lies outside the bundle"),
    ],
)
def test_what_is_wrong_with_a_bundle_is_said_in_one_sentence(
    directory: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(directory)
    with pytest.raises(BundleError, match=message) as caught:
        load_bundle(directory)
    assert "\n" not in str(caught.value)


def test_a_manifest_is_its_own_round_trip() -> None:
    assert parse_manifest(to_json(MANIFEST_OF_TWO).encode(), "here") == MANIFEST_OF_TWO


def test_the_id_is_read_without_torch(directory: Path) -> None:
    code = (
        "import sys; from causalprint.models.bundles.bundle import load_bundle; "
        f"print(load_bundle({str(directory)!r}).bundle_id); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == load_bundle(directory).bundle_id


def with_tensor(directory: Path, name: str, key: str, value: float) -> None:
    """Puts ``value`` into a tensor of a file of weights, which the manifest then names as it is."""
    tensors = load_file(directory / name)
    tensors[key].flat[0] = value
    save_file(tensors, directory / name)
    listed_again(directory)


def listed_again(directory: Path) -> None:
    manifest = json.loads((directory / MANIFEST).read_text())
    for file in manifest["files"]:
        file["sha256"] = hashlib.sha256((directory / file["path"]).read_bytes()).hexdigest()
    (directory / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "key"), [(FINGERPRINT_FILE, "dct.image.scale"), (ATTRIBUTION_FILE, "centre")])
def test_weights_that_are_no_numbers_are_refused(directory: Path, name: str, key: str, value: float) -> None:
    with_tensor(directory, name, key, value)
    with pytest.raises(BundleError, match=f"{name}: tensor '{key}' holds NaN or infinity"):
        load_bundle(directory)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None])
def test_every_type_of_number_is_looked_at(tmp_path: Path, dtype: torch.dtype, value: float | None) -> None:
    limits = torch.finfo(dtype)
    numbers = torch.tensor([0.0, -1.0, limits.max, limits.tiny, 0.5 if value is None else value], dtype=dtype)
    data = torch_save({"whole": torch.arange(3), "sound": torch.ones(2, dtype=dtype), "looked.at": numbers})
    assert first_not_finite(data) == (None if value is None else "looked.at")


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: (40).to_bytes(8, "little") + b'{"a":{"dtype":"F32"' + tail)
)
def test_what_is_no_file_of_weights_is_said(data: bytes) -> None:
    with suppress(ValueError):
        assert first_not_finite(data) is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"geometry": {"crop": 0}}, "geometry.crop must be at least 16, not 0"),
        ({"geometry": {"crop": -64}}, "geometry.crop must be at least 16, not -64"),
        ({"geometry": {"views": 0}}, "geometry.views must be at least 1, not 0"),
        ({"geometry": {"micro_batch": 0}}, "geometry.micro_batch must be at least 1, not 0"),
        ({"decision": {"temperature": 0.0}}, "decision.temperature 0.0 is no number to decide by"),
        ({"decision": {"novelty_spread": -1.0}}, "decision.novelty_spread -1.0 is no number to decide by"),
        *[
            ({"decision": {name: value}}, f"decision.{name} {value} is no number to decide by")
            for name in ("temperature", "minimum_probability", "novelty_limit", "novelty_spread", "flat")
            for value in (float("nan"), float("inf"))
        ],
    ],
    ids=str,
)
def test_a_manifest_that_no_verdict_could_come_of_is_refused(
    directory: Path, change: dict[str, dict[str, float]], told: str
) -> None:
    manifest = json.loads((directory / MANIFEST).read_text())
    for part, values in change.items():
        manifest[part] |= values
    (directory / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=re.escape(told)):
        load_bundle(directory)


def test_several_crops_need_a_lens_that_reads_the_image(directory: Path) -> None:
    manifest = json.loads((directory / MANIFEST).read_text())
    manifest["features"] = [one for one in manifest["features"] if one["reading"] == "residual"]
    with pytest.raises(BundleError, match=r"geometry.views is 2, and no lens reads the image; train it again with --views 1"):
        parse_manifest(json.dumps(manifest).encode(), "here")


@pytest.mark.parametrize("name", ["residual/unet/model.safetensors", "lenses/x/config.json", "residual/code.py", "more.bin"])
def test_a_file_that_is_not_listed_is_refused(directory: Path, name: str) -> None:
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(b"{}")
    with pytest.raises(BundleError, match=re.escape(f"{directory / name} is not named in {MANIFEST}")):
        load_bundle(directory)


@pytest.mark.parametrize("name", ["card.md", "residual/LICENCE.txt", ".gitattributes", "residual/README.md"])
def test_prose_need_not_be_listed(directory: Path, name: str) -> None:
    (directory / name).write_text("words")
    load_bundle(directory)


@pytest.mark.parametrize("key", ["residual", "lens", "file"])
@pytest.mark.parametrize("place", ["../elsewhere", "residual/../../elsewhere", "/etc"])
def test_nothing_outside_of_the_bundle_is_named(directory: Path, key: str, place: str) -> None:
    manifest = json.loads((directory / MANIFEST).read_text())
    inside = place if place.startswith("/") else f"./{place}"
    if key == "file":
        manifest["files"][-1]["path"] = place
    elif place.startswith("/"):
        pytest.skip("a residual elsewhere is named so, and is none of the bundle's")
    elif key == "residual":
        manifest["residual"] = f"denoise:{inside}"
    else:
        manifest["features"][0]["lens"] = f"convolutional:{inside}"
    (directory / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="which lies outside the bundle"):
        load_bundle(directory)


@pytest.mark.parametrize("name", [FINGERPRINT_FILE, "residual/unet/config.json", "residual"])
def test_a_link_out_of_the_bundle_is_refused(directory: Path, tmp_path: Path, name: str) -> None:
    (directory / name).rename(tmp_path / "elsewhere")
    (directory / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="is a link out of the bundle"):
        load_bundle(directory)
