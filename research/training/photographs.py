"""The photographs that the repository's own models are trained on, and those that are held out to judge them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from causalprint.pipelines.shards.photographs import photographs
from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import EncodedImage, digest
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.images.decode import ImageRejectError, decode
from causalprint.transforms.match_shards import match_shards

HOLD_OUT_ONE_IN = 8


@dataclass(frozen=True, slots=True)
class TrainingPhotograph:
    """A photograph with what its model's card says of it.

    Attributes:
        image_id: SHA-256 of the encoded bytes, lower-case hex.
        origin: the collection or package it comes from.
        licence: as the origin states it.
        content: what all images of the same scene share.
        pixels: uint8 (height, width, 3), at native resolution.
    """

    image_id: str
    origin: str
    licence: str
    content: str
    pixels: NDArray[np.uint8] = field(repr=False)


class Split(NamedTuple):
    """Photographs to train on and photographs to judge by; no content is in both. Each is ordered by ``image_id``."""

    training: tuple[TrainingPhotograph, ...]
    held_out: tuple[TrainingPhotograph, ...]

    @property
    def digest(self) -> str:
        """What tells this split from any other, hex."""
        return digest(*(photograph.image_id for part in self for photograph in part), len(self.training))


class Source(NamedTuple):
    """A row of a card's table: where photographs come from, and how many."""

    origin: str
    licence: str
    training: int
    held_out: int


def split_photographs(inputs: Sequence[str], val: Sequence[str], smallest: int) -> Split:
    """The photographs of ``inputs`` and of the installed packages, split by content.

    Args:
        inputs: shards or folders, as for an audit. Where a sidecar names a ``source``, only those named ``real`` count.
        val: inputs whose photographs are all held out. Where there are none, one content in eight is, by its digest, so
            that the same contents are held out wherever they lie.
        smallest: photographs with a side shorter than this are left out, in pixels.

    Raises:
        InputError: an input matches nothing.
        ValueError: no photograph is left to train on, or none to judge by.
    """
    candidates = [*_read(inputs), *_shipped()]
    reserved = list(_read(val))
    kept = {photograph.content for photograph in reserved}
    training: list[TrainingPhotograph] = []
    held_out = reserved
    for photograph in candidates:
        if photograph.content in kept:
            continue
        (held_out if not val and _is_held_out(photograph.content) else training).append(photograph)
    parts = Split(_usable(training, smallest), _usable(held_out, smallest))
    if not parts.training or not parts.held_out:
        raise ValueError(
            f"{len(parts.training)} photographs to train on and {len(parts.held_out)} held out, each at least {smallest} pixels "
            f"wide and high, from {', '.join((*inputs, *val)) or 'the installed packages'}: both need some; give more inputs"
        )
    return parts


def sources(split: Split) -> tuple[Source, ...]:
    """How many photographs of each origin and licence there are, ordered by origin."""
    training = Counter((photograph.origin, photograph.licence) for photograph in split.training)
    held_out = Counter((photograph.origin, photograph.licence) for photograph in split.held_out)
    return tuple(Source(*key, training[key], held_out[key]) for key in sorted(training | held_out))


def _is_held_out(content: str) -> bool:
    return int(hashlib.sha256(content.encode()).hexdigest(), 16) % HOLD_OUT_ONE_IN == 0


def _usable(candidates: Iterable[TrainingPhotograph], smallest: int) -> tuple[TrainingPhotograph, ...]:
    unique = {photograph.image_id: photograph for photograph in candidates if min(photograph.pixels.shape[:2]) >= smallest}
    return tuple(unique[image_id] for image_id in sorted(unique))


def _shipped() -> Iterator[TrainingPhotograph]:
    for photograph in photographs():
        image_id = hashlib.sha256(photograph.encoded).hexdigest()
        origin = f"package {photograph.package}"
        yield TrainingPhotograph(image_id, origin, photograph.licence, photograph.name, photograph.pixels)


def _read(inputs: Sequence[str]) -> Iterator[TrainingPhotograph]:
    for shard in match_shards(inputs, Storage()):
        for part in read_slices(shard, "", Slicing(), Storage()):
            if part.damage:
                raise ValueError(f"{shard.uri}: {part.damage}; models are trained on whole shards only")
            for image in part.images:
                photograph = _describe(image, shard.collection)
                if photograph is not None:
                    yield photograph


def _describe(image: EncodedImage, uri: str) -> TrainingPhotograph | None:
    sidecar = json.loads(image.metadata) if image.metadata else {}
    if sidecar.get("source", "real") != "real":
        return None
    try:
        pixels = decode(image.data).pixels
    except ImageRejectError as error:
        raise ValueError(f"{uri}, {image.member}: {error}; take it out of the training data") from error
    return TrainingPhotograph(
        image.image_id,
        str(sidecar.get("origin", uri)),
        str(sidecar.get("licence", "not stated")),
        str(sidecar.get("content", image.image_id)),
        pixels,
    )
