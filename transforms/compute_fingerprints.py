"""Slices of encoded images to record batches: decode, residual, lenses, fingerprint.

Decoding and computing run in one thread pool, each image (on a GPU: each micro-batch) in one task, so that they overlap and no
residual leaves its worker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import PCollection
from typing_extensions import override

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.features import candidates, chosen, pick_device
from causalprint.models.fingerprint import Fingerprinter, Fingerprints
from causalprint.schemas.arrays import Crops
from causalprint.schemas.claims import Claims
from causalprint.schemas.config import BATCH_SIZE
from causalprint.schemas.elements import EncodedImage, FingerprintedSlice, ImageSlice, Reject
from causalprint.schemas.reasons import Reason, Stage
from causalprint.schemas.tables import EMBEDDINGS, FINGERPRINT_DIM, IMAGES, REJECTS
from causalprint.transforms.counting import Done, Pool, compute_images
from causalprint.transforms.faults import BrokenMachineError, MachineFaultError, is_machine_fault, is_shortage, told
from causalprint.transforms.images.decode import DecodedImage, ImageRejectError
from causalprint.transforms.images.decoder_processes import DecoderProcesses, Places, decode_crops
from causalprint.transforms.images.domains import domain_of, host_of, url_of
from causalprint.transforms.images.resampled import was_resampled
from causalprint.transforms.map_slices import MapSlices

Decode = Callable[[bytes, int, Places], tuple[DecodedImage, Crops]]
_log = logging.getLogger(__name__)


class Computed(NamedTuple):
    """One image that was decoded: what ``images`` and ``embeddings`` say of it.

    Attributes:
        image: as the shard holds it.
        image_id: SHA-256 of its bytes, lower-case hex.
        md5: of them too.
        decoded: what its headers say; its pixels are gone.
        crops: how many were analysed; 0 where the image is smaller than the crop, or damaged.
        fingerprints: what they give, N = 1; ``None`` where there are no crops.
    """

    image: EncodedImage
    image_id: str
    md5: str
    decoded: DecodedImage
    crops: int
    fingerprints: Fingerprints | None = None


def fingerprint_slice(
    images: ImageSlice,
    fingerprinter: Fingerprinter,
    pool: Pool,
    batch_size: int = BATCH_SIZE,
    decode: Decode = decode_crops,
) -> FingerprintedSlice:
    """Computes one slice, and counts its images as they are done; rows are in its order and depend on each image's bytes alone.

    Args:
        images: the slice.
        fingerprinter: a loaded bundle.
        pool: where decoding and computing run.
        batch_size: images under way at any time, which bounds the memory of decoded pixels.
        decode: here, or in a process of its own.
    """
    together = max(1, min(batch_size, fingerprinter.micro_batch))
    results = compute_images(images, partial(_compute, fingerprinter, decode), pool, together, max(1, batch_size // together))
    computed = [item for item in results if isinstance(item, Computed)]
    rejects = [*images.rejects, *(item for item in results if isinstance(item, Reject))]
    return FingerprintedSlice(
        source=images.without_bytes(),
        seen=images.seen,
        images=pa.RecordBatch.from_pylist([_image_row(images, item) for item in computed], schema=IMAGES),
        embeddings=pa.RecordBatch.from_pylist([_embedding_row(images, item) for item in computed], schema=EMBEDDINGS),
        rejects=pa.RecordBatch.from_pylist([_place(images) | item._asdict() for item in rejects], schema=REJECTS),
    )


def contained(
    images: ImageSlice,
    fingerprinter: Fingerprinter,
    pool: Pool,
    batch_size: int = BATCH_SIZE,
    decode: Decode = decode_crops,
) -> FingerprintedSlice:
    """:func:`fingerprint_slice`, once more one image after another where it or the machine fails, and then without that slice.

    What cannot be computed is left out whole, as ``retryable``: it is not written, the run goes on, and the next one tries again.

    Raises:
        BrokenMachineError: nothing that this machine computes is to be believed.
    """
    try:
        return fingerprint_slice(images, fingerprinter, pool, batch_size, decode)
    except (BrokenMachineError, ImportError):
        raise
    except Exception as error:  # noqa: BLE001 - told below, where it comes again
        _log.warning("slice %d of %s is tried again, one image at a time: %s", images.index, images.shard.uri, told(error))
    try:
        return fingerprint_slice(images, fingerprinter, pool, 1, decode)
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
    """:func:`fingerprint_slice` on every slice.

    Attributes:
        bundle: directory; ``None`` for the bundle inside the package.
        residual: in place of the bundle's own.
        device: ``auto``, ``cpu`` or ``cuda``; one that is missing is an error when a worker begins, before any image is read.
        batch_size: images under way at any time.
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
        return slices | beam.ParDo(MapSlices(self.load, partial(pick_device, self.device)))

    def load(self) -> Callable[[ImageSlice], FingerprintedSlice]:
        """What a worker computes with: the bundle on its device, a pool, and processes that decode."""
        fingerprinter = Fingerprinter(load_bundle(self.bundle, self.residual), self.device)
        fingerprinter.keep_canary()
        pool, apart = Pool(self.threads), DecoderProcesses(anchors=self.anchors).decode
        return partial(contained, fingerprinter=fingerprinter, pool=pool, batch_size=self.batch_size, decode=apart)


