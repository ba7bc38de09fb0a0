"""``bundle.json``: what a bundle says of itself, as frozen values, read and checked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

from causalprint.models.attention import attention_shapes
from causalprint.schemas.model_spec import Reading
from causalprint.schemas.records import from_data
from causalprint.schemas.tables import FINGERPRINT_DIM

SCHEMA = 3
SMALLEST_CROP = 16
"""Pixels: the least that ``train --crop`` takes."""
REAL = "real"
GRAPHIC = "graphic"
ART = "real-art"
NOT_GENERATED = (REAL, GRAPHIC, ART)
"""Sources that are no generators: a camera, ordinary software that draws, and a person who paints."""
UNREGISTERED = "unregistered"
"""A source that stands for many generators, none of which is to be named: what is most like it is ``unknown``."""
Fusion = Literal["f0", "f1", "f2"]
AttributorKind = Literal["linear", "attention"]
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


class BundleError(ValueError):
    """The bundle cannot be used; the message names the file, the value and the remedy."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """What of an image is analysed, at its own resolution (never resized).

    Attributes:
        crop: side of the square crop, in pixels.
        views: crops that are analysed at most: the central one, and those of eight around it that have most texture
            (:func:`causalprint.models.features.chosen`). Corners of crops lie on multiples of 8 pixels, in phase with the blocks
            of a JPEG. The residual is of the first alone, since it costs most; readings of the image are averaged.
        micro_batch: crops that a GPU computes in one call, padded to exactly this number; a CPU computes one by one.
    """

    crop: int = 256
    views: int = 1
    micro_batch: int = 32


@dataclass(frozen=True, slots=True)
class Feature:
    """One lens, a key of ``causalprint.models.lenses.LENSES`` or a learned one's spec, in one reading; and its length."""

    lens: str
    reading: Reading
    size: int

    @property
    def key(self) -> str:
        """The prefix of its tensors."""
        return f"{self.lens}.{self.reading}"


@dataclass(frozen=True, slots=True)
class Network:
    """What the tensors of a bundle are of: fusion and attributor as of :class:`~causalprint.models.training.recipe.Recipe`.

    The detector has so many scores as ``rivals``: kinds of images that no generator made and that it was learned beside.
    """

    fusion: Fusion = "f0"
    autoencoder: bool = False
    attributor: AttributorKind = "linear"
    rivals: int = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """From scores to a verdict. All but ``flat`` were set on validation images.

    Attributes:
        temperature: divides the scores before the softmax.
        generated_scale, generated_offset: scale times the detector's least score plus offset are the log odds of being generated.
        cleared_limit: the largest probability of being generated at which an image is called ``real`` or ``graphic``.
        generated_limit: the least at which it is called ``known`` or ``unknown``; between the two it abstains as ``undecided``.
        minimum_probability: of a generator, or of a family, to be named.
        novelty_limit: familiarity below which an image is like no known source; the verdict is ``unknown`` where it is generated.
        novelty_spread: divides the largest discriminant, so that familiarity differs by about 1 among images of known sources.
        flat: root mean square difference of neighbouring pixels (image range 0 to 1) below which an image has no texture.
    """

    temperature: float
    generated_scale: float
    generated_offset: float
    cleared_limit: float
    generated_limit: float
    minimum_probability: float
    novelty_limit: float
    novelty_spread: float
    flat: float


