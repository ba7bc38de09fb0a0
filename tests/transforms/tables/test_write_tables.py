from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from causalprint.schemas.tables import TABLES, file_schema, stored_rows
from causalprint.transforms.tables.committed import committed, read_sealed
from causalprint.transforms.tables.write_tables import write_counted, write_empty, write_slice
from tests.outputs import (
    BUNDLE_DIGEST,
    BUNDLE_ID,
    TABLES_OF_IMAGES,
    audit,
    files_below,
    output_at,
    receipts_in,
    shards,
    slices_of,
)
from tests.samples import sample_shard, sample_slice

SHARD = sample_shard()


def test_a_slice_becomes_a_file_in_each_table_with_its_rows_in_order(tmp_path: Path) -> None:
    attributed = sample_slice(SHARD, images=20, rejects=7)
    write_slice(attributed, output_at(tmp_path))
    slice_id = attributed.fingerprinted.source.slice_id
    fingerprinted = attributed.fingerprinted
    given = {
        "images": fingerprinted.images,
        "embeddings": fingerprinted.embeddings,
        "rejects": fingerprinted.rejects,
        "attributions": attributed.attributions,
    }
    assert set(files_below(tmp_path)) == {f"{table}/bundle={BUNDLE_ID}/{slice_id}.parquet" for table in given}
    for table, batch in given.items():
        found = pq.read_table(tmp_path / table / f"bundle={BUNDLE_ID}" / f"{slice_id}.parquet", partitioning=None)
        assert found.schema.equals(file_schema(table, BUNDLE_ID, BUNDLE_DIGEST), check_metadata=False)
        assert found.to_batches() == [stored_rows(table, batch)]


def test_files_carry_units_meanings_and_what_made_them(tmp_path: Path) -> None:
    attributed = sample_slice(SHARD)
    write_slice(attributed, output_at(tmp_path))
    for table in TABLES_OF_IMAGES:
        (path,) = (tmp_path / table).glob("*/*.parquet")
        schema = pq.read_schema(path)
        assert schema.metadata[b"bundle_digest"] == BUNDLE_DIGEST.encode()
        assert schema.metadata[b"code_version"]
        for field in TABLES[table]:
            found = schema.field(field.name).metadata
            assert {key: found[key] for key in field.metadata} == field.metadata


def test_files_are_zstd_without_byte_stream_split(tmp_path: Path) -> None:
    write_slice(sample_slice(SHARD, images=500), output_at(tmp_path))
    for table in TABLES_OF_IMAGES:
        (path,) = (tmp_path / table).glob("*/*.parquet")
        metadata = pq.read_metadata(path)
        assert metadata.num_row_groups == 1
        for index in range(metadata.num_columns):
            column = metadata.row_group(0).column(index)
            assert column.compression == "ZSTD"
            assert "BYTE_STREAM_SPLIT" not in column.encodings


