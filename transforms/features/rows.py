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
from causalprint.schemas.elements import ImageSlice, RejectCount, sum_reasons
from causalprint.transforms.labels import Label

Why = tuple[str, str]
"""The stage at which an image was left out, and the reason; see :class:`~causalprint.schemas.elements.Reject`."""


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


def feature_rows(images: ImageSlice, outcomes: Sequence[Example | Why], width: int) -> FeatureSlice:
    """The rows of a slice, from what came of each of its ``images``, in order."""
    rows = [outcome for outcome in outcomes if isinstance(outcome, Example)]
    left_out = [RejectCount(*outcome, 1) for outcome in outcomes if not isinstance(outcome, Example)]
    left_out += [RejectCount(reject.stage, reject.reason, 1) for reject in images.rejects]
    schema = feature_schema(width)
    columns = {
        "image_id": [row.image_id for row in rows],
        "shard": [images.shard.uri] * len(rows),
        "member": [row.member for row in rows],
        **{name: [getattr(row.label, name) for row in rows] for name in Label._fields},
        "encoded_bytes": [row.encoded_bytes for row in rows],
        "thumbnail": [row.thumbnail.tobytes() for row in rows],
    }
    arrays = [pa.array(values, schema.field(name).type) for name, values in columns.items()]
    arrays += [_versions([row.features for row in rows], width, np.float16)]
    arrays += [_versions([row.style for row in rows], len(Style._fields), np.float32)]
    return FeatureSlice(images.without_bytes(), pa.RecordBatch.from_arrays(arrays, schema=schema), sum_reasons(left_out))


def _versions(rows: Sequence[npt.NDArray[np.floating]], width: int, kind: type[np.floating]) -> pa.Array:
    """Lists of versions: (V, ``width``) each."""
    ends = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int32)
    values = pa.array(np.concatenate([np.zeros(0, kind), *(row.astype(kind, copy=False).reshape(-1) for row in rows)]))
    return pa.ListArray.from_arrays(pa.array(ends), pa.FixedSizeListArray.from_arrays(values, width))
