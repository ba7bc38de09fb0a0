"""Labelled images of shards as crops in memory or in one file: what ``compare`` and ``evaluate`` work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from causalprint.models.labelled import ImageRow, LabelledCrops, LabelledImages
from causalprint.pipelines.labelled.reader import LabelledImage, LabelledReader, Report, central_crop
from causalprint.schemas.arrays import Crops, Mask, Pixels
from causalprint.schemas.config import Storage
from causalprint.transforms.match_shards import match_shards


def read_labelled_crops(
    inputs: Sequence[str],
    storage: Storage,
    label_field: str = "source",
    crop: int = 256,
    report: Report = lambda _: None,
    file: Path | None = None,
    encode: Callable[[Pixels], Pixels] | None = None,
    limit: int | None = None,
) -> LabelledCrops:
    """The central crops of the images in ``inputs``, in the order of their shards' URIs and of the members in them.

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
        ConnectionError: a shard cannot be read for now.
        InputError: an input matches nothing.
        LabelError: no image has a label.
    """
    reader = LabelledReader(list(match_shards(inputs, storage, limit)), label_field, storage, report=report)

    def work(image: LabelledImage) -> tuple[ImageRow, Pixels]:
        decoded = image.decode()
        centre = central_crop(decoded, crop)
        return image.row(decoded), encode(centre) if encode else centre

    rows: list[ImageRow] = []
    crops: list[Pixels] = []
    with nullcontext() if file is None else file.open("wb") as stream:
        for row, pixels in reader.map(work):
            rows.append(row)
            if stream is None:
                crops.append(pixels)
            else:
                stream.write(pixels.tobytes())
    held = np.array(crops, np.uint8).reshape(-1, crop, crop, 3) if file is None else mapped(file, len(rows), crop)
    return LabelledCrops(LabelledImages.of(rows), held, reader.losses)


def chosen_crops(labelled: LabelledCrops, rows: Mask, file: Path) -> LabelledCrops:
    """The images in the mask ``rows`` (N,), their crops copied to ``file`` one by one: a mask would fetch all into memory."""
    with file.open("wb") as stream:
        for row in np.flatnonzero(rows):
            stream.write(labelled.crops[row].tobytes())
    crops = mapped(file, int(rows.sum()), labelled.crops.shape[1])
    return LabelledCrops(labelled.images.take(rows), crops, labelled.losses)


def mapped(file: Path, count: int, crop: int) -> Crops:
    """The ``count`` crops in a file of raw bytes, uint8 (count, crop, crop, 3), as a read-only map of it."""
    shape = (count, crop, crop, 3)
    return np.memmap(file, np.uint8, "r", shape=shape) if count else np.zeros(shape, np.uint8)
