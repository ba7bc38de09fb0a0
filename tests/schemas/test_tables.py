from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from causalprint.schemas.document import document
from causalprint.schemas.elements import AttributedSlice
from causalprint.schemas.reasons import Abstention, Reason, Stage, Verdict
from causalprint.schemas.tables import EMBEDDINGS, TABLES, file_schema, stored_rows, stored_schema
from tests.samples import sample_shard, sample_slice

DOCS = Path(__file__).parents[2] / "docs"
NO_UNIT = {"orientation", "jpeg_quality"}
"""Codes, not quantities."""


def tables_of(attributed: AttributedSlice) -> dict[str, pa.RecordBatch]:
    fingerprinted = attributed.fingerprinted
    return {
        "images": fingerprinted.images,
        "embeddings": fingerprinted.embeddings,
        "rejects": fingerprinted.rejects,
        "attributions": attributed.attributions,
    }


def test_the_page_of_tables_is_true() -> None:
    written = (DOCS / "tables.md").read_text(encoding="utf-8")
    assert written == document(), "run: python -m causalprint.schemas.document > docs/tables.md"


@pytest.mark.parametrize("table", TABLES)
def test_every_column_says_what_it_means_and_every_quantity_its_unit(table: str) -> None:
    assert TABLES[table].metadata[b"description"]
    for field in TABLES[table]:
        assert field.metadata[b"description"], field.name
        number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        assert (b"unit" in field.metadata) == (number and field.name not in NO_UNIT), field.name


@pytest.mark.parametrize("table", ["images", "embeddings", "attributions", "rejects"])
def test_every_table_of_images_keys_on_the_same_columns(table: str) -> None:
    assert TABLES[table].names[:5] == ["image_id", "shard", "member", "offset", "slice_id"]


def test_a_file_says_what_made_it() -> None:
    metadata = file_schema("images", "default-abc", "d" * 64).metadata
    assert metadata[b"bundle_id"] == b"default-abc"
    assert metadata[b"bundle_digest"] == b"d" * 64
    assert metadata[b"code_version"]
    assert metadata[b"schema_version"] == b"7"


def test_samples_are_valid_and_hold_every_verdict() -> None:
    attributed = sample_slice(sample_shard(), images=40, rejects=10)
    for table, rows in tables_of(attributed).items():
        rows.validate(full=True)
        assert rows.schema.equals(TABLES[table], check_metadata=True)
    assert set(attributed.attributions.column("verdict").to_pylist()) == set(Verdict)
    assert set(attributed.attributions.column("reason").to_pylist()) - {None} <= set(Abstention)
    assert set(attributed.fingerprinted.rejects.column("reason").to_pylist()) <= set(Reason)
    assert set(attributed.fingerprinted.rejects.column("stage").to_pylist()) <= set(Stage)


@pytest.mark.parametrize("table", ["images", "embeddings", "attributions", "rejects"])
@pytest.mark.parametrize("pickled", [False, True], ids=["as made", "after pickling"])
def test_rows_are_stored_with_the_exact_schema(table: str, pickled: bool) -> None:
    attributed = sample_slice(sample_shard(), images=16, rejects=5)
    rows = tables_of(pickle.loads(pickle.dumps(attributed)) if pickled else attributed)[table]
    stored = stored_rows(table, rows)
    assert stored.schema.equals(stored_schema(table), check_metadata=True)
    if table != "embeddings":
        assert stored.equals(rows)


def test_embeddings_hold_no_row_for_an_image_without_a_fingerprint() -> None:
    rows = sample_slice(sample_shard(), images=16).fingerprinted.embeddings
    missing = rows.column("fingerprint").null_count
    assert missing > 0
    stored = stored_rows("embeddings", rows)
    assert stored.num_rows == rows.num_rows - missing
    assert stored.column("image_id").equals(pc.filter(rows.column("image_id"), rows.column("fingerprint").is_valid()))


def test_rows_with_other_columns_are_refused_by_name() -> None:
    rows = sample_slice(sample_shard()).fingerprinted.images
    with pytest.raises(ValueError, match=r"table images has the columns .* not .*wide"):
        stored_rows("images", rows.rename_columns(["wide" if name == "width" else name for name in rows.schema.names]))
    with pytest.raises(ValueError, match="column width of images is int32, not int64"):
        stored_rows("images", rows.set_column(6, "width", rows.column("width").cast(pa.int64())))
    with pytest.raises(ValueError, match="column member of images may hold no null, and 5 of 5 values are"):
        stored_rows("images", rows.set_column(2, "member", pa.nulls(5, pa.string())))
    short = EMBEDDINGS.set(5, pa.field("fingerprint", pa.list_(pa.float16(), 64)))
    with pytest.raises(ValueError, match=r"column fingerprint of embeddings is fixed_size_list.*\[128\], not .*\[64\]"):
        stored_rows("embeddings", _empty(short))


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)
