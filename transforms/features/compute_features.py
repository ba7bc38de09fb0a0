"""Slices of labelled images to features: decode, intervene, residual, lenses. What training learns from."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import PCollection
from typing_extensions import override

import causalprint
from causalprint.models.bundles.manifest import Geometry
from causalprint.models.features import FeatureExtractor, cut, pick_device
from causalprint.models.lenses import load_lens
from causalprint.models.residuals.base import Residual
from causalprint.models.training.examples import Extraction, thumbnail_of
from causalprint.models.training.interventions import Intervened, Style
from causalprint.schemas.config import Slicing
from causalprint.schemas.elements import EncodedImage, ImageSlice, Shard, digest
from causalprint.schemas.reasons import Abstention, Reason, Stage
from causalprint.transforms.counting import count, milliseconds, rejects_by
from causalprint.transforms.features.rows import Example, FeatureSlice, Why, feature_rows
from causalprint.transforms.images.decode import ImageRejectError, decode
from causalprint.transforms.labels import UNLABELLED, Label, LabelError, label_of
from causalprint.transforms.map_slices import MapSlices

WHO = "causalprint train"


def feature_slice(
    images: ImageSlice,
    extractor: FeatureExtractor,
    extraction: Extraction,
    pool: ThreadPoolExecutor,
) -> FeatureSlice:
    """Computes one slice, and counts its images as they are done.

    Rows are in the slice's order and depend on each image's bytes, its label and ``extraction`` alone.
    """
    count(images=len(images.rejects), **rejects_by((reject.stage, reject.reason) for reject in images.rejects))
    labels = [_label(image, images.shard, extraction.label_field) for image in images.images]
    outcomes: list[Example | Why] = []
    decoding = computing = 0.0
    for image, done in zip(images.images, pool.map(partial(_compute, extractor, extraction), images.images, labels), strict=True):
        why = [] if isinstance(done.outcome, Example) else [done.outcome]
        count(images=1, encoded_bytes=len(image.data), **rejects_by(why))
        outcomes.append(done.outcome)
        decoding += done.decoding
        computing += done.computing
    count(decode_ms=milliseconds(decoding), compute_ms=milliseconds(computing))
    return feature_rows(images, outcomes, extraction.width)


def feature_key(extraction: Extraction, residual: Residual, slicing: Slicing) -> str:
    """What tells features apart, besides their shard: 32 hex digits.

    Of the residual these are its kind, its options and the digests of its weights, wherever they lie; of
    learned lenses their specs and the digests of their weights.
    """
    spec, weights = residual.spec, sorted(residual.digests.items())
    lenses = {feature.lens for feature in extraction.features}
    weights += sorted(item for lens in lenses for item in load_lens(lens).digests.items())
    chosen = (extraction.features, extraction.geometry.crop, extraction.label_field)
    drawn = (extraction.interventions, extraction.seed)
    return digest(causalprint.__version__, spec.kind, tuple(sorted(spec.options)), weights, chosen, drawn, slicing)[:32]


@beam.typehints.with_input_types(ImageSlice)
@beam.typehints.with_output_types(FeatureSlice)
@dataclass
class ComputeFeatures(beam.PTransform[PCollection[ImageSlice], PCollection[FeatureSlice]]):
    """:func:`feature_slice` on every slice.

    Attributes:
        extraction: what is computed.
        device: ``auto``, ``cpu`` or ``cuda``; one that is missing is an error when the model loads, before any image is read.
        threads: in which a worker decodes and computes; ``None`` takes every core.
    """

    extraction: Extraction
    device: str = "auto"
    threads: int | None = None

    @override
    def expand(self, slices: PCollection[ImageSlice]) -> PCollection[FeatureSlice]:
        return slices | MapSlices(self.load, partial(feature_slice, extraction=self.extraction), self.threads)

    def load(self) -> FeatureExtractor:
        """What a worker computes with: the residual and the lenses on their device."""
        return FeatureExtractor(self.extraction.residual, self.extraction.features, pick_device(self.device), WHO)


class _Done(NamedTuple):
    """What came of an image, and the seconds that it took to decode and to compute it."""

    outcome: Example | Why
    decoding: float
    computing: float


def _label(image: EncodedImage, shard: Shard, label_field: str) -> Label | None:
    try:
        return label_of(image, shard, label_field)
    except LabelError:
        return None


def _compute(extractor: FeatureExtractor, extraction: Extraction, image: EncodedImage, label: Label | None) -> _Done:
    if label is None:
        return _Done((Stage.READ, UNLABELLED), 0, 0)
    began = time.perf_counter()
    try:
        pixels = decode(image.data).pixels
    except ImageRejectError as error:
        return _Done((error.stage, error.reason), time.perf_counter() - began, 0.0)
    decoded = time.perf_counter()
    outcome = _example(extractor, extraction, image, label, pixels)
    return _Done(outcome, decoded - began, time.perf_counter() - decoded)


def _example(
    extractor: FeatureExtractor, extraction: Extraction, image: EncodedImage, label: Label, pixels: npt.NDArray[np.uint8]
) -> Example | Why:
    centre = cut(pixels, Geometry(crop=extraction.geometry.crop))
    if not len(centre):
        return Stage.COMPUTE, Abstention.TOO_SMALL
    versions = [Intervened(centre[0], Style().vector()), *_changed(pixels, extraction, image.image_id)]
    with np.errstate(over="ignore"):  # looked at below
        features = extractor(np.stack([version.pixels for version in versions])).astype(np.float16)
    if not np.isfinite(features).all():
        return Stage.COMPUTE, Reason.NON_FINITE
    return Example(
        member=image.member,
        image_id=image.image_id,
        label=label,
        encoded_bytes=len(image.data),
        thumbnail=thumbnail_of(centre[0]),
        features=features,
        style=np.stack([version.style for version in versions]),
    )


def _changed(pixels: npt.NDArray[np.uint8], extraction: Extraction, image_id: str) -> list[Intervened]:
    """The further versions; the image's own bytes decide what is drawn for it, wherever it lies."""
    own = (extraction.seed, int(image_id[:15], 16))
    return [
        change(pixels, extraction.geometry.crop, (*own, version)) for version, change in enumerate(extraction.interventions, 1)
    ]
