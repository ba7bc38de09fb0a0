"""Features of labelled images on disk or in an object store: a Parquet file a slice, written whole or not at all.

A file's name says all that its bytes depend on, so that a training that was stopped, or one like it, takes up what is there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.models.labelled import LabelledImages
from causalprint.models.training.examples import THUMBNAIL, Examples
from causalprint.models.training.interventions import Style
from causalprint.schemas.arrays import Text
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import Shard
from causalprint.schemas.records import from_json, to_json
from causalprint.transforms.features.rows import FeatureRecord, FeatureSlice
from causalprint.transforms.tables.output import get, put
from causalprint.transforms.tables.parquet_files import RECORD, read_record

_log = logging.getLogger(__name__)
_FEW_VALUES = ["shard", "source", "origin", "licence"]


@dataclass(frozen=True, slots=True)
class FeatureFiles:
    """Where features of one kind lie.

    Attributes:
        root: URL of a folder, which may hold features of several kinds.
        key: what tells this kind from others, 32 hex digits; also names the slices.
        storage: fsspec options.
    """

    root: str
    key: str
    storage: Storage = field(default_factory=Storage)

    def path(self, slice_id: str) -> str:
        """Where a slice's file lies below the root."""
        return f"{self.key}/{slice_id}.parquet"

    def put(self, path: str, data: bytes) -> None:
        """As of :func:`causalprint.transforms.tables.output.put`."""
        put(self.root, path, data, self.storage)

    def get(self, path: str, *, tail: int | None = None) -> bytes | None:
        """As of :func:`causalprint.transforms.tables.output.get`."""
        return get(self.root, path, self.storage, tail=tail)


def encode(computed: FeatureSlice) -> bytes:
    """One Parquet file: the same bytes for the same slice (under one version of pyarrow)."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, computed.rows.schema, compression="zstd", use_dictionary=_FEW_VALUES) as writer:
        writer.write_batch(computed.rows)
        writer.add_key_value_metadata({RECORD: to_json(computed.record)})
    data: bytes = sink.getvalue().to_pybytes()
    return data


def write_features(computed: FeatureSlice, files: FeatureFiles) -> FeatureRecord:
    """Writes one slice, in one step; returns its record."""
    files.put(files.path(computed.slice_id), encode(computed))
    return computed.record


def written_slice(files: FeatureFiles, shard: Shard, index: int) -> FeatureRecord | None:
    """The record of slice ``index`` of ``shard``; ``None`` where its file is not there or cannot be read."""
    path = files.path(shard.slice_id(files.key, index))
    try:
        text = read_record(files, path)
        record = None if text is None else from_json(FeatureRecord, text, path)
    except ValueError as error:
        _log.warning("the slice is computed again: %s", error)
        return None
    # Of a shard that was read up to a limit, the last slice is another one than without it.
    return record if record is not None and record.shard == shard else None


def written_shard(files: FeatureFiles, shard: Shard) -> tuple[FeatureRecord, ...] | None:
    """The records of all slices of ``shard``, in order; ``None`` where one is missing."""
    records: list[FeatureRecord] = []
    while not records or not records[-1].last:
        record = written_slice(files, shard, len(records))
        if record is None:
            return None
        records.append(record)
    return tuple(records)


def read_examples(files: FeatureFiles, shards: Iterable[Shard]) -> Examples:
    """The examples of ``shards``, in their order and in the order of each shard: the same whatever computed them, and where.

    One file is in memory at a time, besides the result.

    Raises:
        FileNotFoundError: the features of a shard are not all there.
    """
    records = [record for shard in shards for record in _whole(files, shard)]
    left_out = sum(each.images for record in records for each in record.left_out)
    full = [record for record in records if record.images]
    tables = (_read(files, record) for record in full)
    first = next(tables, None)
    if first is None:
        return _none(left_out)
    # Filled in place: joined part by part, features would be in memory twice.
    features = np.empty((sum(record.images for record in full), *_views(first, "features").shape[1:]), np.float16)
    narrow = []
    start = 0
    for table in chain([first], tables):
        features[start : start + len(table)] = _views(table, "features")
        start += len(table)
        narrow.append(_all_but_features(table))
    return narrow[0].join(*narrow[1:])._replace(features=features, left_out=left_out)


def _whole(files: FeatureFiles, shard: Shard) -> Sequence[FeatureRecord]:
    records = written_shard(files, shard)
    if records is None:
        raise FileNotFoundError(f"features of {shard.uri} are missing from {files.root}/{files.key}; compute them again")
    return records


def _read(files: FeatureFiles, record: FeatureRecord) -> pa.Table:
    path = files.path(record.shard.slice_id(files.key, record.index))
    data = files.get(path)
    if data is None:
        raise FileNotFoundError(f"{files.root}/{path} was there and is gone; is something else deleting files there?")
    return pq.read_table(pa.BufferReader(data))


def _views(table: pa.Table, name: str) -> npt.NDArray[Any]:
    """A column of lists of views: (N, V, D)."""
    lists = table.column(name).combine_chunks()
    views = lists.flatten()
    values: npt.NDArray[Any] = views.flatten().to_numpy()
    return values.reshape(len(table), -1, views.type.list_size)


def _all_but_features(table: pa.Table) -> Examples:
    def text(name: str) -> Text:
        return np.array(table.column(name).to_pylist(), dtype=np.str_)

    columns = {name: text(name) for name in ("origin", "content", "licence", "image_id")}
    encoded_bytes = table.column("encoded_bytes").to_numpy()
    return Examples(
        images=LabelledImages.known(text("source"), encoded_bytes=encoded_bytes, **columns),
        features=np.zeros(0, np.float16),
        style=_views(table, "style"),
        thumbnail=np.frombuffer(b"".join(table.column("thumbnail").to_pylist()), np.uint8).reshape(len(table), -1),
    )


def _none(left_out: int) -> Examples:
    return Examples(
        images=LabelledImages.of([]),
        features=np.zeros((0, 0, 0), np.float16),
        style=np.zeros((0, 0, len(Style._fields)), np.float32),
        thumbnail=np.zeros((0, 3 * THUMBNAIL * THUMBNAIL), np.uint8),
        left_out=left_out,
    )
