"""The shards that an audit's images were drawn from, where not all shards were read: which images are whose."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from causalprint.models.statistics.clusters import Cells

if TYPE_CHECKING:
    from causalprint.pipelines.open_audit import AuditTables
    from causalprint.pipelines.shares.groups import Groups
    from causalprint.schemas.arrays import Doubles, Labels

SHARD = "shard"


class DrawnCells(NamedTuple):
    """Images that have scores, by group and drawn shard.

    Attributes:
        cells: P pairs of a group and a shard.
        names: of the shards, S.
        keys: of the pairs, ascending: place of the group times S, plus place of the shard, (P,).
    """

    cells: Cells
    names: pa.Array
    keys: Labels

    def of(self, place: Labels, shard: pa.Array) -> Labels:
        """The cells of images that have scores (N,), by the place of their group and the name of their shard."""
        found: Labels = np.searchsorted(self.keys, place * len(self.names) + pc.index_in(shard, value_set=self.names).to_numpy())
        return found

    def within(self, place: int) -> tuple[Cells, Labels]:
        """The cells of one group alone, and which of all they are."""
        kept = np.flatnonzero(self.cells.group == place)
        return Cells(np.zeros(len(kept), np.int64), self.cells.images[kept], self.cells.chance[kept]), kept

    def summed(self, values: Doubles, groups: int) -> Doubles:
        """Of values of the cells, (P,), the sums by group."""
        return np.bincount(self.cells.group, values, groups).astype(np.float64)


def drawn_cells(tables: AuditTables, groups: Groups) -> DrawnCells | None:
    """Where the images of ``groups`` are from; ``None`` where all shards were read, or each group is a shard."""
    chances = tables.sql("SELECT uri, shard_chance FROM current_shards WHERE shard_chance IS NOT NULL").relation.to_arrow_table()
    if not len(chances) or groups.by == SHARD:
        return None
    query = f"SELECT {groups.place} AS place, shard FROM {groups.rows} WHERE log_likelihood_ratio IS NOT NULL"  # noqa: S608 - ours
    counted = tables.sql(f"SELECT place, shard, count(*) AS images FROM ({query}) GROUP BY ALL").relation.to_arrow_table()  # noqa: S608
    names = chances["uri"].combine_chunks()
    shard = pc.index_in(counted["shard"], value_set=names).to_numpy()
    keys = counted["place"].to_numpy().astype(np.int64) * len(names) + shard
    order = np.argsort(keys)
    keys = keys[order]
    images, chance = counted["images"].to_numpy()[order].astype(np.float64), chances["shard_chance"].to_numpy()
    return DrawnCells(Cells(keys // len(names), images, chance[keys % len(names)]), names, keys)
