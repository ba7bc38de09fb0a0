"""Slices of encoded images to record batches: decode, residual, lenses, fingerprint.

Decoding and computing run in one thread pool, each image (on a GPU: each micro-batch) in one task, so that they overlap and no
residual leaves its worker.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from apache_beam.pvalue import PCollection
from typing_extensions import override

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.fingerprint import SCALARS, Fingerprinter, Fingerprints
from causalprint.schemas.config import BATCH_SIZE
from causalprint.schemas.elements import EncodedImage, FingerprintedSlice, ImageSlice, Reject
from causalprint.schemas.reasons import Reason, Stage
from causalprint.schemas.tables import EMBEDDINGS, FINGERPRINT_DIM, IMAGES, REJECTS
from causalprint.transforms.counting import count, milliseconds, rejects_by
from causalprint.transforms.images.decode import ImageRejectError, decode
from causalprint.transforms.map_slices import MapSlices

Crops = npt.NDArray[np.uint8]


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


def fingerprint_slice(
    images: ImageSlice, fingerprinter: Fingerprinter, pool: ThreadPoolExecutor, batch_size: int = BATCH_SIZE
) -> FingerprintedSlice:
    """Computes one slice, and counts its images as they are done; rows are in its order and depend on each image's bytes alone.

    Args:
        images: the slice.
        fingerprinter: a loaded bundle.
        pool: where decoding and computing run.
        batch_size: images under way at any time, which bounds the memory of decoded pixels.
    """
    views = fingerprinter.bundle.manifest.geometry.views
    together = max(1, min(batch_size, fingerprinter.micro_batch // views))
    count(images=len(images.rejects), **_rejects(images.rejects))
    results: list[Computed | Reject] = []
    decoding = computing = 0.0
    chunks = (images.images[start : start + together] for start in range(0, len(images.images), together))
    for done in _in_order(pool, partial(_compute, fingerprinter), chunks, max(1, batch_size // together)):
        size = sum(len(image.data) for image in images.images[len(results) : len(results) + len(done.outcomes)])
        count(images=len(done.outcomes), encoded_bytes=size, **_rejects(done.outcomes))
        results += done.outcomes
        decoding += done.decoding
        computing += done.computing
    count(decode_ms=milliseconds(decoding), compute_ms=milliseconds(computing))
    computed = [item for item in results if isinstance(item, Computed)]
    rejects = [*images.rejects, *(item for item in results if isinstance(item, Reject))]
    return FingerprintedSlice(
        source=images.without_bytes(),
        seen=images.seen,
        images=_image_rows(images, computed),
        embeddings=_embedding_rows(images, computed),
        rejects=_reject_rows(images, rejects),
    )


@beam.typehints.with_input_types(ImageSlice)
@beam.typehints.with_output_types(FingerprintedSlice)
@dataclass
class ComputeFingerprints(beam.PTransform[PCollection[ImageSlice], PCollection[FingerprintedSlice]]):
    """:func:`fingerprint_slice` on every slice.

    Attributes:
        bundle: directory; ``None`` for the bundle inside the package.
        residual: in place of the bundle's own.
        device: ``auto``, ``cpu`` or ``cuda``; one that is missing is an error when the model loads, before any image is read.
        batch_size: images under way at any time.
        threads: in which a worker decodes and computes; ``None`` takes every core.
    """

    bundle: str | None = None
    residual: str | None = None
    device: str = "auto"
    batch_size: int = BATCH_SIZE
    threads: int | None = None

    @override
    def expand(self, slices: PCollection[ImageSlice]) -> PCollection[FingerprintedSlice]:
        return slices | MapSlices(self.load, partial(fingerprint_slice, batch_size=self.batch_size), self.threads)

    def load(self) -> Fingerprinter:
        """What a worker computes with: the bundle on its device."""
        return Fingerprinter(load_bundle(self.bundle, self.residual), self.device)


class _Done(NamedTuple):
    """What came of a task's images, in order, and the seconds that it took to decode and to compute them."""

    outcomes: list[Computed | Reject]
    decoding: float
    computing: float


def _rejects(outcomes: Iterable[Computed | Reject]) -> dict[str, int]:
    return rejects_by((item.stage, item.reason) for item in outcomes if isinstance(item, Reject))


