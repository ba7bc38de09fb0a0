"""Labelled shards as a stream of crops, read again for every epoch: memory is bounded however many shards there are.

Several shards are read side by side, in an order that the epoch decides; a few images are decoded ahead of need, by threads; and
batches are drawn from a buffer. So a shard that holds one source alone is mixed with others, and the result hangs on no timing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from causalprint.models.training.interventions import Interventions
from causalprint.pipelines.labelled.reader import LabelledImage, LabelledReader, central_crop
from causalprint.research.training.lens import CropBatch
from causalprint.schemas.arrays import Labels, Pixels
from causalprint.schemas.config import NO_OPTIONS, Storage
from causalprint.schemas.elements import Shard
from causalprint.schemas.losses import Losses
from causalprint.transforms.labels import Label

SIDE_BY_SIDE = 8
MOST = 8.0
"""An image is shown at most so many times in an epoch, however rare its kind."""

Kind = tuple[str, str]
"""Source and origin."""


@dataclass(frozen=True, slots=True)
class CropStream:
    """Labelled images to stream.

    Attributes:
        shards: where they are.
        crop: side of the crops in pixels; smaller images are left out.
        label_field: key of the sidecar, or column, that names the source.
        keeps: whether images of a content belong to the stream.
        storage: fsspec options.
    """

    shards: tuple[Shard, ...]
    crop: int
    label_field: str
    keeps: Callable[[str], bool] = lambda _: True
    storage: Storage = NO_OPTIONS

    def reader(self, shards: Sequence[Shard]) -> LabelledReader:
        """A few ``shards`` at a time, by turns."""
        return LabelledReader(shards, self.label_field, self.storage, side_by_side=SIDE_BY_SIDE)

    def kept(self, reader: LabelledReader) -> Iterator[LabelledImage]:
        """The images of ``reader`` that belong to the stream."""
        return (image for image in reader if self.keeps(image.label.content))


class LabelledCrop(NamedTuple):
    """A crop, uint8 (C, C, 3), and its image's label."""

    pixels: Pixels
    label: Label


class SurveyedCrops(NamedTuple):
    """What a stream holds.

    Attributes:
        stream: that one.
        counts: images by source, origin and licence.
        losses: what is left out.
    """

    stream: CropStream
    counts: Mapping[tuple[str, str, str], int]
    losses: Losses

    @property
    def by_source(self) -> dict[str, int]:
        """Images by source, in order."""
        sources = sorted({source for source, _, _ in self.counts})
        return {name: sum(count for (source, *_), count in self.counts.items() if source == name) for name in sources}


def survey(stream: CropStream) -> SurveyedCrops:
    """Reads and decodes everything once.

    Raises:
        LabelError: no image has a label.
        ConnectionError: a shard cannot be read for now.
    """
    reader = stream.reader(stream.shards)

    def usable(image: LabelledImage) -> Label:
        central_crop(image.decode(), stream.crop)
        return image.label

    labels = reader.map(usable, stream.kept(reader))
    counts = Counter((label.source, label.origin, label.licence) for label in labels)
    return SurveyedCrops(stream, counts, reader.losses)


def shares(found: SurveyedCrops) -> dict[Kind, float]:
    """How often an image of each kind is shown in an epoch so that sources weigh alike, and so do the origins of a source.

    As many crops in all as there are images, but that none is shown more than :data:`MOST` times.
    """
    counts: Counter[Kind] = Counter()
    for (source, origin, _), count in found.counts.items():
        counts[source, origin] += count
    origins = Counter(source for source, _ in counts)
    total = sum(counts.values())
    return {kind: min(MOST, total / (len(origins) * origins[kind[0]] * count)) for kind, count in counts.items()}


def changed_crops(
    stream: CropStream, often: Mapping[Kind, float], interventions: Sequence[Interventions], seed: tuple[int, int]
) -> Iterator[LabelledCrop]:
    """Crops to learn from, of images that went through ``interventions``.

    Args:
        stream: of what.
        often: of :func:`shares`; a fraction is a chance.
        interventions: on content and style, in turn.
        seed: of the training, and the epoch; with an image's bytes it decides how often that is shown and how it is changed.
    """
    order = np.random.default_rng(seed).permutation(len(stream.shards))
    reader = stream.reader([stream.shards[place] for place in order])

    def work(image: LabelledImage) -> list[LabelledCrop]:
        own = (*seed, int(image.encoded.image_id[:15], 16))
        chance = often.get((image.label.source, image.label.origin), 0)
        times = int(chance + np.random.default_rng(own).random())
        if not times:
            return []
        decoded = image.decode()
        central_crop(decoded, stream.crop)  # or it is too small
        changes = [interventions[(sum(seed) + time) % len(interventions)] for time in range(times)]
        changed = (change(decoded.pixels, stream.crop, (*own, time)).pixels for time, change in enumerate(changes))
        return [LabelledCrop(pixels, image.label) for pixels in changed]

    for crops in reader.map(work, stream.kept(reader)):
        yield from crops


def central_crops(stream: CropStream) -> Iterator[LabelledCrop]:
    """The central crop of every image, as it is, to judge by."""
    reader = stream.reader(stream.shards)
    return reader.map(lambda one: LabelledCrop(central_crop(one.decode(), stream.crop), one.label), stream.kept(reader))


def balanced(crops: Iterable[LabelledCrop], size: int, capacity: int, draw: np.random.Generator) -> Iterator[list[LabelledCrop]]:
    """Batches from a buffer of at most ``capacity`` crops: of a source drawn evenly, then an origin of it, then any crop of that.

    Each crop is drawn once, whatever is left at the end: a last batch may be smaller, but never of one crop, which is dropped.
    """
    pools: dict[str, dict[str, list[LabelledCrop]]] = {}
    count = 0
    for crop in crops:
        pools.setdefault(crop.label.source, {}).setdefault(crop.label.origin, []).append(crop)
        count += 1
        if count == max(capacity, size):
            yield [_take(pools, draw) for _ in range(size)]
            count -= size
    while count > 1:
        yield [_take(pools, draw) for _ in range(min(size, count))]
        count -= min(size, count)


def in_order(crops: Iterable[LabelledCrop], size: int) -> Iterator[list[LabelledCrop]]:
    """Batches of ``size`` crops as they come; the last may be smaller."""
    left = iter(crops)
    while batch := list(islice(left, size)):
        yield batch


def as_batch(crops: Sequence[LabelledCrop], sources: Sequence[str]) -> CropBatch:
    """Crops as arrays; a label is its source's place in ``sources``."""
    labels = [crop.label for crop in crops]
    numbers = np.array([sources.index(label.source) for label in labels], np.int64)
    pixels = np.stack([crop.pixels for crop in crops])
    return CropBatch(pixels, numbers, _numbered([one.origin for one in labels]), _numbered([one.content for one in labels]))


def _numbered(names: list[str]) -> Labels:
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _take(pools: dict[str, dict[str, list[LabelledCrop]]], draw: np.random.Generator) -> LabelledCrop:
    source = list(pools)[draw.integers(len(pools))]
    origin = list(pools[source])[draw.integers(len(pools[source]))]
    pool = pools[source][origin]
    place = int(draw.integers(len(pool)))
    pool[place], pool[-1] = pool[-1], pool[place]
    taken = pool.pop()
    if not pool:
        del pools[source][origin]
    if not pools[source]:
        del pools[source]
    return taken