@dataclass(frozen=True, slots=True)
class Family:
    """Generators of one kin, one of which may be meant where none of them can be named."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confusion:
    """A source whose images are given an enrolled one's name, and the share of them that is expected to be."""

    source: str
    share: float


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A generator that was added to a trained bundle from a few images; see :mod:`causalprint.models.enrolment`.

    Attributes:
        name: of the source.
        limit: log odds from which an image is given its name, whatever the other sources say.
        images: that it was learned from; ``found`` of them are found where each is left out in turn.
        accused: share of images by others that are expected to be given its name.
        confused: the sources that are expected to be most often.
        family: its family; ``None`` is one of its own.
    """

    name: str
    limit: float
    images: int
    found: int
    accused: float
    confused: tuple[Confusion, ...] = ()
    family: str | None = None

    @property
    def kin(self) -> str:
        """The name of its family."""
        return self.family or self.name


@dataclass(frozen=True, slots=True)
class Origin:
    """Training images of one source from one place, and their licence as it is stated there."""

    source: str
    origin: str
    training: int
    validation: int
    licence: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value with its bootstrap 95 % interval and what it was measured on."""

    name: str
    value: float
    low: float
    high: float
    note: str


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of the bundle: its SHA-256, lower-case hex, and its licence."""

    path: str
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """``bundle.json``.

    Attributes:
        schema: :data:`SCHEMA`.
        name: starts the bundle's id: lower-case letters, digits and hyphens, a letter first.
        licence: of the bundle as a whole.
        sources: the taxonomy, in the order of the attribution head's rows; ``real`` among them, and perhaps ``graphic``.
        families: of generators; one that is in none is a family of its own.
        geometry: which pixels.
        residual: ``kind:location?option=value``; a location that starts with ``./`` lies in the bundle.
        features: what the fingerprint is computed from, in order; a learned lens whose location starts with ``./`` lies in the
            bundle.
        network: how they become a fingerprint and a verdict.
        decision: temperature and limits.
        data: training data card.
        figures: evaluation.
        files: every file that the result depends on.
        enrolled: generators that were added after training; none of them is among ``sources``.
    """

    schema: int
    name: str
    licence: str
    sources: tuple[str, ...]
    geometry: Geometry
    residual: str
    features: tuple[Feature, ...]
    decision: Decision
    network: Network = field(default_factory=Network)
    families: tuple[Family, ...] = ()
    data: tuple[Origin, ...] = ()
    figures: tuple[Figure, ...] = ()
    files: tuple[BundleFile, ...] = ()
    enrolled: tuple[Enrolled, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All sources that a verdict may be about: those of the attribution head, then those that were enrolled."""
        return (*self.sources, *(one.name for one in self.enrolled))

    @property
    def generators(self) -> tuple[bool, ...]:
        """Of each source, whether it is one."""
        return are_generators(self.sources)

    @property
    def registered(self) -> tuple[bool, ...]:
        """Of each source, whether it is a generator that may be named."""
        return tuple(made and source != UNREGISTERED for source, made in zip(self.sources, self.generators, strict=True))

    def family_of(self, source: str) -> str:
        """The family of a generator."""
        kin = next((one.kin for one in self.enrolled if one.name == source), source)
        return next((family.name for family in self.families if source in family.members), kin)


def are_generators(sources: Sequence[str]) -> tuple[bool, ...]:
    """Of each source, whether it is a generator."""
    return tuple(source not in NOT_GENERATED for source in sources)


