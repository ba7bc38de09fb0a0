"""The rows of a slice as record batches, exactly with the schemas of ``causalprint.schemas.tables``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from causalprint.models.fingerprint import SCALARS, Fingerprints
from causalprint.schemas.elements import EncodedImage, ImageSlice, Reject
from causalprint.schemas.tables import EMBEDDINGS, FINGERPRINT_DIM, IMAGES, REJECTS


class Computed(NamedTuple):
    """One image that was decoded: what ``images`` and ``embeddings`` say of it. Its pixels are gone.

    Attributes:
        image: as the shard holds it.
        image_id: SHA-256 of its bytes, lower-case hex.
        format, width, height, mode, orientation, jpeg_quality: columns of table ``images``.
        crops: how many voted; 0 where the image is smaller than the crop.
        fingerprints: their vote, N = 1; ``None`` where there are no crops.
    """

    image: EncodedImage
    image_id: str
    format: str
    width: int
    height: int
    mode: str
    orientation: int | None
    jpeg_quality: int | None
    crops: int
    fingerprints: Fingerprints | None = None


def _keys(images: ImageSlice, rows: Sequence[Computed]) -> list[pa.Array]:
    return [
        pa.array([row.image_id for row in rows], pa.string()),
        pa.array([images.shard.uri] * len(rows), pa.string()),
        pa.array([row.image.member for row in rows], pa.string()),
        pa.array([row.image.offset for row in rows], pa.int64()),
        pa.array([images.slice_id] * len(rows), pa.string()),
    ]


def image_rows(images: ImageSlice, rows: Sequence[Computed]) -> pa.RecordBatch:
    """Table ``images``."""
    columns = [
        pa.array([row.format for row in rows], pa.string()),
        pa.array([row.width for row in rows], pa.int32()),
        pa.array([row.height for row in rows], pa.int32()),
        pa.array([row.mode for row in rows], pa.string()),
        pa.array([row.orientation for row in rows], pa.int8()),
        pa.array([len(row.image.data) for row in rows], pa.int64()),
        pa.array([row.jpeg_quality for row in rows], pa.int16()),
        pa.array([row.image.metadata for row in rows], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(_keys(images, rows) + columns, schema=IMAGES)


def embedding_rows(images: ImageSlice, rows: Sequence[Computed]) -> pa.RecordBatch:
    """Table ``embeddings``: null where an image is too small, and a scalar also where it is not finite."""
    found = [row.fingerprints for row in rows]
    empty = np.zeros(FINGERPRINT_DIM, np.float16)
    values = np.concatenate([empty[:0], *(empty if item is None else item.fingerprint[0] for item in found)])
    mask = pa.array([item is None for item in found], pa.bool_())
    fingerprint = pa.FixedSizeListArray.from_arrays(pa.array(values), type=EMBEDDINGS.field("fingerprint").type, mask=mask)
    scalars = {"residual_energy": _scalars([None if item is None else item.residual_energy for item in found])}
    for name in SCALARS:
        scalars[name] = _scalars([None if item is None else item.scalars[name] for item in found])
    columns = {"fingerprint": fingerprint, "crops": pa.array([row.crops for row in rows], pa.int16())} | scalars
    keys = dict(zip(EMBEDDINGS.names, _keys(images, rows), strict=False))
    return pa.RecordBatch.from_arrays([(keys | columns)[name] for name in EMBEDDINGS.names], schema=EMBEDDINGS)


def _scalars(values: Sequence[npt.NDArray[np.float32] | None]) -> pa.Array:
    return pa.array([None if value is None or not np.isfinite(value[0]) else float(value[0]) for value in values], pa.float32())


def reject_rows(images: ImageSlice, rejects: Sequence[Reject]) -> pa.RecordBatch:
    """Table ``rejects``."""
    columns = {name: [getattr(reject, name) for reject in rejects] for name in Reject._fields}
    columns |= {"shard": [images.shard.uri] * len(rejects), "slice_id": [images.slice_id] * len(rejects)}
    return pa.RecordBatch.from_arrays([pa.array(columns[field.name], field.type) for field in REJECTS], schema=REJECTS)