def test_the_receipt_counts_the_rows_and_names_the_other_files(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    attributed = sample_slice(SHARD, images=40, rejects=7, last=False, skipped=3)
    receipt = write_slice(attributed, output)
    assert (receipt.seen, receipt.attributed, receipt.rejected, receipt.skipped) == (47, 40, 7, 3)
    assert (receipt.index, receipt.last, receipt.damage, receipt.computed) == (0, False, None, True)
    verdicts = attributed.attributions.column("verdict").to_pylist()
    assert sum(count.images for count in receipt.verdicts) == 40
    assert {count.verdict for count in receipt.verdicts} == set(verdicts)
    assert sum(count.images for count in receipt.verdicts if count.verdict == "known") == verdicts.count("known")
    assert sum(count.images for count in receipt.reasons) == 7
    assert [file.path.partition("/")[0] for file in receipt.files] == ["images", "embeddings", "rejects"]
    for file in receipt.files:
        data = (tmp_path / file.path).read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_the_commit_mark_holds_the_receipt(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    attributed = sample_slice(SHARD, damage="the shard ends inside “é”", images=3)
    receipt = write_slice(attributed, output)
    assert committed(output, receipt.slice_id) == replace(receipt, computed=False)
    assert committed(output, SHARD.slice_id(BUNDLE_ID, 1)) is None


def test_a_mark_whose_footer_is_longer_than_one_read_is_read(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    attributed = sample_slice(SHARD, damage="hole " * 100_000)
    receipt = write_slice(attributed, output)
    assert committed(output, receipt.slice_id) == replace(receipt, computed=False)


@pytest.mark.parametrize("keep", [0, 3, 8, 500, -1, -9])
def test_a_broken_mark_is_no_mark(tmp_path: Path, keep: int) -> None:
    output = output_at(tmp_path)
    receipt = write_slice(sample_slice(SHARD), output)
    mark = tmp_path / output.path("attributions", receipt.slice_id)
    whole = mark.read_bytes()
    mark.write_bytes(whole[:keep])
    assert committed(output, receipt.slice_id) is None
    write_slice(sample_slice(SHARD), output)
    assert mark.read_bytes() == whole


def test_a_parquet_file_of_others_is_no_mark(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    path = output.path("attributions", "0" * 32)
    (tmp_path / path).parent.mkdir(parents=True)
    pq.write_table(pa.table({"x": [1]}), tmp_path / path)
    assert committed(output, "0" * 32) is None
    with pytest.raises(ValueError, match="holds no record of this pipeline"):
        read_sealed(output, path)


OTHER_PROCESS = """
import hashlib
from causalprint.schemas.config import Storage
from tests.samples import sample_shard, sample_slice
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.write_tables import encode, stored_table
rows = sample_slice(sample_shard(), images=50, rejects=9).fingerprinted
for table in ("embeddings", "images", "rejects"):
    data = encode(stored_table(table, getattr(rows, table), Output("", "sample-000000000000", "0" * 64, Storage())))
    print(hashlib.sha256(data).hexdigest())
"""


def test_the_same_slice_gives_the_same_bytes_here_and_in_another_process(tmp_path: Path) -> None:
    attributed = sample_slice(SHARD, images=50, rejects=9)
    write_slice(attributed, output_at(tmp_path / "once"))
    receipt = write_slice(pickle.loads(pickle.dumps(attributed)), output_at(tmp_path / "twice"))
    assert files_below(tmp_path / "once") == files_below(tmp_path / "twice")
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", OTHER_PROCESS]
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert sorted(there) == sorted(file.sha256 for file in receipt.files)


def test_a_shard_that_could_not_be_read_further_leaves_no_file(tmp_path: Path) -> None:
    end = sample_slice(SHARD, 3, images=0, rejects=0, damage="connection lost at byte 7", retryable=True, skipped=2)
    receipt = write_slice(end, output_at(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert (receipt.index, receipt.last, receipt.damage, receipt.retryable) == (3, True, "connection lost at byte 7", True)
    assert (receipt.seen, receipt.skipped, receipt.computed) == (0, 2, False)


def test_an_account_that_does_not_close_is_never_written(tmp_path: Path) -> None:
    attributed = sample_slice(SHARD, images=5, rejects=1)
    lost = replace(attributed, fingerprinted=replace(attributed.fingerprinted, seen=7))
    with pytest.raises(ValueError, match=r"slice 0 of s3://crawl/00000.tar does not close: 7 images seen, 5 in images"):
        write_slice(lost, output_at(tmp_path))
    short = replace(attributed, attributions=attributed.attributions.slice(1))
    with pytest.raises(ValueError, match="4 in attributions"):
        write_slice(short, output_at(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("images", "rejects"), [(9, 5), (9, 0), (0, 5), (0, 0)])
def test_every_reader_opens_every_table_by_one_glob(tmp_path: Path, images: int, rejects: int) -> None:
    output = output_at(tmp_path)
    write_empty(output)
    for shard in shards(2):
        write_slice(sample_slice(shard, images=images, rejects=rejects), output)
    audit(list(shards(2)), output, count=1)
    for folder in tmp_path.glob("*/*/"):
        (folder / ".killed.parquet.part").write_bytes(b"PAR1 what a killed process left behind")
    embedded = sum(number % 8 != 3 for number in range(images))
    expected = {"images": images, "embeddings": embedded, "attributions": images, "rejects": rejects, "shards": 1}
    for table, count in expected.items():
        glob = f"{tmp_path}/{table}/*/*.parquet"
        files = sorted(str(path) for path in tmp_path.glob(f"{table}/*/*.parquet"))
        names = [*TABLES[table].names, "bundle"]
        relation = _sql(f"FROM '{glob}'")
        assert (relation.columns, len(relation.fetchall())) == (names, 2 * count)
        scanned = pl.scan_parquet(glob, hive_partitioning=True).collect()
        assert (scanned.columns, scanned.height) == (names, 2 * count)
        opened = pd.read_parquet(f"{tmp_path}/{table}")
        assert (list(opened.columns), len(opened)) == (names, 2 * count)
        for where in (f"{tmp_path}/{table}", files):
            found = ds.dataset(where, partitioning="hive").to_table()
            assert (found.column_names, found.num_rows) == (names, 2 * count)


def test_fingerprints_are_the_same_numbers_to_every_reader(tmp_path: Path) -> None:
    attributed = sample_slice(SHARD, images=20)
    write_slice(attributed, output_at(tmp_path))
    expected = stored_rows("embeddings", attributed.fingerprinted.embeddings).column("fingerprint").to_pylist()
    glob = f"{tmp_path}/embeddings/*/*.parquet"
    assert [row[0] for row in _sql(f"SELECT fingerprint FROM '{glob}'").fetchall()] == expected
    assert pl.read_parquet(glob).get_column("fingerprint").to_list() == expected
    assert [list(row) for row in pd.read_parquet(f"{tmp_path}/embeddings")["fingerprint"]] == expected


def test_the_transform_writes_every_slice_and_gives_its_receipt(tmp_path: Path) -> None:
    output = output_at(tmp_path / "beam")
    slices = [attributed for shard in shards(2) for attributed in slices_of(shard)]
    expected = [write_slice(attributed, output_at(tmp_path / "plain")) for attributed in slices]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        receipts = pipeline | beam.Create(slices) | beam.Reshuffle() | beam.Map(write_counted, write_slice, output)
        assert_that(receipts, equal_to(expected))
    assert files_below(tmp_path / "beam") == files_below(tmp_path / "plain")
    found = sorted(receipts_in(output), key=lambda receipt: receipt.slice_id)
    assert found == sorted((replace(receipt, computed=False) for receipt in expected), key=lambda receipt: receipt.slice_id)


def _sql(query: str) -> duckdb.DuckDBPyRelation:
    relation = duckdb.sql(query)
    assert relation is not None, "the query is no SELECT"
    return relation
