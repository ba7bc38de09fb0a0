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
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from causalprint.models.bundles.gallery import GALLERY_FILE, Gallery
from causalprint.models.bundles.manifest import (
    BundleError,
    BundleFile,
    Feature,
    Manifest,
    attribution_shapes,
    fingerprint_shapes,
    parse_manifest,
)
from causalprint.models.bundles.weights import first_not_finite
from causalprint.models.residuals import load_residual
from causalprint.models.residuals.weights import take_digest
from causalprint.schemas.elements import digest
from causalprint.schemas.model_spec import ModelSpec, ResidualSpec, is_spec
from causalprint.schemas.prior import EVEN, Prior
from causalprint.schemas.records import to_json

PACKAGED = Path(__file__).parents[1] / "weights"
DEFAULT = PACKAGED / "default"
MANIFEST = "bundle.json"
FINGERPRINT_FILE = "fingerprint.safetensors"
ATTRIBUTION_FILE = "attribution.safetensors"
HELD_OUT_FILE = "held_out.safetensors"
"""See :mod:`causalprint.models.bundles.held_out`; a bundle may lack it."""
RESIDUAL_FOLDER = "residual"
LENSES_FOLDER = "lenses"
WEIGHT_SUFFIXES = (".json", ".safetensors", ".onnx")
CODE_SUFFIXES = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle", ".npy", ".npz", ".h5", ".msgpack", ".py", ".so", ".data")
"""Of files that some library might load beside weights; none is ever part of a bundle."""


class Scoring(NamedTuple):
    """Of verdicts that were given to stored fingerprints: the partition that holds them, and a digest of what they depend on."""

    bundle_id: str
    digest: str


@dataclass(frozen=True)
class Bundle:
    """A bundle that was found whole.

    Attributes:
        directory: where it is.
        manifest: its ``bundle.json``.
        own_digest: SHA-256 of ``bundle.json``, lower-case hex.
        residual: the residual to load, its location absolute where it is a path.
        calibrated: False where another residual stands in for the bundle's own: its attribution was not trained on that one.
        prior: what verdicts and probabilities take for granted.
        minimum_probability: of a generator, or of a family, to be named, in place of the bundle's own.
    """

    directory: Path
    manifest: Manifest
    own_digest: str
    residual: str
    calibrated: bool = True
    prior: Prior = EVEN
    minimum_probability: float | None = None

    @property
    def least_probability(self) -> float:
        """Of a generator, or of a family, to be named."""
        return self.manifest.decision.minimum_probability if self.minimum_probability is None else self.minimum_probability

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
        """SHA-256 over everything that rows depend on, lower-case hex: prior and least probability too, where they are others.

        Not where another residual lies.

        Raises:
            ResidualError: another residual than the bundle's own cannot be loaded.
        """
        if self.calibrated:
            policy: list[object] = [] if self.prior == EVEN else ["prior", str(self.prior)]
            policy += [] if self.minimum_probability is None else ["minimum probability", self.minimum_probability]
            return digest(self.own_digest, *policy) if policy else self.own_digest
        return digest(self.own_digest, self._residual_name, *self.residual_digests.items())

    @cached_property
    def fingerprint_digest(self) -> str:
        """SHA-256 over everything that fingerprints depend on, lower-case hex; bundles that share it may judge each other's.

        Raises:
            ResidualError: another residual than the bundle's own cannot be loaded.
        """
        manifest = self.manifest
        computing = replace(manifest.network, attributor="linear"), manifest.geometry, manifest.features, manifest.decision.flat
        weights = [file for file in manifest.files if file.path == FINGERPRINT_FILE or file.path.startswith(f"{LENSES_FOLDER}/")]
        files = sorted((file.path, file.sha256) for file in weights)
        return digest(to_json(computing), self._residual_name, *self.residual_digests.items(), *files)

    def scoring(self, embeddings: str) -> Scoring:
        """Id and digest of the verdicts that this bundle gives the stored ``embeddings`` of a bundle with that id."""
        whole = digest(self.digest, "scores the embeddings of", embeddings)
        return Scoring(f"{self.manifest.name}-{whole[:12]}", whole)

    @property
    def _residual_name(self) -> str:
        """The residual's, whatever folder it lies in."""
        if self.calibrated:
            return self.manifest.residual
        spec = ResidualSpec.parse(self.residual)
        return str(spec.relocate("") if Path(spec.location).is_dir() else spec)

    @property
    def bundle_id(self) -> str:
        """Name and digest; begins with a letter, so that a hive partition ``bundle=<id>`` is read as text."""
        return f"{self.manifest.name}-{self.digest[:12]}"


