"""Slices of labelled images to features: decode, intervene, residual, lenses. What training learns from."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.pvalue import PCollection

import causalprint
from causalprint.models.bundles.manifest import Geometry
from causalprint.models.features import FeatureExtractor, cut, pick_device
from causalprint.models.lenses.learned import load_lens
from causalprint.models.residuals.base import Residual
from causalprint.models.training.examples import Extraction, thumbnail_of
from causalprint.models.training.interventions import Intervened, Style
from causalprint.schemas.config import Slicing
from causalprint.schemas.elements import EncodedImage, ImageSlice, Shard, digest
from causalprint.schemas.reasons import Abstention, Reason, Stage
from causalprint.transforms.features.rows import Example, FeatureSlice, Why, feature_rows
from causalprint.transforms.images.decode import ImageRejectError, decode
from causalprint.transforms.labels import UNLABELLED, Label, LabelError, label_of
from causalprint.transforms.tally import tally

WHO = "causalprint train"

Progress = Callable[[int, int, int], None]
"""Called with images done since the last call, those of them that were left out, and their encoded bytes."""


class UnreadShardError(RuntimeError):
    """A shard could not be read to its end, and another run may read more."""


def feature_slice(
    images: ImageSlice,
    extractor: FeatureExtractor,
    extraction: Extraction,
    pool: ThreadPoolExecutor,
    progress: Progress | None = None,
) -> FeatureSlice:
    """Computes one slice; rows are in the slice's order and depend on each image's bytes, its label and ``extraction`` alone.

    Raises:
        UnreadShardError: the slice says that its shard could not be read further this time.
    """
    if images.retryable:
        raise UnreadShardError(f"{images.shard.uri}: {images.damage}; run the same command again with --resume")
    report = progress or (lambda _images, _left_out, _bytes: None)
    report(len(images.rejects), len(images.rejects), 0)
    labels = [_label(image, images.shard, extraction.label_field) for image in images.images]
    outcomes = []
    for image, outcome in zip(
        images.images, pool.map(partial(_compute, extractor, extraction), images.images, labels), strict=True
    ):
        report(1, int(not isinstance(outcome, Example)), len(image.data))
        outcomes.append(outcome)
    return feature_rows(images, outcomes, extraction.width)


def feature_key(extraction: Extraction, residual: Residual, slicing: Slicing) -> str:
    """What tells features apart, besides their shard: 32 hex digits.

    Of the residual these are its kind, its options and the digests of its weights, wherever they lie; of
    learned lenses their specs and the digests of their weights.
    """
    spec, weights = residual.spec, sorted(residual.digests.items())
    learned = {feature.lens for feature in extraction.features if ":" in feature.lens}
    weights += sorted(item for lens in learned for item in load_lens(lens).digests.items())
    chosen = (extraction.features, extraction.geometry.crop, extraction.label_field)
    drawn = (extraction.interventions, extraction.seed)
    return digest(causalprint.__version__, spec.kind, spec.options, weights, chosen, drawn, slicing)[:32]


@dataclass(frozen=True)
class FeatureModel:
    """What one worker holds: a loaded residual with its lenses, and the threads that use it."""

    extractor: FeatureExtractor
    pool: ThreadPoolExecutor


class FeatureModelHandler(ModelHandler[ImageSlice, FeatureSlice, FeatureModel]):
    """Loads the residual once a worker; takes one slice at a time, since a slice is already a batch.

    Args:
        extraction: what is computed.
        device: ``auto``, ``cpu`` or ``cuda``; one that is missing is an error when the model loads, before any image is read.
        threads: of the pool; ``None`` takes every core.
        progress: folder in which workers count; ``None`` where nobody watches.
    """

    def __init__(
        self, extraction: Extraction, device: str = "auto", threads: int | None = None, progress: str | None = None
    ) -> None:
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._extraction = extraction
        self._device = device
        self._threads = threads
        self._progress = progress

    def load_model(self) -> FeatureModel:
        """The residual on its device, and the pool."""
        extractor = FeatureExtractor(self._extraction.residual, self._extraction.features, pick_device(self._device), WHO)
        return FeatureModel(extractor, ThreadPoolExecutor(self._threads or os.cpu_count() or 1))

    def run_inference(
        self, batch: Sequence[ImageSlice], model: FeatureModel, inference_args: dict[str, Any] | None = None
    ) -> list[FeatureSlice]:
        """A list, since a generator would hide its failures from Beam's counters."""
        del inference_args
        return [feature_slice(images, model.extractor, self._extraction, model.pool, self._report) for images in batch]

    def get_num_bytes(self, batch: Sequence[ImageSlice]) -> int:
        """Encoded bytes (Beam's own way would pickle the whole slice to measure it)."""
        return sum(len(image.data) for images in batch for image in images.images)

    def _report(self, images: int, left_out: int, encoded_bytes: int) -> None:
        tally(self._progress, images=images, rejects=left_out, encoded_bytes=encoded_bytes)


@beam.typehints.with_input_types(ImageSlice)
@beam.typehints.with_output_types(FeatureSlice)
@dataclass
class ComputeFeatures(beam.PTransform[PCollection[ImageSlice], PCollection[FeatureSlice]]):
    """:func:`feature_slice` on every slice, by RunInference; attributes as of :class:`FeatureModelHandler`."""

    extraction: Extraction
    device: str = "auto"
    threads: int | None = None
    progress: str | None = None

    def expand(self, slices: PCollection[ImageSlice]) -> PCollection[FeatureSlice]:
        """Beam's hook."""
        return slices | RunInference(FeatureModelHandler(self.extraction, self.device, self.threads, self.progress))


def _label(image: EncodedImage, shard: Shard, label_field: str) -> Label | None:
    try:
        return label_of(image, shard, label_field)
    except LabelError:
        return None


def _compute(extractor: FeatureExtractor, extraction: Extraction, image: EncodedImage, label: Label | None) -> Example | Why:
    if label is None:
        return Stage.READ, UNLABELLED
    try:
        pixels = decode(image.data).pixels
    except ImageRejectError as error:
        return error.stage, error.reason
    centre = cut(pixels, Geometry(crop=extraction.geometry.crop))
    if not len(centre):
        return Stage.COMPUTE, Abstention.TOO_SMALL
    views = [Intervened(centre[0], Style().vector()), *_changed(pixels, extraction, image.image_id)]
    with np.errstate(over="ignore"):  # looked at below
        features = extractor(np.stack([view.pixels for view in views])).astype(np.float16)
    if not np.isfinite(features).all():
        return Stage.COMPUTE, Reason.NON_FINITE
    return Example(
        member=image.member,
        image_id=image.image_id,
        label=label,
        encoded_bytes=len(image.data),
        thumbnail=thumbnail_of(centre[0]),
        features=features,
        style=np.stack([view.style for view in views]),
    )


def _changed(pixels: npt.NDArray[np.uint8], extraction: Extraction, image_id: str) -> list[Intervened]:
    """The further views; the image's own bytes decide what is drawn for it, wherever it lies."""
    own = (extraction.seed, int(image_id[:15], 16))
    return [change(pixels, extraction.geometry.crop, (*own, view)) for view, change in enumerate(extraction.interventions, 1)]