def _in_order(
    pool: ThreadPoolExecutor,
    work: Callable[[Sequence[EncodedImage]], _Done],
    chunks: Iterator[tuple[EncodedImage, ...]],
    ahead: int,
) -> Iterator[_Done]:
    """Results in the order of ``chunks``, with at most ``ahead`` of them under way."""
    pending: deque[Future[_Done]] = deque(pool.submit(work, chunk) for chunk in itertools.islice(chunks, ahead))
    while pending:
        yield pending.popleft().result()
        pending.extend(pool.submit(work, chunk) for chunk in itertools.islice(chunks, 1))


def _compute(fingerprinter: Fingerprinter, images: Sequence[EncodedImage]) -> _Done:
    """One task: decodes a few images and computes them together."""
    began = time.perf_counter()
    opened = [_open(fingerprinter, image) for image in images]
    decoded = time.perf_counter()
    waiting = [crops for item, crops in opened if isinstance(item, Computed) and len(crops)]
    fingerprints = iter(_bisect(fingerprinter, waiting))
    outcomes = [_close(item, next(fingerprints)) if isinstance(item, Computed) and len(crops) else item for item, crops in opened]
    return _Done(outcomes, decoded - began, time.perf_counter() - decoded)


def _open(fingerprinter: Fingerprinter, image: EncodedImage) -> tuple[Computed | Reject, Crops]:
    image_id = image.image_id
    try:
        decoded = decode(image.data)
    except ImageRejectError as error:
        return _reject(image, image_id, error.stage, error.reason, error.detail), np.zeros(0, np.uint8)
    crops = fingerprinter.crops(decoded.pixels)
    # Only the crops live on: a slice of large photographs would not fit.
    return Computed(
        image=image,
        image_id=image_id,
        format=decoded.format,
        width=decoded.width,
        height=decoded.height,
        mode=decoded.mode,
        orientation=decoded.orientation,
        jpeg_quality=decoded.jpeg_quality,
        crops=len(crops),
    ), crops


def _bisect(fingerprinter: Fingerprinter, waiting: list[Crops]) -> list[Fingerprints | Exception]:
    """Fingerprints of several images' crops, computed together; where that fails, the failure of each image by itself."""
    try:
        return [*fingerprinter.of_images(waiting)]
    except (MemoryError, torch.OutOfMemoryError):
        raise  # the machine's fault, not an image's: the slice is retried, no image is blamed
    except Exception as error:  # noqa: BLE001 - whatever one image makes the model raise costs that image alone
        if len(waiting) == 1:
            return [error]
        half = len(waiting) // 2
        return _bisect(fingerprinter, waiting[:half]) + _bisect(fingerprinter, waiting[half:])


def _close(item: Computed, outcome: Fingerprints | Exception) -> Computed | Reject:
    if isinstance(outcome, Exception):
        detail = f"computing the fingerprint raised {type(outcome).__name__}: {outcome}".splitlines()[0]
        return _reject(item.image, item.image_id, Stage.COMPUTE, Reason.MODEL_ERROR, detail)
    if not np.isfinite(outcome.fingerprint).all():
        count = int((~np.isfinite(outcome.fingerprint)).sum())
        return _reject(
            item.image,
            item.image_id,
            Stage.COMPUTE,
            Reason.NON_FINITE,
            f"{count} of {FINGERPRINT_DIM} numbers are not finite in float16",
        )
    return item._replace(fingerprints=outcome)


def _reject(image: EncodedImage, image_id: str, stage: str, reason: str, detail: str) -> Reject:
    return Reject(image.member, image.offset, str(stage), str(reason), detail, image_id, image.metadata)


def _keys(images: ImageSlice, rows: Sequence[Computed]) -> list[pa.Array]:
    return [
        pa.array([row.image_id for row in rows], pa.string()),
        pa.array([images.shard.uri] * len(rows), pa.string()),
        pa.array([row.image.member for row in rows], pa.string()),
        pa.array([row.image.offset for row in rows], pa.int64()),
        pa.array([images.slice_id] * len(rows), pa.string()),
    ]


def _image_rows(images: ImageSlice, rows: Sequence[Computed]) -> pa.RecordBatch:
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


def _embedding_rows(images: ImageSlice, rows: Sequence[Computed]) -> pa.RecordBatch:
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


def _reject_rows(images: ImageSlice, rejects: Sequence[Reject]) -> pa.RecordBatch:
    """Table ``rejects``."""
    columns = {name: [getattr(reject, name) for reject in rejects] for name in Reject._fields}
    columns |= {"shard": [images.shard.uri] * len(rejects), "slice_id": [images.slice_id] * len(rejects)}
    return pa.RecordBatch.from_arrays([pa.array(columns[field.name], field.type) for field in REJECTS], schema=REJECTS)
