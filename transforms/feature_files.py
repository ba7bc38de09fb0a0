"""Features of labelled images on disk or in an object store: a table of slices, as an audit's, with a Parquet file a slice.

A file's name says all that its bytes depend on, so that a training that was stopped, or one like it, takes up what is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from causalprint.models.labelled import LabelledImages
from causalprint.models.training.examples import THUMBNAIL, Examples
from causalprint.models.training.interventions import Style
from causalprint.schemas.accounts import ShardAccount, SliceReceipt, receipt_of
from causalprint.schemas.arrays import Text
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import Shard
from causalprint.transforms.compute_features import FeatureSlice
from causalprint.transforms.tables.committed import closed, record_in, walk
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.parquet_bytes import read_parquet
from causalprint.transforms.tables.seals import check_body
from causalprint.transforms.tables.stored import Stored
from causalprint.transforms.tables.write_tables import commit

FEATURES = "features"
"""The table of features, whose file commits a slice."""


def feature_output(root: str, key: str, storage: Storage) -> Output:
    """Where features of one kind lie.

    Args:
        root: URL of a folder, which may hold features of several kinds.
        key: what tells this kind from others, 32 hex digits, by ``compute_features.feature_key``.
        storage: fsspec options.
    """
    return Output(root, key, key, storage, FEATURES)


def write_features(computed: FeatureSlice, output: Output) -> SliceReceipt:
    """Writes one slice, in one step; returns its receipt: ``attributed`` rows, and by ``reasons`` the images left out."""
    receipt = receipt_of(computed.source, computed.rows.num_rows, reasons=computed.left_out)
    return commit(receipt, {FEATURES: pa.table(computed.rows)}, output)


def read_examples(output: Output, shards: Iterable[Shard]) -> Examples:
    """The examples of ``shards``, in their order and in the order of each shard: the same whatever computed them, and where.

    One file is in memory at a time, besides the result.

    Raises:
        FileNotFoundError: the features of a shard are not all there.
        ValueError: a file is damaged.
    """
    stored = Stored(output)
    accounts = [_account(output, shard, stored) for shard in shards]
    left_out = sum(account.rejected for account in accounts)
    tables = (_read(output, account, slice_id) for account in accounts for slice_id in account.slice_ids)
    full = (table for table in tables if len(table))
    first = next(full, None)
    if first is None:
        return _none(left_out)
    # Filled in place: joined part by part, features would be in memory twice.
    features = np.empty((sum(account.attributed for account in accounts), *_versions(first, "features").shape[1:]), np.float16)
    narrow = []
    start = 0
    for table in chain([first], full):
        features[start : start + len(table)] = _versions(table, "features")
        start += len(table)
        narrow.append(_all_but_features(table))
    return narrow[0].join(*narrow[1:])._replace(features=features, left_out=left_out)


def _account(output: Output, shard: Shard, stored: Stored) -> ShardAccount:
    account = closed(output, shard, stored) or walk(output, shard, stored)
    if account is None:
        raise FileNotFoundError(f"features of {shard.uri} are missing from {output.root}; compute them again")
    return account


def _read(output: Output, account: ShardAccount, slice_id: str) -> pa.Table:
    path = output.path(FEATURES, slice_id)
    data = output.get(path)
    closing = f"{output.root}/{output.path('shards', account.shard_id)}"
    if data is None:
        raise FileNotFoundError(f"{output.root}/{path} was there and is gone; remove {closing} too, and it is computed again")
    try:
        if (seal := record_in(data, path).seal) is not None:
            check_body(data, seal)
        return read_parquet(data)
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(
            f"{output.root}/{path} is damaged ({error}); remove it and {closing}, and it is computed again"
        ) from error


def _versions(table: pa.Table, name: str) -> npt.NDArray[Any]:
    """A column of lists of versions: (N, V, D)."""
    lists = table.column(name).combine_chunks()
    versions = lists.flatten()
    values: npt.NDArray[Any] = versions.flatten().to_numpy()
    return values.reshape(len(table), -1, versions.type.list_size)


def _all_but_features(table: pa.Table) -> Examples:
    def text(name: str) -> Text:
        return np.array(table.column(name).to_pylist(), dtype=np.str_)

    columns = {name: text(name) for name in ("origin", "content", "licence", "image_id")}
    encoded_bytes = table.column("encoded_bytes").to_numpy()
    return Examples(
        images=LabelledImages.known(text("source"), encoded_bytes=encoded_bytes, **columns),
        features=np.zeros(0, np.float16),
        style=_versions(table, "style"),
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
