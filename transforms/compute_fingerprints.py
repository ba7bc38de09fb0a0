"""Slices of encoded images to record batches: decode, residual, lenses, fingerprint.

Decoding and computing run in one thread pool, each image (on a GPU: each micro-batch) in one task, so that they overlap and no
residual leaves its worker.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import torch
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.pvalue import PCollection

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.fingerprint import Fingerprinter, Fingerprints
from causalprint.schemas.config import BATCH_SIZE
from causalprint.schemas.elements import EncodedImage, FingerprintedSlice, ImageSlice, Reject
from causalprint.schemas.reasons import Reason, Stage
from causalprint.schemas.tables import FINGERPRINT_DIM
from causalprint.transforms.fingerprint_rows import Computed, embedding_rows, image_rows, reject_rows
from causalprint.transforms.images.decode import ImageRejectError, decode
from causalprint.transforms.tally import tally

Progress = Callable[[int, int, int], None]
"""Called with images done since the last call, those of them that were rejected, and their encoded bytes."""

Crops = npt.NDArray[np.uint8]


def fingerprint_slice(
    images: ImageSlice,
    fingerprinter: Fingerprinter,
    pool: ThreadPoolExecutor,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> FingerprintedSlice:
    """Computes one slice; rows are in the slice's order and depend on each image's bytes alone.

    Args:
        images: the slice.
        fingerprinter: a loaded bundle.
        pool: where decoding and computing run.
        batch_size: images under way at any time, which bounds the memory of decoded pixels.
        progress: told as images are done.
    """
    views = fingerprinter.bundle.manifest.geometry.views
    together = max(1, min(batch_size, fingerprinter.micro_batch // views))
    report = progress or (lambda _images, _rejects, _bytes: None)
    report(len(images.rejects), len(images.rejects), 0)
    results: list[Computed | Reject] = []
    chunks = (images.images[start : start + together] for start in range(0, len(images.images), together))
    for outcome in _in_order(pool, partial(_compute, fingerprinter), chunks, max(1, batch_size // together)):
        rejected = sum(isinstance(item, Reject) for item in outcome)
        size = sum(len(image.data) for image in images.images[len(results) : len(results) + len(outcome)])
        report(len(outcome), rejected, size)
        results += outcome
    computed = [item for item in results if isinstance(item, Computed)]
    rejects = [*images.rejects, *(item for item in results if isinstance(item, Reject))]
    return FingerprintedSlice(
        source=images.without_bytes(),
        seen=images.seen,
        images=image_rows(images, computed),
        embeddings=embedding_rows(images, computed),
        rejects=reject_rows(images, rejects),
    )


@dataclass(frozen=True)
class FingerprintModel:
    """What one worker holds: a loaded bundle and the threads that use it."""

    fingerprinter: Fingerprinter
    pool: ThreadPoolExecutor


class FingerprintModelHandler(ModelHandler[ImageSlice, FingerprintedSlice, FingerprintModel]):
    """Loads the bundle once a worker; takes one slice at a time, since a slice is already a batch.

    Args:
        bundle: directory; ``None`` for the bundle inside the package.
        residual: in place of the bundle's own.
        device: ``auto``, ``cpu`` or ``cuda``; one that is missing is an error when the model loads, before any image is read.
        batch_size: images under way at any time.
        threads: of the pool; ``None`` takes every core.
        progress: folder in which workers count; ``None`` where nobody watches.
    """

    def __init__(
        self,
        bundle: str | None = None,
        residual: str | None = None,
        device: str = "auto",
        batch_size: int = BATCH_SIZE,
        threads: int | None = None,
        progress: str | None = None,
    ) -> None:
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._bundle = bundle
        self._residual = residual
        self._device = device
        self._batch_size = batch_size
        self._threads = threads
        self._progress = progress

    def load_model(self) -> FingerprintModel:
        """The bundle on its device, and the pool."""
        fingerprinter = Fingerprinter(load_bundle(self._bundle, self._residual), self._device)
        return FingerprintModel(fingerprinter, ThreadPoolExecutor(self._threads or os.cpu_count() or 1))

    def run_inference(
        self, batch: Sequence[ImageSlice], model: FingerprintModel, inference_args: dict[str, Any] | None = None
    ) -> list[FingerprintedSlice]:
        """A list, since a generator would hide its failures from Beam's counters."""
        del inference_args
        return [fingerprint_slice(images, model.fingerprinter, model.pool, self._batch_size, self._report) for images in batch]

    def get_num_bytes(self, batch: Sequence[ImageSlice]) -> int:
        """Encoded bytes (Beam's own way would pickle the whole slice to measure it)."""
        return sum(len(image.data) for images in batch for image in images.images)

    def _report(self, images: int, rejects: int, encoded_bytes: int) -> None:
        tally(self._progress, images=images, rejects=rejects, encoded_bytes=encoded_bytes)


@beam.typehints.with_input_types(ImageSlice)
@beam.typehints.with_output_types(FingerprintedSlice)
@dataclass
class ComputeFingerprints(beam.PTransform[PCollection[ImageSlice], PCollection[FingerprintedSlice]]):
    """:func:`fingerprint_slice` on every slice, by RunInference; attributes as of :class:`FingerprintModelHandler`."""

    bundle: str | None = None
    residual: str | None = None
    device: str = "auto"
    batch_size: int = BATCH_SIZE
    threads: int | None = None
    progress: str | None = None

    def expand(self, slices: PCollection[ImageSlice]) -> PCollection[FingerprintedSlice]:
        """Beam's hook."""
        handler = FingerprintModelHandler(self.bundle, self.residual, self.device, self.batch_size, self.threads, self.progress)
        return slices | RunInference(handler)


def _in_order(
    pool: ThreadPoolExecutor,
    work: Callable[[Sequence[EncodedImage]], list[Computed | Reject]],
    chunks: Iterator[tuple[EncodedImage, ...]],
    ahead: int,
) -> Iterator[list[Computed | Reject]]:
    """Results in the order of ``chunks``, with at most ``ahead`` of them under way."""
    pending: deque[Future[list[Computed | Reject]]] = deque(pool.submit(work, chunk) for chunk in itertools.islice(chunks, ahead))
    while pending:
        yield pending.popleft().result()
        pending.extend(pool.submit(work, chunk) for chunk in itertools.islice(chunks, 1))


def _compute(fingerprinter: Fingerprinter, images: Sequence[EncodedImage]) -> list[Computed | Reject]:
    """One task: decodes a few images and computes them together."""
    opened = [_open(fingerprinter, image) for image in images]
    waiting = [crops for item, crops in opened if isinstance(item, Computed) and len(crops)]
    fingerprints = iter(_bisect(fingerprinter, waiting))
    return [_close(item, next(fingerprints)) if isinstance(item, Computed) and len(crops) else item for item, crops in opened]


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
