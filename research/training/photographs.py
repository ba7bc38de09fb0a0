"""The photographs that the repository's own models are trained on, and those that are held out to judge them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from causalprint.models.bundles.manifest import REAL
from causalprint.pipelines.labelled.reader import LabelledImage, LabelledReader
from causalprint.pipelines.shards.photographs import photographs
from causalprint.schemas.arrays import Pixels
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import digest
from causalprint.schemas.losses import Losses
from causalprint.transforms.labels import Label
from causalprint.transforms.match_shards import match_shards

HOLD_OUT_ONE_IN = 8
UNSTATED = "none stated"
"""Begins what stands for the licence of a photograph that has none: such photographs of packages are left out."""


class TrainingPhotograph(NamedTuple):
    """A photograph: SHA-256 of its encoded bytes, its label, and its pixels uint8 (height, width, 3) at native resolution."""

    image_id: str
    label: Label
    pixels: Pixels


class TrainingSplit(NamedTuple):
    """Photographs to train on and photographs to judge by; no content is in both. Each is ordered by ``image_id``.

    ``losses`` are what could not be read of the inputs.
    """

    training: tuple[TrainingPhotograph, ...]
    held_out: tuple[TrainingPhotograph, ...]
    losses: Losses = Losses()

    @property
    def digest(self) -> str:
        """What tells this split from any other, hex."""
        return digest(*(photograph.image_id for part in self[:2] for photograph in part), len(self.training))


def split_photographs(inputs: Sequence[str], val: Sequence[str], smallest: int) -> TrainingSplit:
    """The photographs of ``inputs`` and of the installed packages, split by content.

    Args:
        inputs: shards or folders, as for an audit. Where a sidecar names a ``source``, only those named ``real`` count.
        val: inputs whose photographs are all held out. Where there are none, one content in eight is, by its digest, so
            that the same contents are held out wherever they lie.
        smallest: photographs with a side shorter than this are left out, in pixels.

    Raises:
        ConnectionError: a shard cannot be read for now.
        InputError: an input matches nothing.
        ValueError: no photograph is left to train on, or none to judge by.
    """
    readers = [LabelledReader(list(match_shards(given, Storage())), "source", otherwise=REAL) for given in (inputs, val)]
    ours, reserved = ([one for one in reader.map(_describe) if one is not None] for reader in readers)
    kept = {photograph.label.content for photograph in reserved}
    training: list[TrainingPhotograph] = []
    held_out = reserved
    for photograph in (*ours, *_shipped()):
        content = photograph.label.content
        if content not in kept:
            (held_out if not val and _is_held_out(content) else training).append(photograph)
    losses = readers[0].losses + readers[1].losses
    parts = TrainingSplit(_usable(training, smallest), _usable(held_out, smallest), losses)
    if not parts.training or not parts.held_out:
        raise ValueError(
            f"{len(parts.training)} photographs to train on and {len(parts.held_out)} held out, each at least {smallest} pixels "
            f"wide and high, from {', '.join((*inputs, *val)) or 'the installed packages'}: both need some; give more inputs"
            f"{f' ({losses})' if str(losses) else ''}"
        )
    return parts


def _is_held_out(content: str) -> bool:
    return int(hashlib.sha256(content.encode()).hexdigest(), 16) % HOLD_OUT_ONE_IN == 0


def _usable(candidates: Iterable[TrainingPhotograph], smallest: int) -> tuple[TrainingPhotograph, ...]:
    unique = {photograph.image_id: photograph for photograph in candidates if min(photograph.pixels.shape[:2]) >= smallest}
    return tuple(unique[image_id] for image_id in sorted(unique))


def _shipped() -> Iterator[TrainingPhotograph]:
    for photograph in photographs():
        if photograph.licence.startswith(UNSTATED):
            continue
        label = Label(REAL, f"package {photograph.package}", photograph.name, photograph.licence)
        yield TrainingPhotograph(hashlib.sha256(photograph.encoded).hexdigest(), label, photograph.pixels)


def _describe(image: LabelledImage) -> TrainingPhotograph | None:
    if image.label.source != REAL:
        return None
    return TrainingPhotograph(image.encoded.image_id, image.label, image.decode().pixels)
