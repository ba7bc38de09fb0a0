"""Labelled shards as a stream of crops, read again for every epoch: memory is bounded however many shards there are.

Several shards are read side by side, in an order that the epoch decides; a few images are decoded ahead of need, by threads; and
batches are drawn from a buffer. So a shard that holds one source alone is mixed with others, and the result hangs on no timing.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from causalprint.models.bundles.manifest import Geometry
from causalprint.models.features import cut
from causalprint.models.training.interventions import Interventions
from causalprint.research.training.lens import CropBatch
from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import EncodedImage, ImageSlice, Shard
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.images.decode import ImageRejectError, decode
from causalprint.transforms.labels import Label, label_of

SLICING = Slicing(images=32, bytes=8 * 1024 * 1024)
SIDE_BY_SIDE = 8
AHEAD = 64
MOST = 8.0
"""An image is shown at most so many times in an epoch, however rare its kind."""

Pixels = npt.NDArray[np.uint8]
Kind = tuple[str, str]
"""Source and origin."""
Job = TypeVar("Job")
Done = TypeVar("Done")


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
    storage: Storage = field(default_factory=Storage)


class LabelledCrop(NamedTuple):
    """A crop, uint8 (C, C, 3), and its image's label."""

    pixels: Pixels
    label: Label


class Survey(NamedTuple):
    """What a stream holds.

    Attributes:
        counts: images by source, origin and licence.
        left_out: images that are damaged or smaller than the crop.
        damage: what cannot be read of which shard.
    """

    counts: Mapping[tuple[str, str, str], int]
    left_out: int
    damage: tuple[str, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """In order."""
        return tuple(sorted({source for source, _, _ in self.counts}))


def survey(stream: CropStream) -> Survey:
    """Reads and decodes everything once.

    Raises:
        LabelError: an image has no label.
        ConnectionError: a shard cannot be read for now.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    left_out, damage = 0, list[str]()

    def jobs() -> Iterator[tuple[EncodedImage, Label]]:
        nonlocal left_out
        for part in _slices(stream.shards, stream.storage):
            left_out += len(part.rejects)
            damage.extend([f"{part.shard.uri}: {part.damage}"] if part.damage else [])
            yield from _labelled(part, stream)

    def usable(job: tuple[EncodedImage, Label]) -> Label | None:
        return job[1] if _decoded(job[0], stream.crop) is not None else None

    for label in _ahead(usable, jobs()):
        if label is None:
            left_out += 1
        else:
            counts[label.source, label.origin, label.licence] += 1
    return Survey(counts, left_out, tuple(damage))


def shares(found: Survey) -> dict[Kind, float]:
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

    def jobs() -> Iterator[tuple[EncodedImage, Label, tuple[int, ...], int]]:
        for part in _slices([stream.shards[place] for place in order], stream.storage):
            for image, label in _labelled(part, stream):
                own = (*seed, int(image.image_id[:15], 16))
                times = int(often.get((label.source, label.origin), 0) + np.random.default_rng(own).random())
                if times:
                    yield image, label, own, times

    def work(job: tuple[EncodedImage, Label, tuple[int, ...], int]) -> list[LabelledCrop]:
        image, label, own, times = job
        pixels = _decoded(image, stream.crop)
        if pixels is None:
            return []
        changes = [interventions[(sum(seed) + time) % len(interventions)] for time in range(times)]
        return [LabelledCrop(change(pixels, stream.crop, (*own, time)).pixels, label) for time, change in enumerate(changes)]

    for crops in _ahead(work, jobs()):
        yield from crops


def central_crops(stream: CropStream) -> Iterator[LabelledCrop]:
    """The central crop of every image, as it is, to judge by."""

    def work(job: tuple[EncodedImage, Label]) -> LabelledCrop | None:
        pixels = _decoded(job[0], stream.crop)
        return None if pixels is None else LabelledCrop(cut(pixels, Geometry(crop=stream.crop))[0], job[1])

    jobs = (job for part in _slices(stream.shards, stream.storage) for job in _labelled(part, stream))
    yield from (crop for crop in _ahead(work, jobs) if crop is not None)


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


def _numbered(names: list[str]) -> npt.NDArray[np.int64]:
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


def _slices(shards: Iterable[Shard], storage: Storage) -> Iterator[ImageSlice]:
    """Slices of a few shards at a time, by turns."""
    waiting, opened = deque(shards), deque[Iterator[ImageSlice]]()
    while waiting or opened:
        while waiting and len(opened) < SIDE_BY_SIDE:
            opened.append(read_slices(waiting.popleft(), "", SLICING, storage))
        reader = opened.popleft()
        part = next(reader, None)
        if part is None:
            continue
        if part.retryable:
            raise ConnectionError(f"{part.shard.uri}: {part.damage}; the same command with --resume goes on")
        opened.append(reader)
        yield part


def _labelled(part: ImageSlice, stream: CropStream) -> Iterator[tuple[EncodedImage, Label]]:
    for image in part.images:
        label = label_of(image, part.shard, stream.label_field)
        if stream.keeps(label.content):
            yield image, label


def _decoded(image: EncodedImage, crop: int) -> Pixels | None:
    try:
        pixels = decode(image.data).pixels
    except ImageRejectError:
        return None
    return pixels if min(pixels.shape[:2]) >= crop else None


def _ahead(work: Callable[[Job], Done], jobs: Iterable[Job]) -> Iterator[Done]:
    """``work`` on each job, in order, at most :data:`AHEAD` of them before they are asked for."""
    under_way = deque[Future[Done]]()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for job in jobs:
                under_way.append(pool.submit(work, job))
                if len(under_way) >= AHEAD:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for each in under_way:
                each.cancel()
