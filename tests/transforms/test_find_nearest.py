from __future__ import annotations

import random

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that

from causalprint.models.statistics.nearest import directions
from causalprint.schemas.config import Storage
from causalprint.transforms import find_nearest
from causalprint.transforms.find_nearest import KEYS, NEAREST, BestOf, FindNearest, Wanted, best, embedding_files
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.write_tables import write_slice
from tests.outputs import output_at, slices_of
from tests.samples import sample_shard
from tests.servers import ObjectStore

QUERIES = directions(np.random.default_rng(5).standard_normal((3, 128)))


def written(output: Output) -> list[dict[str, object]]:
    """Every embedding of an audit that is written to ``output``; slices of two shards of the same bytes hold the same images."""
    rows = []
    for number in range(2):
        for attributed in slices_of(sample_shard(number), count=3, images=16):
            write_slice(attributed, output)
            rows += [row for row in attributed.fingerprinted.embeddings.to_pylist() if row["fingerprint"] is not None]
    return rows


def brute_force(rows: list[dict[str, object]], top: int, at_least: float) -> list[tuple[object, ...]]:
    every = directions(np.array([row["fingerprint"] for row in rows], np.float16))
    found = []
    for place, query in enumerate(QUERIES):
        like = (every * query).sum(axis=1)
        of_query = [(place, -similarity, *(row[key] for key in KEYS)) for similarity, row in zip(like, rows, strict=True)]
        found += sorted(one for one in of_query if -one[1] >= at_least)[:top]
    return [(place, -less, *keys) for place, less, *keys in found]


@pytest.mark.parametrize("place", ["disk", "s3"])
def test_finds_are_those_of_brute_force_on_a_disk_and_on_an_object_store(
    place: str, tmp_path_factory: pytest.TempPathFactory, s3_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_nearest, "GROUP_FILES", 2)
    output = output_at(tmp_path_factory.mktemp("audit")) if place == "disk" else output_at(s3_store.url, s3_store.storage)
    rows = written(output)
    expected = brute_force(rows, 7, 0.05)

    def check(tables: list[pa.Table]) -> None:
        assert [tuple(row.values()) for row in tables[0].to_pylist()] == expected

    with beam.Pipeline(FnApiRunner()) as pipeline:
        files = list(embedding_files(output))
        assert [len(group) for group in files] == [2, 2, 2]
        assert_that(pipeline | beam.Create(files) | FindNearest(Wanted(QUERIES, 7, 0.05), output), check)


def test_an_embeddings_file_of_a_slice_that_was_not_committed_or_is_not_asked_for_is_not_searched() -> None:
    output = output_at("memory://not-committed", Storage())
    written(output)
    before = [path for group in embedding_files(output) for path in group]
    output.remove(before[1].replace("embeddings", "attributions"))
    assert [path for group in embedding_files(output) for path in group] == [before[0], *before[2:]]
    asked = {path.rpartition("/")[2].removesuffix(".parquet") for path in before[:3]}
    assert [path for group in embedding_files(output, asked) for path in group] == [before[0], before[2]]


def test_however_tables_are_combined_the_best_rows_are_the_same() -> None:
    draw = random.Random(3)
    rows = [
        {"query": draw.randrange(2), "similarity": draw.choice([0.1, 0.2, 0.3]), **dict.fromkeys(KEYS, str(n % 50)), "offset": n}
        for n in range(300)
    ]
    combine = BestOf(Wanted(QUERIES[:2], 5, -1.0))
    found = []
    for _ in range(5):
        draw.shuffle(rows)
        accumulators = []
        for start in range(0, 300, 60):
            accumulator = combine.create_accumulator()
            for cut in range(start, start + 60, 20):
                accumulator = combine.add_input(accumulator, pa.Table.from_pylist(rows[cut : cut + 20], NEAREST))
            accumulators.append(combine.compact(accumulator))
        found.append(combine.extract_output(combine.merge_accumulators(accumulators)))
    assert all(one.equals(found[0]) for one in found)
    assert found[0].equals(best([pa.Table.from_pylist(rows, NEAREST)], 5))
    assert len(found[0]) == 10
