"""A bundle: the directory that holds all that a run depends on besides its input.

``bundle.json`` names every other file with its SHA-256, so the digest of ``bundle.json`` stands for all of them. Reading a
bundle's identity needs neither torch nor the weights' values: json, hashlib and the safetensors headers are enough.
``card.md`` is prose made from ``bundle.json`` and is no part of the identity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from causalprint.models.bundles.manifest import (
    BundleError,
    BundleFile,
    Feature,
    Manifest,
    attribution_shapes,
    fingerprint_shapes,
    parse_manifest,
)
from causalprint.models.residuals import load_residual
from causalprint.schemas.elements import digest
from causalprint.schemas.model_spec import ModelSpec, ResidualSpec, is_spec
from causalprint.schemas.records import to_json

DEFAULT = Path(__file__).parents[1] / "weights" / "default"
MANIFEST = "bundle.json"
FINGERPRINT_FILE = "fingerprint.safetensors"
ATTRIBUTION_FILE = "attribution.safetensors"
RESIDUAL_FOLDER = "residual"
LENSES_FOLDER = "lenses"
WEIGHT_SUFFIXES = (".json", ".safetensors", ".onnx")


@dataclass(frozen=True)
class Bundle:
    """A bundle that was found whole.

    Attributes:
        directory: where it is.
        manifest: its ``bundle.json``.
        own_digest: SHA-256 of ``bundle.json``, lower-case hex.
        residual: the residual to load, its location absolute where it is a path.
        calibrated: False where another residual stands in for the bundle's own: its attribution was not trained on that one.
    """

    directory: Path
    manifest: Manifest
    own_digest: str
    residual: str
    calibrated: bool = True

    @property
    def features(self) -> tuple[Feature, ...]:
        """What the fingerprint is computed from, locations of learned lenses absolute where they are paths."""
        return tuple(replace(feature, lens=_resolve(feature.lens, self.directory)) for feature in self.manifest.features)

    @cached_property
    def residual_digests(self) -> Mapping[str, str]:
        """SHA-256 of the residual's files by their name, sorted; of another than the bundle's own, taken by loading it.

        Raises:
            ResidualError: it cannot be loaded.
        """
        if self.calibrated:
            return {file.path: file.sha256 for file in self.manifest.files if file.path.startswith(f"{RESIDUAL_FOLDER}/")}
        return dict(sorted(load_residual(self.residual).digests.items()))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that rows depend on, lower-case hex; not over where another residual lies.

        Raises:
            ResidualError: another residual than the bundle's own cannot be loaded.
        """
        if self.calibrated:
            return self.own_digest
        spec = ResidualSpec.parse(self.residual)
        name = spec.relocate("") if Path(spec.location).is_dir() else spec
        return digest(self.own_digest, str(name), *self.residual_digests.items())

    @property
    def bundle_id(self) -> str:
        """Name and digest; begins with a letter, so that a hive partition ``bundle=<id>`` is read as text."""
        return f"{self.manifest.name}-{self.digest[:12]}"


