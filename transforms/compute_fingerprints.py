"""Slices of encoded images to record batches: decode, residual, lenses, fingerprint.

On a CPU each image is decoded and computed in one task of a thread pool. On a GPU the pool decodes image by image, and what it
decoded is computed in full micro-batches. So both overlap, and no residual leaves its worker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import torch
from apache_beam.pvalue import PCollection
from typing_extensions import override

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.features import candidates, chosen, pick_device
from causalprint.models.fingerprint import Fingerprinter, Fingerprints
from causalprint.models.memory import give_back_memory
from causalprint.schemas.arrays import Crops
from causalprint.schemas.config import BATCH_SIZE
from causalprint.schemas.elements import EncodedImage, FingerprintedSlice, ImageSlice, Reject
from causalprint.schemas.reasons import Reason, Stage
from causalprint.schemas.tables import EMBEDDINGS, FINGERPRINT_DIM, IMAGES, REJECTS
from causalprint.transforms.counting import Pool
from causalprint.transforms.faults import BrokenMachineError, MachineFaultError, is_machine_fault, is_shortage, told
from causalprint.transforms.fingerprint_rows import Computed, fingerprinted
from causalprint.transforms.images.decode import DecodedImage, ImageRejectError
from causalprint.transforms.images.decoder_processes import DecoderProcesses, Places, decode_crops
from causalprint.transforms.map_slices import StreamSlices
from causalprint.transforms.micro_batches import Finished, MicroBatches, Opened, Together, Work, compute_images

Decode = Callable[[bytes, int, Places], tuple[DecodedImage, Crops]]
_log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """One image that was decoded, its crops, and of these what a processor computes where a GPU computes the rest, by place."""

    item: Computed
    crops: Crops
    apart: Mapping[int, torch.Tensor]


class Computing(NamedTuple):
    """What slices are computed with.

    Attributes:
        fingerprinter: a loaded bundle.
        pool: where images are decoded and, one by one, computed.
        batch_size: images that are decoded, or wait for those before them, at any time; twice the threads where that is more.
        decode: here, or in a process of its own.
        device: where micro-batches of several images are computed, one after another; ``None``: in ``pool``.
    """

    fingerprinter: Fingerprinter
    pool: Pool
    batch_size: int = BATCH_SIZE
    decode: Decode = decode_crops
    device: Pool | None = None

    def work(self) -> Work:
        """An image a task where the model takes them one by one, else full micro-batches."""
        ahead = max(self.batch_size, 2 * self.pool.threads)
        if self.fingerprinter.micro_batch == 1:
            return Work(partial(_open_and_compute, self.fingerprinter, self.decode), self.pool, ahead)
        opened = partial(_open_timed, self.fingerprinter, self.decode)
        compute = partial(_compute, self.fingerprinter)
        return Work(opened, self.pool, ahead, compute, self.fingerprinter.micro_batch, self.device)

    def alone(self) -> Work:
        """One image after another."""
        return Work(partial(_open_and_compute, self.fingerprinter, self.decode), self.pool, 1)


class Stream:
    """Slices on their way to their rows. A row depends on its image's bytes alone, and rows are in their slice's order.

    Where computing several slices fails, each is computed once more, one image after another. Where that fails it is left out
    whole, as ``retryable``: it is not written, the run goes on, and the next one tries again.
    """

    def __init__(self, computing: Computing) -> None:
        self._computing = computing
        self._batches = MicroBatches(computing.work())

    def add(self, images: ImageSlice) -> Iterator[FingerprintedSlice]:
        """Takes a slice, and gives those that are done, in order.

        Raises:
            BrokenMachineError: nothing that this machine computes is to be believed.
        """
        return self._contained(self._batches.add(images))

    def finish(self) -> Iterator[FingerprintedSlice]:
        """Gives all others; raises what :meth:`add` does."""
        return self._contained(self._batches.finish())

    def _contained(self, finished: Iterator[Finished]) -> Iterator[FingerprintedSlice]:
        try:
            for images, outcomes in finished:
                yield fingerprinted(images, outcomes)
        except (BrokenMachineError, ImportError, GeneratorExit):
            self._batches.give_up()
            raise
        except Exception as error:  # noqa: BLE001 - told below, where it comes again
            left = self._batches.give_up()
            for images in left:
                where = f"slice {images.index} of {images.shard.uri}"
                _log.warning("%s is tried again, one image at a time: %s", where, told(error))
                yield _again(images, self._computing)


def fingerprint_slice(images: ImageSlice, work: Work) -> FingerprintedSlice:
    """Computes one slice by itself, and counts its images as they are done; ``work`` is that of a :class:`Computing`.

    Raises:
        Exception: the machine failed, or something that nobody foresaw.
    """
    return fingerprinted(images, compute_images(images, work))


def _again(images: ImageSlice, computing: Computing) -> FingerprintedSlice:
    """A slice that failed, one image after another; empty and ``retryable`` where that fails, too."""
    try:
        return fingerprint_slice(images, computing.alone())
    except (BrokenMachineError, ImportError):
        raise
    except MachineFaultError as fault:
        damage = f"slice {images.index} was not computed, for the machine failed ({fault}); no image is to blame"
    except Exception as error:  # noqa: BLE001 - an unforeseen error costs its slice, not the run
        _log.exception("computing slice %d of %s failed", images.index, images.shard.uri)
        damage = f"slice {images.index} was not computed: {told(error)}; please report this"
    source = replace(images.without_bytes(), damage=damage, retryable=True, skipped=0, skipped_kinds=())
    return FingerprintedSlice(source, 0, *(pa.RecordBatch.from_pylist([], schema) for schema in (IMAGES, EMBEDDINGS, REJECTS)))


@beam.typehints.with_input_types(ImageSlice)
@beam.typehints.with_output_types(FingerprintedSlice)
@dataclass
class ComputeFingerprints(beam.PTransform[PCollection[ImageSlice], PCollection[FingerprintedSlice]]):
    """What comes of every slice, by a :class:`Stream` of them.

    Attributes:
        bundle: directory; ``None`` for the bundle inside the package.
        residual: in place of the bundle's own.
        device: ``auto``, ``cpu`` or ``cuda``; one that is missing is an error when a worker begins, before any image is read.
        batch_size: images that are decoded, or wait for those before them, at any time; twice the threads where that is more.
        threads: in which a worker decodes and computes; ``None`` takes every core.
        anchors: certificates by which C2PA manifests are valid, PEM.
    """

    bundle: str | None = None
    residual: str | None = None
    device: str = "auto"
    batch_size: int = BATCH_SIZE
    threads: int | None = None
    anchors: str = ""

    @override
    def expand(self, slices: PCollection[ImageSlice]) -> PCollection[FingerprintedSlice]:
        return slices | beam.ParDo(StreamSlices(self.load, partial(pick_device, self.device)))

    def load(self) -> Callable[[], Stream]:
        """What a worker computes with: the bundle on its device, a pool, and processes that decode."""
        fingerprinter = Fingerprinter(load_bundle(self.bundle, self.residual), self.device)
        fingerprinter.keep_canary()
        give_back_memory()
        pool, apart = Pool(self.threads), DecoderProcesses(anchors=self.anchors).decode
        device = None if fingerprinter.micro_batch == 1 else Pool(1)
        return partial(Stream, Computing(fingerprinter, pool, self.batch_size, apart, device))


def _open_timed(fingerprinter: Fingerprinter, decode: Decode, image: EncodedImage) -> Opened:
    """An image that waits for its micro-batch, with what of it a processor computes; or what else came of it."""
    began = time.perf_counter()
    item, crops = _open(fingerprinter, decode, image)
    decoded = time.perf_counter()
    if not isinstance(item, Computed) or not len(crops):
        return Opened(item, decoded - began)
    return Opened(
        Waiting(item, crops, fingerprinter.look_apart(crops)), decoded - began, time.perf_counter() - decoded, waiting=True
    )


def _compute(fingerprinter: Fingerprinter, waiting: Sequence[Waiting]) -> Together:
    """A micro-batch."""
    began = time.perf_counter()
    found = _bisect(fingerprinter, waiting)
    outcomes = [_close(fingerprinter, each.item, outcome) for each, outcome in zip(waiting, found, strict=True)]
    return Together(outcomes, time.perf_counter() - began)


def _open_and_compute(fingerprinter: Fingerprinter, decode: Decode, image: EncodedImage) -> Opened:
    """An image by itself."""
    opened = _open_timed(fingerprinter, decode, image)
    if not opened.waiting:
        return opened
    ((outcome,), computing) = _compute(fingerprinter, [opened.outcome])
    return Opened(outcome, opened.decoding, opened.computing + computing)


def _open(fingerprinter: Fingerprinter, decode: Decode, image: EncodedImage) -> tuple[Computed | Reject, Crops]:
    image_id = image.image_id
    manifest = fingerprinter.bundle.manifest
    geometry = manifest.geometry
    try:
        decoded, looked_at = decode(image.data, geometry.crop, partial(candidates, geometry=geometry))
    except ImageRejectError as error:
        return image.rejected(error.stage, error.reason, error.detail, image_id), np.zeros(0, np.uint8)
    except MachineFaultError as error:
        raise MachineFaultError(f"decoding {image.member}: {error}") from error
    places = candidates(decoded.height, decoded.width, geometry)
    crops = looked_at[chosen(looked_at, places, geometry, manifest.decision.flat)]
    return Computed(image, image_id, image.md5, decoded, len(crops)), crops


def _bisect(fingerprinter: Fingerprinter, waiting: Sequence[Waiting]) -> Sequence[Fingerprints | Exception]:
    """Fingerprints of several images' crops, computed together; where that fails, the failure of each image by itself.

    Raises:
        MachineFaultError, BrokenMachineError: it is the machine that fails; no image is blamed.
    """
    crops, apart = [each.crops for each in waiting], [each.apart for each in waiting]
    try:
        return fingerprinter.of_images(crops, apart)
    except Exception as error:  # whatever one image makes the model raise costs that image alone
        if is_machine_fault(error):
            check_machine(fingerprinter, error)
            raise MachineFaultError(told(error)) from error
        if len(waiting) > 1:
            half = len(waiting) // 2
            return [*_bisect(fingerprinter, waiting[:half]), *_bisect(fingerprinter, waiting[half:])]
        check_machine(fingerprinter, error)
    try:
        return fingerprinter.of_images(crops, apart)
    except Exception as error:
        if is_machine_fault(error):
            raise MachineFaultError(told(error)) from error
        return [error]


def check_machine(fingerprinter: Fingerprinter, error: Exception | None = None) -> None:
    """Makes sure that the machine computes what it did when the model was loaded, before an image is blamed for anything.

    Args:
        fingerprinter: the model, and the canary that it keeps.
        error: what went wrong with images.

    Raises:
        MachineFaultError: it has no memory for that now.
        BrokenMachineError: it does not.
    """
    why = "" if error is None else f" (after {told(error)})"
    try:
        sings = fingerprinter.canary_sings()
    except Exception as again:
        if is_shortage(again):
            raise MachineFaultError(told(again)) from again
        raise BrokenMachineError(
            f"this machine is broken: a crop that it computed when the model was loaded now raises {told(again)}{why}; no image "
            "is blamed for it: run the same command again on a sound machine"
        ) from again
    if not sings:
        raise BrokenMachineError(
            f"this machine is broken: a crop that it computed when the model was loaded now has another fingerprint{why}; no "
            "image is blamed for it: run the same command again on a sound machine"
        ) from error


def _close(fingerprinter: Fingerprinter, item: Computed, outcome: Fingerprints | Exception) -> Computed | Reject:
    if isinstance(outcome, Exception):
        detail = f"computing the fingerprint raised {type(outcome).__name__}: {outcome}".splitlines()[0]
        return item.image.rejected(Stage.COMPUTE, Reason.MODEL_ERROR, detail, item.image_id)
    if not np.isfinite(outcome.fingerprint).all():
        check_machine(fingerprinter)
        detail = f"{(~np.isfinite(outcome.fingerprint)).sum()} of {FINGERPRINT_DIM} numbers are not finite in float16"
        return item.image.rejected(Stage.COMPUTE, Reason.NON_FINITE, detail, item.image_id)
    return item._replace(fingerprints=outcome)
