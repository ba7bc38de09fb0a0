"""The features of a slice of labelled images, as rows of one Arrow schema, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from causalprint.models.training.examples import THUMBNAIL
from causalprint.models.training.interventions import Style
from causalprint.schemas.elements import ImageSlice, Reject, RejectCount, summed
from causalprint.transforms.labels import Label


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
