"""Labelled images to features, shard by shard, kept on disk: what ``causalprint train`` learns from.

The shards are those of an audit, read by the same readers. An image's label comes from its sidecar, else from the name of the
folder that it lies in.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from causalprint.models.features import FeatureExtractor, cut
from causalprint.models.interventions import Interventions
from causalprint.models.manifest import Geometry
from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import EncodedImage, Shard, digest
from causalprint.transforms.formats.images import ImageRejectError, decode
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.labels import Label, LabelError, label_of

__all__ = ["LabelError", "label_of"]

THUMBNAIL = 16

Text = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Extraction:
    """What is computed of each image.

    Attributes:
        geometry: the crop; an image smaller than it is left out.
        label_field: key of the sidecar that names the source.
        interventions: what the further views went through.
        views: the first is the image as it is, the others are changed.
        seed: of the interventions.
    """

    geometry: Geometry = field(default_factory=Geometry)
    label_field: str = "source"
    interventions: Interventions = field(default_factory=Interventions)
    views: int = 3
    seed: int = 0


class Examples(NamedTuple):
    """N labelled images in V views.

    Attributes:
        features: float16 (N, V, D).
        source, origin, content, licence: what the sidecar says, (N,); an image without ``content`` is its own.
        image_id: SHA-256 of the encoded bytes, (N,).
        encoded_bytes: int64 (N,).
        thumbnail: uint8 (N, 768), the image at 16x16 pixels: for the audit of shortcuts, never for the fingerprint.
        left_out: images that could not be decoded or are smaller than the crop, int64 (1,).
    """

    features: npt.NDArray[np.float16]
    source: Text
    origin: Text
    content: Text
    licence: Text
    image_id: Text
    encoded_bytes: npt.NDArray[np.int64]
    thumbnail: npt.NDArray[np.uint8]
    left_out: npt.NDArray[np.int64]

    def join(self, other: Examples) -> Examples:
        """These, then those."""
        joined = Examples(*(np.concatenate([mine, its]) for mine, its in zip(self, other, strict=True)))
        return joined._replace(left_out=joined.left_out.sum(keepdims=True))


def cached_examples(
    shard: Shard, extractor: FeatureExtractor, extraction: Extraction, cache: Path, storage: Storage, pool: ThreadPoolExecutor
) -> Examples:
    """The examples of one shard, from ``cache`` where an earlier run has left them."""
    weights = sorted(extractor.residual.digests.items())
    key = digest(
        shard.uri, shard.generation, shard.limit, extractor.residual.spec.options, weights, extractor.features, extraction
    )
    file = cache / f"{key[:32]}.npz"
    if file.exists():
        with np.load(file, allow_pickle=False) as stored:
            return Examples(*(stored[name] for name in Examples._fields))
    examples = extract_examples(shard, extractor, extraction, storage, pool)
    cache.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.savez(stream, **examples._asdict())
    part.replace(file)
    return examples


def extract_examples(
    shard: Shard, extractor: FeatureExtractor, extraction: Extraction, storage: Storage, pool: ThreadPoolExecutor
) -> Examples:
    """The examples of one shard.

    Raises:
        LabelError: an image has no label.
        ShardDamageError: the shard cannot be read to its end.
    """
    width = sum(feature.size for feature in extractor.features)
    examples = _none(extraction.views, width)
    for slice_ in read_slices(shard, "training", Slicing(), storage):
        work = partial(_example, shard, extractor, extraction)
        rows = [row for row in pool.map(work, slice_.images) if row is not None]
        left_out = slice_.seen - len(rows)
        examples = examples.join(_stack(rows, left_out, extraction.views, width))
        if slice_.damage:
            raise ValueError(f"{shard.uri}: {slice_.damage}; train from whole shards")
    return examples


class _Example(NamedTuple):
    features: npt.NDArray[np.float16]
    label: Label
    image_id: str
    encoded_bytes: int
    thumbnail: npt.NDArray[np.uint8]


def _example(shard: Shard, extractor: FeatureExtractor, extraction: Extraction, image: EncodedImage) -> _Example | None:
    label = label_of(image, shard, extraction.label_field)
    try:
        pixels = decode(image.data).pixels
    except ImageRejectError:
        return None
    centre = cut(pixels, Geometry(crop=extraction.geometry.crop))
    if not len(centre):
        return None
    seed = (extraction.seed, int(image.image_id[:15], 16))
    views = [centre[0]]
    crop, intervene = extraction.geometry.crop, extraction.interventions
    views += [intervene(pixels, crop, (*seed, view)).pixels for view in range(1, extraction.views)]
    small = Image.fromarray(centre[0]).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    features = extractor(np.stack(views)).astype(np.float16)
    return _Example(features, label, image.image_id, len(image.data), np.asarray(small).flatten())


def _stack(rows: list[_Example], left_out: int, views: int, width: int) -> Examples:
    if not rows:
        return _none(views, width)._replace(left_out=np.array([left_out]))
    return Examples(
        np.stack([row.features for row in rows]),
        np.array([row.label.source for row in rows]),
        np.array([row.label.origin for row in rows]),
        np.array([row.label.content for row in rows]),
        np.array([row.label.licence for row in rows]),
        np.array([row.image_id for row in rows]),
        np.array([row.encoded_bytes for row in rows]),
        np.stack([row.thumbnail for row in rows]),
        np.array([left_out]),
    )


def _none(views: int, width: int) -> Examples:
    empty = np.array([], dtype=np.str_)
    return Examples(
        np.zeros((0, views, width), np.float16),
        empty,
        empty,
        empty,
        empty,
        empty,
        np.zeros(0, np.int64),
        np.zeros((0, 3 * THUMBNAIL * THUMBNAIL), np.uint8),
        np.zeros(1, np.int64),
    )


def join_examples(parts: Iterator[Examples]) -> Examples:
    """All of them, in order; at least one."""
    joined = next(parts)
    for part in parts:
        joined = joined.join(part)
    return joined