def load_bundle(path: str | Path | None = None, residual: str | None = None) -> Bundle:
    """Reads and checks the bundle at ``path``; ``None`` is the one inside the package.

    Args:
        path: the directory.
        residual: ``kind:path-or-hub-name?option=value``, to compute in place of the bundle's own. The bundle then has another id,
            and every verdict abstains as ``uncalibrated``. It is not looked at before its id is asked for, or a fingerprint.

    Raises:
        BundleError: something is missing, damaged, or from another version.
    """
    directory = DEFAULT if path is None else Path(path)
    try:
        text = (directory / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleError(
            f"no {MANIFEST} in {directory}: {error.strerror}; give the directory that `causalprint train` wrote"
        ) from error
    manifest = parse_manifest(text, str(directory / MANIFEST))
    for file in manifest.files:
        _check_file(directory, file)
    _check_shapes(directory, manifest)
    own = Bundle(directory, manifest, hashlib.sha256(text).hexdigest(), _resolve(manifest.residual, directory))
    return own if residual is None else replace(own, residual=residual, calibrated=False)


def save_bundle(
    directory: Path,
    manifest: Manifest,
    fingerprint: Mapping[str, np.ndarray],
    attribution: Mapping[str, np.ndarray],
    licences: Mapping[str, str],
) -> Bundle:
    """Writes a bundle and loads it back; ``bundle.json`` is written last.

    Args:
        directory: already holds the residual's files where the residual lies in the bundle.
        manifest: without ``files``.
        fingerprint: tensors, see :func:`fingerprint_shapes`.
        attribution: tensors, see :func:`attribution_shapes`.
        licences: licence of each file by its path (or by the folder it is in), ``""`` for all others.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, tensors in ((FINGERPRINT_FILE, fingerprint), (ATTRIBUTION_FILE, attribution)):
        # Not by save_file, which gives the file to its owner alone.
        (directory / name).write_bytes(save({key: np.ascontiguousarray(value) for key, value in tensors.items()}))
    paths = [FINGERPRINT_FILE, ATTRIBUTION_FILE]
    folders = [RESIDUAL_FOLDER] * _inside(manifest.residual)
    folders += [LENSES_FOLDER] * any(_inside(feature.lens) for feature in manifest.features)
    for folder in folders:
        weights = [path for path in (directory / folder).rglob("*") if path.suffix in WEIGHT_SUFFIXES]
        paths += sorted(path.relative_to(directory).as_posix() for path in weights)

    def licence(path: str) -> str:
        return licences.get(path, licences.get(path.partition("/")[0], licences.get("", manifest.licence)))

    files = tuple(BundleFile(path, _sha256(directory / path), licence(path)) for path in paths)
    text = to_json(replace(manifest, files=files), indent=1) + "\n"
    (directory / MANIFEST).write_text(text, encoding="utf-8")
    return load_bundle(directory)


def _check_file(directory: Path, file: BundleFile) -> None:
    path = directory / file.path
    if Path(file.path).is_absolute() or ".." in Path(file.path).parts:
        raise BundleError(f"{directory / MANIFEST} names {file.path!r}, which lies outside the bundle")
    try:
        actual = _sha256(path)
    except OSError as error:
        raise BundleError(
            f"{path} is named in {MANIFEST} and cannot be read: {error.strerror}; fetch the bundle again"
        ) from error
    if actual != file.sha256:
        raise BundleError(
            f"{path} has SHA-256 {actual}, {MANIFEST} says {file.sha256}; the file is damaged or was changed: fetch it again"
        )


def _check_shapes(directory: Path, manifest: Manifest) -> None:
    expected = {
        FINGERPRINT_FILE: fingerprint_shapes(manifest.features, manifest.network),
        ATTRIBUTION_FILE: attribution_shapes(manifest.sources, manifest.network),
    }
    listed = {file.path for file in manifest.files}
    for name, shapes in expected.items():
        if name not in listed:
            raise BundleError(f"{directory / MANIFEST} lists no {name}; every bundle has one")
        try:
            with safe_open(directory / name, framework="np") as tensors:
                stored = {key: tuple(tensors.get_slice(key).get_shape()) for key in tensors.keys()}  # noqa: SIM118 - no mapping
        except SafetensorError as error:
            raise BundleError(f"{directory / name} is no safetensors file: {error}") from error
        for key in shapes.keys() | stored.keys():
            if shapes.get(key) != stored.get(key):
                raise BundleError(
                    f"{directory / name}: tensor {key!r} has shape {stored.get(key)}, {MANIFEST} implies {shapes.get(key)}"
                )


def _inside(name: str) -> bool:
    return is_spec(name) and ModelSpec.parse(name).is_inside


def _resolve(name: str, directory: Path) -> str:
    """The residual or lens ``name`` as whoever is elsewhere names it."""
    return str(ModelSpec.parse(name).resolve(directory)) if is_spec(name) else name


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
