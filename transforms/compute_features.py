"""Slices of labelled images to features: decode, intervene, residual, lenses. What training learns from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam.pvalue import PCollection
from typing_extensions import override

import causalprint
from causalprint.models.bundles.manifest import Geometry
from causalprint.models.features import FeatureExtractor, cut, pick_device
from causalprint.models.lenses import load_lens
from causalprint.models.residuals.base import Residual
from causalprint.models.training.examples import THUMBNAIL, Extraction, thumbnail_of
from causalprint.models.training.interventions import Intervened, Style
from causalprint.schemas.accounts import RejectCount, summed
from causalprint.schemas.arrays import Pixels
from causalprint.schemas.config import Slicing
from causalprint.schemas.elements import EncodedImage, ImageSlice, Reject, Shard, digest
from causalprint.schemas.reasons import Abstention, Reason, Stage
from causalprint.transforms.counting import Pool
from causalprint.transforms.images.decode import ImageRejectError, decode
from causalprint.transforms.labels import UNLABELLED, Label, LabelError, label_of
from causalprint.transforms.map_slices import MapSlices
from causalprint.transforms.micro_batches import Opened, Work, compute_images

WHO = "causalprint train"


@dataclass(frozen=True, slots=True)
class FeatureSlice:
    """The features of one slice.

    Attributes:
        source: the slice, its images dropped.
        rows: of :func:`feature_schema`, in the slice's order.
        left_out: the slice's other images, by stage and reason.
    """

    source: ImageSlice
    rows: pa.RecordBatch
    left_out: tuple[RejectCount, ...]


class Example(NamedTuple):
    """One image: features float16 (V, D), styles float32 (V, S), thumbnail uint8 (768,)."""

    member: str
    image_id: str
    label: Label
    encoded_bytes: int
    thumbnail: npt.NDArray[np.uint8]
    features: npt.NDArray[np.float16]
    style: npt.NDArray[np.float32]


def feature_slice(
    images: ImageSlice,
    extractor: FeatureExtractor,
    extraction: Extraction,
    pool: Pool,
) -> FeatureSlice:
    """Computes one slice, and counts its images as they are done.

    Rows are in the slice's order and depend on each image's bytes, its label and ``extraction`` alone.
    """
    work = Work(partial(_compute, extractor, extraction, images.shard), pool, ahead=max(1, len(images.images)))
    return feature_rows(images, compute_images(images, work), extraction.width)


def feature_schema(width: int) -> pa.Schema:
    """A row an image; ``features`` and ``style`` are lists of its versions, those of D = ``width`` and of S numbers."""
    text = [(name, pa.string()) for name in ("image_id", "shard", "member", *Label._fields)]
    style = pa.list_(pa.float32(), len(Style._fields))
    numbers = [
        ("encoded_bytes", pa.int64()),
        ("thumbnail", pa.binary(3 * THUMBNAIL * THUMBNAIL)),
        ("features", pa.list_(pa.list_(pa.float16(), width))),
        ("style", pa.list_(style)),
    ]
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in (*text, *numbers)])


def feature_rows(images: ImageSlice, outcomes: Sequence[Example | Reject], width: int) -> FeatureSlice:
    """The rows of a slice, from what came of each of its ``images``, in order."""
    rows = [
        row._asdict()
        | row.label._asdict()
        | {
            "shard": images.shard.uri,
            "thumbnail": row.thumbnail.tobytes(),
            "features": list(row.features),
            "style": list(row.style),
        }
        for row in outcomes
        if isinstance(row, Example)
    ]
    rejects = (item for item in (*images.rejects, *outcomes) if isinstance(item, Reject))
    return FeatureSlice(
        source=images.without_bytes(),
        rows=pa.RecordBatch.from_pylist(rows, schema=feature_schema(width)),
        left_out=summed(RejectCount(reject.stage, reject.reason, 1) for reject in rejects),
    )


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
        device: ``auto``, ``cpu`` or ``cuda``; one that is missing is an error when a worker begins, before any image is read.
        threads: in which a worker decodes and computes; ``None`` takes every core.
    """

    extraction: Extraction
    device: str = "auto"
    threads: int | None = None

    @override
    def expand(self, slices: PCollection[ImageSlice]) -> PCollection[FeatureSlice]:
        return slices | beam.ParDo(MapSlices(self.load, partial(pick_device, self.device)))

    def load(self) -> Callable[[ImageSlice], FeatureSlice]:
        """What a worker computes with: the residual and the lenses on their device, and a pool."""
        extraction = self.extraction
        extractor = FeatureExtractor(extraction.residual, extraction.features, pick_device(self.device), WHO)
        return partial(feature_slice, extractor=extractor, extraction=extraction, pool=Pool(self.threads))


def _compute(extractor: FeatureExtractor, extraction: Extraction, shard: Shard, image: EncodedImage) -> Opened:
    """One task: one image."""
    began = time.perf_counter()
    try:
        label = label_of(image, shard, extraction.label_field)
        pixels = decode(image.data).intact().pixels
    except LabelError as error:
        return Opened(image.rejected(Stage.READ, UNLABELLED, str(error)))
    except ImageRejectError as error:
        return Opened(image.rejected(error.stage, error.reason, error.detail), time.perf_counter() - began)
    decoded = time.perf_counter()
    outcome = _example(extractor, extraction, image, label, pixels)
    return Opened(outcome, decoded - began, time.perf_counter() - decoded)


def _example(
    extractor: FeatureExtractor, extraction: Extraction, image: EncodedImage, label: Label, pixels: Pixels
) -> Example | Reject:
    centre = cut(pixels, Geometry(crop=extraction.geometry.crop))
    if not len(centre):
        return image.rejected(Stage.COMPUTE, Abstention.TOO_SMALL, "smaller than the crop")
    versions = [Intervened(centre[0], Style().vector()), *_changed(pixels, extraction, image.image_id)]
    with np.errstate(over="ignore"):  # looked at below
        features = extractor(np.stack([version.pixels for version in versions])).astype(np.float16)
    if not np.isfinite(features).all():
        return image.rejected(Stage.COMPUTE, Reason.NON_FINITE, "features are not finite in float16")
    return Example(
        member=image.member,
        image_id=image.image_id,
        label=label,
        encoded_bytes=len(image.data),
        thumbnail=thumbnail_of(centre[0]),
        features=features,
        style=np.stack([version.style for version in versions]),
    )


def _changed(pixels: Pixels, extraction: Extraction, image_id: str) -> list[Intervened]:
    """The further versions; the image's own bytes decide what is drawn for it, wherever it lies."""
    own = (extraction.seed, int(image_id[:15], 16))
    return [
        change(pixels, extraction.geometry.crop, (*own, version)) for version, change in enumerate(extraction.interventions, 1)
    ]
