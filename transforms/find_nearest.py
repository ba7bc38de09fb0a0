"""Stored embeddings to those that are most like a query: a top-k over files, whose memory no table fills."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.pvalue import PCollection
from threadpoolctl import threadpool_limits

from causalprint.models.statistics.nearest import nearest
from causalprint.schemas.arrays import Doubles
from causalprint.schemas.tables import FINGERPRINT_DIM
from causalprint.transforms.tables.output import Output, OutputError
from causalprint.transforms.tables.packs import SUFFIX, is_pack, read_packs
from causalprint.transforms.tables.partition import counted_files

KEYS = ("image_id", "shard", "member", "offset", "slice_id")
NEAREST = pa.schema(
    [
        pa.field("query", pa.int32()),
        pa.field("similarity", pa.float64()),
        *(pa.field(name, pa.int64() if name == "offset" else pa.string()) for name in KEYS),
    ]
)
BLOCK = 8192
"""Rows in one matrix product."""
GROUP_FILES, GROUP_BYTES = 32, 64 * 1024 * 1024
"""One element: so many files at most, so many bytes unless one alone has more."""
THREADS = 4
"""Files of an element that are read at once: a store answers late, and decoding lets go of Python's lock."""


class Wanted(NamedTuple):
    """What is looked for: directions (Q, 128), and of each at most ``top`` rows, ``at_least`` so similar.

    Rows of the slices ``without`` are passed over.
    """

    queries: Doubles
    top: int
    at_least: float
    without: Sequence[str] = ()


def embedding_files(output: Output, slice_ids: Container[str] | None = None) -> Iterator[tuple[str, ...]]:
    """Files of table ``embeddings``, of committed slices alone, in groups: the elements of :class:`FindNearest`.

    Of the slices ``slice_ids`` alone, where these are given; a pack that has any of them has others, too: :func:`left_out`.
    """
    packs = read_packs(output)
    marks = counted_files(output, output.mark, packs)
    folder = f"embeddings/bundle={output.bundle_id}"
    group, held = list[str](), 0
    for name, size in counted_files(output, "embeddings", packs).items():
        if name not in marks:
            continue
        stem = name.removesuffix(SUFFIX)
        names = packs.indexes[stem].names if is_pack(stem) else [stem]
        if slice_ids is not None and not any(one in slice_ids for one in names):
            continue
        if group and (len(group) == GROUP_FILES or held + size > GROUP_BYTES):
            yield tuple(group)
            group, held = [], 0
        group.append(f"{folder}/{name}")
        held += size
    if group:
        yield tuple(group)


def left_out(output: Output, slice_ids: Container[str]) -> list[str]:
    """The slices in packs that are none of ``slice_ids``, whose rows are not to be found."""
    packs = read_packs(output)
    return [name for name in packs.places if packs.shard_id(name) != name and name not in slice_ids]


def nearest_in(path: str, wanted: Wanted, output: Output) -> pa.Table:
    """Of one file the rows that may be among the nearest, with the schema :data:`NEAREST`.

    Raises:
        OutputError: the file is gone.
    """
    data = output.get(path)
    if data is None:
        raise OutputError(f"{output.root}/{path} was there and is gone; is something else deleting files in the audit?")
    found = []
    for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches(BLOCK, columns=["fingerprint", *KEYS]):
        rows = batch.filter(pc.invert(pc.is_in(batch["slice_id"], pa.array(wanted.without)))) if wanted.without else batch
        values = rows.column("fingerprint").flatten().to_numpy().reshape(-1, FINGERPRINT_DIM)
        near = nearest(values, wanted.queries, wanted.top, wanted.at_least)
        keys = rows.select(list(KEYS)).take(pa.array(near.row))
        columns = [pa.array(near.query, pa.int32()), pa.array(near.similarity), *keys.columns]
        found.append(pa.Table.from_arrays(columns, schema=NEAREST))
    return best(found, wanted.top)


def best(tables: Iterable[pa.Table], top: int) -> pa.Table:
    """The ``top`` most similar rows of each query, queries in order and the most similar first; ties by image, then by place."""
    table = pa.concat_tables([NEAREST.empty_table(), *tables])
    order = [("query", "ascending"), ("similarity", "descending")]
    table = table.sort_by([*order, *((name, "ascending") for name in KEYS)])
    query = table.column("query").to_numpy()
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    return table.filter(pa.array(rank < top)).combine_chunks()


class BestOf(beam.CombineFn):
    """:func:`best` of any number of tables, never holding many more rows than it gives."""

    def __init__(self, wanted: Wanted) -> None:
        self._top = wanted.top
        self._most = 8 * wanted.top * len(wanted.queries)

    def create_accumulator(self, *_: object) -> list[pa.Table]:
        """Nothing yet."""
        return []

    def add_input(self, mutable_accumulator: list[pa.Table], element: pa.Table, *_: object) -> list[pa.Table]:
        """One table more."""
        held = [*mutable_accumulator, element]
        return [best(held, self._top)] if sum(map(len, held)) > self._most else held

    def merge_accumulators(self, accumulators: Iterable[list[pa.Table]], *_: object) -> list[pa.Table]:
        """One after the other."""
        merged = list[pa.Table]()
        for accumulator in accumulators:
            for table in accumulator:
                merged = self.add_input(merged, table)
        return merged

    def compact(self, accumulator: list[pa.Table], *_: object) -> list[pa.Table]:
        """What is sent on."""
        return [best(accumulator, self._top)]

    def extract_output(self, accumulator: list[pa.Table], *_: object) -> pa.Table:
        """What is left."""
        return best(accumulator, self._top)


@dataclass
class FindNearest(beam.PTransform[PCollection[tuple[str, ...]], PCollection[pa.Table]]):
    """Groups of files (:func:`embedding_files`) to one table :data:`NEAREST`, of every query the ``top`` rows.

    Attributes:
        wanted: the queries.
        output: where the files are.
    """

    wanted: Wanted
    output: Output

    def expand(self, groups: PCollection[tuple[str, ...]]) -> PCollection[pa.Table]:
        """One table in all."""
        spread = groups | "Spread" >> beam.Reshuffle()
        found = spread | "Nearest" >> beam.Map(self._of_group).with_output_types(pa.Table)
        return found | "Best" >> beam.CombineGlobally(BestOf(self.wanted)).with_output_types(pa.Table)

    def _of_group(self, paths: tuple[str, ...]) -> pa.Table:
        # A product's own threads would only wait for those of the others.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(THREADS) as pool:
            return best(pool.map(lambda path: nearest_in(path, self.wanted, self.output), paths), self.wanted.top)