def load_bundle(
    path: str | Path | None = None,
    residual: str | None = None,
    prior: Prior = EVEN,
    minimum_probability: float | None = None,
) -> Bundle:
    """Reads and checks the bundle at ``path``; ``None`` is the one inside the package.

    Args:
        path: the directory; where no bundle is there, that of the same name in the package.
        residual: ``kind:path-or-hub-name?option=value``, to compute in place of the bundle's own. The bundle then has another id,
            and every verdict abstains as ``uncalibrated``. It is not looked at before its id is asked for, or a fingerprint.
        prior: for verdicts and probabilities; the bundle then has another id.
        minimum_probability: of a generator, or of a family, to be named, in place of its own; likewise.

    Raises:
        BundleError: something is missing, damaged, or from another version.
    """
    directory = DEFAULT if path is None else Path(path)
    if not (directory / MANIFEST).exists() and (PACKAGED / directory / MANIFEST).is_file():
        directory = PACKAGED / directory
    try:
        text = (directory / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleError(
            f"no {MANIFEST} in {directory}: {error.strerror}; give the directory that `causalprint train` wrote"
        ) from error
    manifest = parse_manifest(text, str(directory / MANIFEST))
    _check_places(directory, manifest)
    for file in manifest.files:
        _check_file(directory, file)
    _check_shapes(directory, manifest)
    _check_held_out(directory, manifest)
    _check_listed(directory, manifest)
    own_digest, its_residual = hashlib.sha256(text).hexdigest(), _resolve(manifest.residual, directory)
    own = Bundle(directory, manifest, own_digest, its_residual, prior=prior, minimum_probability=minimum_probability)
    return own if residual is None else replace(own, residual=residual, calibrated=False)


def save_bundle(
    directory: Path,
    manifest: Manifest,
    fingerprint: Mapping[str, np.ndarray],
    attribution: Mapping[str, np.ndarray],
    licences: Mapping[str, str],
    gallery: Gallery | None = None,
    held_out: Mapping[str, np.ndarray] | None = None,
) -> Bundle:
    """Writes a bundle and loads it back; ``bundle.json`` is written last.

    Args:
        directory: already holds the residual's files where the residual lies in the bundle.
        manifest: without ``files``.
        fingerprint: tensors, see :func:`fingerprint_shapes`.
        attribution: tensors, see :func:`attribution_shapes`.
        licences: licence of each file by its path (or by the folder it is in), ``""`` for all others.
        gallery: fingerprints of the images that it was learned from.
        held_out: tensors, see :func:`causalprint.models.bundles.held_out.held_out_tensors`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = {FINGERPRINT_FILE: fingerprint, ATTRIBUTION_FILE: attribution}
    if held_out is not None:
        written[HELD_OUT_FILE] = held_out
    for name, tensors in written.items():
        # Not by save_file, which gives the file to its owner alone.
        (directory / name).write_bytes(save({key: np.ascontiguousarray(value) for key, value in tensors.items()}))
    paths = [*written]
    if gallery is not None:
        (directory / GALLERY_FILE).write_bytes(gallery.to_bytes())
        paths.append(GALLERY_FILE)
    folders = [RESIDUAL_FOLDER] if _inside(manifest.residual) else []
    folders += [LENSES_FOLDER] if any(_inside(feature.lens) for feature in manifest.features) else []
    for folder in folders:
        weights = [path for path in (directory / folder).rglob("*") if path.suffix in WEIGHT_SUFFIXES]
        paths += sorted(path.relative_to(directory).as_posix() for path in weights)

    def licence(path: str) -> str:
        return licences.get(path, licences.get(path.partition("/")[0], licences.get("", manifest.licence)))

    files = tuple(file_of(directory, path, licence(path)) for path in paths)
    text = to_json(replace(manifest, files=files), indent=1) + "\n"
    (directory / MANIFEST).write_text(text, encoding="utf-8")
    return load_bundle(directory)


def file_of(directory: Path, path: str, licence: str) -> BundleFile:
    """The file at ``path`` in the bundle's directory, as ``bundle.json`` names it."""
    return BundleFile(path, hashlib.sha256((directory / path).read_bytes()).hexdigest(), licence)


def _check_places(directory: Path, manifest: Manifest) -> None:
    """All that a bundle names lies in it, as what it is and not as a link."""
    named = [spec.location for name in (manifest.residual, *(one.lens for one in manifest.features)) if (spec := _inside(name))]
    for location in (*named, *(file.path for file in manifest.files)):
        if Path(location).is_absolute() or ".." in Path(location).parts:
            raise BundleError(f"{directory / MANIFEST} names {location!r}, which lies outside the bundle; train it again")
        if not (directory / location).resolve().is_relative_to(directory.resolve()):
            raise BundleError(
                f"{directory / location} is a link out of the bundle; copy the file itself there (cp -L), or fetch it again"
            )


def _check_listed(directory: Path, manifest: Manifest) -> None:
    """No file lies beside those that ``bundle.json`` names that something might load."""
    listed = {file.path for file in manifest.files}
    loaded = [path for path in directory.glob("*") if path.name != MANIFEST]
    loaded += [path for folder in (RESIDUAL_FOLDER, LENSES_FOLDER) for path in (directory / folder).rglob("*")]
    for path in sorted(loaded):
        name = path.relative_to(directory).as_posix()
        if path.suffix in (*WEIGHT_SUFFIXES, *CODE_SUFFIXES) and name not in listed and path.is_file():
            raise BundleError(f"{path} is not named in {MANIFEST}, so that nothing tells what it is; remove it")


def _check_file(directory: Path, file: BundleFile) -> None:
    path = directory / file.path
    try:
        actual = take_digest(path)
        data = path.read_bytes() if path.suffix == ".safetensors" else None
    except OSError as error:
        raise BundleError(
            f"{path} is named in {MANIFEST} and cannot be read: {error.strerror}; fetch the bundle again"
        ) from error
    if actual != file.sha256:
        raise BundleError(
            f"{path} has SHA-256 {actual}, {MANIFEST} says {file.sha256}; the file is damaged or was changed: fetch it again"
        )
    try:
        wrong = first_not_finite(data) if data is not None else None
    except ValueError as error:
        raise BundleError(f"{path} is no safetensors file: {error}") from error
    if wrong is not None:
        raise BundleError(f"{path}: tensor {wrong!r} holds NaN or infinity, and would make every verdict one; train it again")


def _check_shapes(directory: Path, manifest: Manifest) -> None:
    expected = {
        FINGERPRINT_FILE: fingerprint_shapes(manifest.features, manifest.network),
        ATTRIBUTION_FILE: attribution_shapes(manifest.sources, manifest.network, len(manifest.enrolled)),
    }
    listed = {file.path for file in manifest.files}
    for name, shapes in expected.items():
        if name not in listed:
            raise BundleError(f"{directory / MANIFEST} lists no {name}; every bundle has one")
        stored = _stored_shapes(directory / name)
        for key in shapes.keys() | stored.keys():
            if shapes.get(key) != stored.get(key):
                raise BundleError(
                    f"{directory / name}: tensor {key!r} has shape {stored.get(key)}, {MANIFEST} implies {shapes.get(key)}"
                )


def _check_held_out(directory: Path, manifest: Manifest) -> None:
    """Held-out scores are of the bundle's own sources, and each of an image that the card names."""
    if not any(file.path == HELD_OUT_FILE for file in manifest.files):
        return
    path = directory / HELD_OUT_FILE
    stored = _stored_shapes(path)
    images = stored.get("place", (0,))[0]
    if stored != {"place": (images,), "probabilities": (images, len(manifest.sources)), "generated": (images,)}:
        raise BundleError(f"{path} holds {stored}, which are no scores of {len(manifest.sources)} sources; train it again")
    places = load_file(path)["place"]
    if len(places) and not 0 <= int(places.min()) <= int(places.max()) < len(manifest.data):
        raise BundleError(f"{path} has images of origins that {MANIFEST} does not name; train it again")


def _stored_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(path, framework="np") as tensors:
            return {key: tuple(tensors.get_slice(key).get_shape()) for key in tensors.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise BundleError(f"{path} is no safetensors file: {error}") from error


def _inside(name: str) -> ModelSpec | None:
    """The residual or learned lens of that name, where it lies in the bundle."""
    spec = ModelSpec.parse(name) if is_spec(name) else None
    return spec if spec is not None and spec.is_inside else None


def _resolve(name: str, directory: Path) -> str:
    """The residual or lens ``name`` as whoever is elsewhere names it."""
    return str(ModelSpec.parse(name).resolve(directory)) if is_spec(name) else name