def _compute(fingerprinter: Fingerprinter, decode: Decode, images: Sequence[EncodedImage]) -> Done:
    """One task: decodes a few images and computes them together."""
    began = time.perf_counter()
    opened = [_open(fingerprinter, decode, image) for image in images]
    decoded = time.perf_counter()
    waiting = [crops for item, crops in opened if isinstance(item, Computed) and len(crops)]
    fingerprints = iter(_bisect(fingerprinter, waiting))
    outcomes = [
        _close(fingerprinter, item, next(fingerprints)) if isinstance(item, Computed) and len(crops) else item
        for item, crops in opened
    ]
    return Done(outcomes, decoded - began, time.perf_counter() - decoded)


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


def _bisect(fingerprinter: Fingerprinter, waiting: list[Crops]) -> list[Fingerprints | Exception]:
    """Fingerprints of several images' crops, computed together; where that fails, the failure of each image by itself.

    Raises:
        MachineFaultError, BrokenMachineError: it is the machine that fails; no image is blamed.
    """
    try:
        return [*fingerprinter.of_images(waiting)]
    except Exception as error:  # whatever one image makes the model raise costs that image alone
        if is_machine_fault(error):
            check_machine(fingerprinter, error)
            raise MachineFaultError(told(error)) from error
        if len(waiting) > 1:
            half = len(waiting) // 2
            return _bisect(fingerprinter, waiting[:half]) + _bisect(fingerprinter, waiting[half:])
        check_machine(fingerprinter, error)
    try:
        return [*fingerprinter.of_images(waiting)]
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


def _place(images: ImageSlice) -> dict[str, Any]:
    return {"shard": images.shard.uri, "slice_id": images.slice_id}


def _key(images: ImageSlice, row: Computed) -> dict[str, Any]:
    return _place(images) | {"image_id": row.image_id, "member": row.image.member, "offset": row.image.offset}


def _image_row(images: ImageSlice, row: Computed) -> dict[str, Any]:
    """A row of table ``images``."""
    decoded, metadata = row.decoded, row.image.metadata
    url = url_of(metadata)
    told = {
        "encoded_bytes": len(row.image.data),
        "resampled": was_resampled(metadata, decoded.width, decoded.height),
        "md5": row.md5,
        "domain": domain_of(host_of(url)) if url else None,
        "metadata": metadata,
    }
    return _key(images, row) | decoded._asdict() | _claim_columns(decoded.claims) | told


def _claim_columns(claims: Claims) -> dict[str, Any]:
    strongest = claims.claims[0] if claims.claims else None
    return {
        "claim_kind": strongest and strongest.kind,
        "claim_source": strongest and strongest.source,
        "c2pa": claims.c2pa,
        "claims": [claim._asdict() for claim in claims.claims],
    }


def _embedding_row(images: ImageSlice, row: Computed) -> dict[str, Any]:
    """A row of table ``embeddings``: null where the image is too small, and what is measured also where it is not finite."""
    key = _key(images, row) | {"crops": row.crops}
    if row.fingerprints is None:
        return key
    found = row.fingerprints
    scalars = {"residual_energy": found.residual_energy, **found.scalars, "stability": found.stability}
    finite = {name: float(value[0]) for name, value in scalars.items() if np.isfinite(value[0])}
    spectrum = {"spectrum": found.spectrum[0]} if np.isfinite(found.spectrum).all() else {}
    return key | {"fingerprint": found.fingerprint[0]} | spectrum | finite
