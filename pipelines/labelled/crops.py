"""Labelled images of shards as crops in memory or in one file: what ``compare`` and ``evaluate`` work on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.schemas.config import Slicing, Storage

if TYPE_CHECKING:
    from causalprint.schemas.elements import EncodedImage, Shard

Text = npt.NDArray[np.str_]
Encode = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]
Report = Callable[[str], None]
"""Told in a few words what is being done."""


class LabelledCrops(NamedTuple):
    """N labelled crops, in the order of their shards' URIs and of the members in them.

    Attributes:
        crops: uint8 (N, C, C, 3): the central crop of each image, never resized; perhaps a read-only map of a file.
        source, origin, content, image_id: what the sidecar says, and SHA-256 of the encoded bytes, (N,).
        encoded_bytes: int64 (N,).
        encoding: of the file: JPEG, PNG, …, (N,).
        size: height and width of the whole image in pixels, int64 (N, 2).
        left_out: how many images could not be decoded or are smaller than the crop.
    """

    crops: npt.NDArray[np.uint8]
    source: Text
    origin: Text
    content: Text
    image_id: Text
    encoded_bytes: npt.NDArray[np.int64]
    encoding: Text
    size: npt.NDArray[np.int64]
    left_out: int


class _Row(NamedTuple):
    crop: npt.NDArray[np.uint8]
    source: str
    origin: str
    content: str
    image_id: str
    encoded_bytes: int
    encoding: str
    size: tuple[int, int]


def read_labelled_crops(
    inputs: Sequence[str],
    storage: Storage,
    label_field: str = "source",
    crop: int = 256,
    report: Report = lambda _: None,
    file: Path | None = None,
    encode: Encode | None = None,
    limit: int | None = None,
) -> LabelledCrops:
    """The central crops of the images in ``inputs``.

    Args:
        inputs: shards or folders, as an audit takes them.
        storage: fsspec options.
        label_field: key of the sidecar that names the source; see ``label_of``.
        crop: C, in pixels.
        report: told of every shard.
        file: where crops go as raw bytes, to be mapped instead of held in memory.
        encode: what every crop goes through, uint8 (C, C, 3) to the same: ``causalprint.models.evaluation.perturbations.TRACKS``.
        limit: at most this many images in all.

    Raises:
        InputError: an input matches nothing.
        LabelError: an image has no label.
        ValueError: a shard is damaged.
    """
    from causalprint.transforms.match_shards import match_shards

    shards = list(match_shards(inputs, storage, limit))
    rows: list[_Row] = []
    left_out = 0
    if file is not None:
        file.unlink(missing_ok=True)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for number, shard in enumerate(shards, 1):
            report(f"reading shard {number} of {len(shards)}: {shard.uri}")
            for row in _read(shard, storage, label_field, crop, encode, pool):
                if row is None:
                    left_out += 1
                    continue
                rows.append(row if file is None else row._replace(crop=row.crop[:0]))
                if file is not None:
                    with file.open("ab") as stream:
                        stream.write(row.crop.tobytes())
    shape = (len(rows), crop, crop, 3)
    if file is None or not rows:
        crops = np.stack([row.crop for row in rows]) if rows else np.zeros(shape, np.uint8)
    else:
        crops = np.memmap(file, np.uint8, "r", shape=shape)
    return LabelledCrops(
        crops,
        np.array([row.source for row in rows], np.str_),
        np.array([row.origin for row in rows], np.str_),
        np.array([row.content for row in rows], np.str_),
        np.array([row.image_id for row in rows], np.str_),
        np.array([row.encoded_bytes for row in rows], np.int64),
        np.array([row.encoding for row in rows], np.str_),
        np.array([row.size for row in rows], np.int64).reshape(-1, 2),
        left_out,
    )


def _read(
    shard: Shard, storage: Storage, label_field: str, crop: int, encode: Encode | None, pool: ThreadPoolExecutor
) -> Iterator[_Row | None]:
    """Every image of a shard, up to its limit; ``None`` for one that is left out."""
    from causalprint.schemas.elements import limit_damage
    from causalprint.transforms.formats.slices import read_slices

    def work(image: EncodedImage) -> _Row | None:
        return _row(image, shard, label_field, crop, encode)

    for slice_ in read_slices(shard, "labelled", Slicing(), storage):
        yield from pool.map(work, slice_.images)
        yield from [None] * (slice_.seen - len(slice_.images))
        if slice_.damage and (shard.limit is None or slice_.damage != limit_damage(shard.limit)):
            raise ValueError(f"{shard.uri}: {slice_.damage}; measure on whole shards only")


def _row(image: EncodedImage, shard: Shard, label_field: str, crop: int, encode: Encode | None) -> _Row | None:
    from causalprint.models.bundles.manifest import Geometry
    from causalprint.models.features import cut
    from causalprint.transforms.images.decode import ImageRejectError, decode
    from causalprint.transforms.labels import label_of

    label = label_of(image, shard, label_field)
    try:
        decoded = decode(image.data)
    except ImageRejectError:
        return None
    centre = cut(decoded.pixels, Geometry(crop=crop))
    if not len(centre):
        return None
    size = (decoded.height, decoded.width)
    pixels = encode(centre[0]) if encode else centre[0]
    return _Row(pixels, label.source, label.origin, label.content, image.image_id, len(image.data), decoded.format, size)