def parse_manifest(text: bytes, where: str) -> Manifest:
    """The manifest in ``text``; ``where`` names it in errors.

    Raises:
        BundleError: it is no manifest of this version.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BundleError(f"{where} is no JSON: {error}; fetch the bundle again") from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise BundleError(
            f"{where} has schema {schema!r}, this version reads {SCHEMA}; train it again or install another version"
        )
    try:
        manifest = from_data(Manifest, data, where)
    except ValueError as error:
        raise BundleError(f"{error}; train it again") from error
    if not _NAME.fullmatch(manifest.name):
        raise BundleError(f"{where}: name {manifest.name!r} must match {_NAME.pattern}")
    sources = manifest.sources
    if REAL not in sources or len(set(manifest.names)) != len(manifest.names) or not any(manifest.registered):
        raise BundleError(f"{where}: sources must be distinct and hold {REAL!r} and at least one generator, not {manifest.names}")
    members = [member for family in manifest.families for member in family.members]
    if len(set(members)) != len(members) or not set(members) <= set(sources) - {*NOT_GENERATED, UNREGISTERED}:
        raise BundleError(f"{where}: families must be of different generators among the sources, not {members}; train it again")
    _check_numbers(manifest, where)
    return manifest


def _check_numbers(manifest: Manifest, where: str) -> None:
    """Numbers that no training gives, and with which a verdict would be none."""
    geometry, decision = manifest.geometry, manifest.decision
    least = {
        "geometry.crop": (geometry.crop, SMALLEST_CROP),
        "geometry.views": (geometry.views, 1),
        "geometry.micro_batch": (geometry.micro_batch, 1),
        **{f"features[{index}].size": (feature.size, 1) for index, feature in enumerate(manifest.features)},
    }
    for name, (number, smallest) in least.items():
        if number < smallest:
            raise BundleError(f"{where}: {name} must be at least {smallest}, not {number}; train it again")
    if geometry.views > 1 and all(feature.reading != "image" for feature in manifest.features):
        raise BundleError(
            f"{where}: geometry.views is {geometry.views}, and no lens reads the image; train it again with --views 1"
        )
    for name, value in ((one.name, getattr(decision, one.name)) for one in fields(decision)):
        if not math.isfinite(value) or (name in ("temperature", "novelty_spread", "generated_scale") and value <= 0):
            raise BundleError(f"{where}: decision.{name} {value} is no number to decide by; train it again")


_AUTOENCODER = (("hidden", 128, 128), ("mean", 64, 128), ("spread", 64, 128), ("widen", 128, 64), ("out", 128, 128))


def fingerprint_shapes(features: tuple[Feature, ...], network: Network) -> dict[str, tuple[int, ...]]:
    """Shapes in ``fingerprint.safetensors``: standardisation, projection and its factor of each feature; one bias; fusion."""
    square = (FINGERPRINT_DIM, FINGERPRINT_DIM)
    shapes: dict[str, tuple[int, ...]] = {"bias": (FINGERPRINT_DIM,)}
    for feature in features:
        shapes[f"{feature.key}.mean"] = (feature.size,)
        shapes[f"{feature.key}.scale"] = (feature.size,)
        shapes[f"{feature.key}.gain"] = (1,)
        shapes[f"{feature.key}.projection"] = (FINGERPRINT_DIM, feature.size)
        if network.fusion == "f2":
            shapes[f"{feature.key}.bias"] = (FINGERPRINT_DIM,)
    if network.fusion == "f2":
        shapes |= {"network.query": (FINGERPRINT_DIM,), "network.key.weight": square}
    if network.autoencoder:
        for name, wide, narrow in _AUTOENCODER:
            shapes |= {f"network.autoencoder.{name}.weight": (wide, narrow), f"network.autoencoder.{name}.bias": (wide,)}
    return shapes


def attribution_shapes(sources: tuple[str, ...], network: Network, enrolled: int = 0) -> dict[str, tuple[int, ...]]:
    """Shapes in ``attribution.safetensors``: attributor, detector, and of each source its centre, with one metric for all.

    Of so many ``enrolled`` sources, their discriminants.
    """
    count = len(sources)
    shapes: dict[str, tuple[int, ...]] = {
        "centre": (count, FINGERPRINT_DIM),
        "whitening": (FINGERPRINT_DIM, FINGERPRINT_DIM),
        "generated.weight": (network.rivals, FINGERPRINT_DIM),
        "generated.bias": (network.rivals,),
    }
    if enrolled:
        shapes |= {"enrolled.weight": (enrolled, FINGERPRINT_DIM), "enrolled.bias": (enrolled,)}
    if network.attributor == "attention":
        return shapes | {f"attention.{name}": shape for name, shape in attention_shapes(count).items()}
    return shapes | {"weight": (count, FINGERPRINT_DIM), "bias": (count,)}
