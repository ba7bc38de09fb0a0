"""What an audit stores of what the bundle says, as arrays, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalprint.models.prevalence import as_stored
from causalprint.schemas.prior import Prior

if TYPE_CHECKING:
    import pyarrow as pa

    from causalprint.pipelines.open_audit import AuditTables
    from causalprint.schemas.arrays import Mask, Scores

BATCH = 65_536
"""Rows that are looked at together; this bounds memory."""


def batches(tables: AuditTables, query: str, names: Sequence[str], prior: Prior) -> Iterator[tuple[pa.RecordBatch, Scores, Mask]]:
    """Rows of a query whose columns are among them ``log_likelihood_ratio`` and ``candidates``, a batch at a time.

    Each with the probabilities (N, K) of the images that have scores, K ``names``, and which these are of all (M,).
    """
    import pyarrow.compute as pc

    place = {name: number for number, name in enumerate(names)}
    for batch in tables.sql(query).relation.to_arrow_reader(BATCH):
        ratio, candidates = batch.column("log_likelihood_ratio"), batch.column("candidates")
        scored = np.asarray(ratio.is_valid().to_numpy(zero_copy_only=False), np.bool_)
        flat = candidates.flatten()
        found = np.zeros((len(batch), len(names)))
        columns = np.array([place.get(name, -1) for name in flat.field("source").to_pylist()], np.int64)
        rows = np.asarray(pc.list_parent_indices(candidates).to_numpy(zero_copy_only=False), np.int64)
        kept = columns >= 0
        found[rows[kept], columns[kept]] = flat.field("probability").to_numpy(zero_copy_only=False)[kept]
        odds = ratio.filter(ratio.is_valid()).to_numpy(zero_copy_only=False).astype(np.float64)
        yield batch, as_stored(found[scored], 1 / (1 + np.exp(-odds)), names, prior), scored
