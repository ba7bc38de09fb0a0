"""Parquet files that would cost more than their bytes: what is read of them, and what it costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.reasons import Reason
from causalprint.transforms.formats import columns as columns_module
from causalprint.transforms.formats import parquet_file, table_rows
from causalprint.transforms.formats.parquet_footer import Chunk, chunks_of, page_at, tail_of
from causalprint.transforms.formats.parquet_head import first_values
from tests.shards import make_samples, parquet_bytes
from tests.transforms.formats.reading import Account, read_all

SAMPLES = make_samples(12)
JPEG = SAMPLES[0].data
PARQUET = parquet_bytes(SAMPLES, group=5)
HUGGING_FACE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def read(path: Path, columns: dict[str, Any], **options: Any) -> Account:
    pq.write_table(pa.table(columns), path, compression="zstd", store_schema=False, **options)
    return read_all(path)


def peak(path: Path, columns: dict[str, Any], **options: Any) -> tuple[Account, int]:
    """The account, and the bytes that Arrow held at most while it was read."""
    pq.write_table(pa.table(columns), path, compression="zstd", store_schema=False, **options)
    pool, usual = pa.proxy_memory_pool(pa.system_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        return read_all(path), pool.max_memory() or 0
    finally:
        pa.set_memory_pool(usual)


def test_sizes_are_read_of_the_footer_and_of_pages() -> None:
    def fetch(start: int, end: int) -> bytes:
        return PARQUET[start:end]

    chunks = chunks_of(tail_of(fetch, len(PARQUET)))
    assert chunks is not None
    metadata = pq.read_metadata(pa.BufferReader(PARQUET))
    assert len(chunks) == metadata.num_row_groups == 3
    for number, group in enumerate(chunks):
        told = metadata.row_group(number).to_dict()["columns"]
        assert [(chunk.values, chunk.packed, chunk.size) for chunk in group] == [
            (each["num_values"], each["total_compressed_size"], each["total_uncompressed_size"]) for each in told
        ]
        for chunk in group:
            at = chunk.offset
            while at < chunk.offset + chunk.packed:
                page = page_at(fetch, at)
                assert page is not None
                at = page.end
            assert at == chunk.offset + chunk.packed


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_a_footer_of_any_bytes_says_something_or_nothing(data: bytes) -> None:
    chunks_of(data + len(data).to_bytes(4, "little") + b"PAR1")
    page_at(lambda start, end: data[start:end], 0)


@given(data=st.binary(min_size=1, max_size=200), codec=st.integers(0, 8), kind=st.sampled_from([6, 7]))
@settings(max_examples=300)
def test_a_page_of_any_bytes_begins_with_something_or_nothing(data: bytes, codec: int, kind: int) -> None:
    header = b"\x15\x04\x15" + bytes([2 * (len(data) % 64)]) + b"\x15" + bytes([2 * (len(data) % 64)]) + b"\x00"
    chunk = Chunk(("image",), kind, codec, 1, len(data), len(data), 0, dictionary=False)
    first_values(lambda start, end: (header + data)[start:end], chunk)


@pytest.mark.parametrize("kind", [pa.binary(), HUGGING_FACE, pa.list_(pa.binary())])
def test_millions_of_nulls_are_few_rejects_and_hide_no_image(kind: pa.DataType, tmp_path: Path) -> None:
    image = {"bytes": JPEG, "path": None} if pa.types.is_struct(kind) else [JPEG] if pa.types.is_list(kind) else JPEG
    rows = 1_500_000
    parts = [pa.array([image], kind), pa.nulls(rows, kind)] * 2
    column = pa.chunked_array(parts, kind)
    account = read(tmp_path / "a.parquet", {"image": column, "url": pa.array(["u"] * len(column)).dictionary_encode()})
    assert [(image.offset, image.data) for image in account.images] == [(0, JPEG), (rows + 1, JPEG)]
    assert account.damage is None
    assert table_rows.MAX_NULLS < len(account.rejects) < table_rows.MAX_NULLS + 10
    told = sum(int(each.detail.split()[0]) if each.detail[0].isdigit() else 1 for each in account.rejects)
    assert told == 2 * rows


def test_a_value_that_a_dictionary_repeats_is_not_held_for_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_file, "BATCH_BYTES", 8_000_000)
    big = JPEG + bytes(4_000_000)
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 32, pa.int32()), pa.array([big]))
    account, held = peak(tmp_path / "a.parquet", {"image": column})
    assert [image.data == big for image in account.images] == [True] * 32
    assert held < 40_000_000


def test_a_value_that_begins_like_the_one_before_is_not_held_for_every_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_file, "BATCH_BYTES", 8_000_000)
    values = [JPEG + bytes(4_000_000) + bytes([number]) for number in range(32)]
    written: dict[str, Any] = {"use_dictionary": False, "column_encoding": {"image": "DELTA_BYTE_ARRAY"}}
    account, held = peak(tmp_path / "a.parquet", {"image": values}, **written)
    assert [image.data for image in account.images] == values
    assert held < 40_000_000


def test_lists_too_long_cost_their_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_file, "MAX_LISTED", 1000)
    nulls: list[bytes | None] = [None] * 2000
    account = read(tmp_path / "a.parquet", {"image": [[JPEG], [JPEG, *nulls], [JPEG]]}, row_group_size=1)
    assert [image.offset for image in account.images] == [0, 2]
    assert [(each.offset, each.reason) for each in account.rejects] == [(1, Reason.TOO_LARGE)]
    assert "lists of 2000 values, more than 1000" in account.rejects[0].detail
    assert account.damage is None


def test_pages_too_large_cost_their_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_file, "MAX_PAGE", 10_000_000)
    images = [JPEG, JPEG + bytes(20_000_000), JPEG]
    account = read(tmp_path / "a.parquet", {"image": images}, row_group_size=1, use_dictionary=False)
    assert [image.offset for image in account.images] == [0, 2]
    assert [(each.offset, each.reason) for each in account.rejects] == [(1, Reason.TOO_LARGE)]
    in_metadata = {"image": [JPEG], "text": pa.array(["x" * 20_000_000])}
    account = read(tmp_path / "b.parquet", in_metadata, use_dictionary=False)
    assert [(image.data, image.metadata) for image in account.images] == [(JPEG, None)]
    assert [each.kind for each in account.skipped] == ["column of metadata too costly to read"]
    assert account.damage is None


@pytest.mark.parametrize("other", [None, JPEG, b"text"], ids=["nothing", "images", "no images"])
def test_a_column_too_costly_to_read_costs_no_image_of_another(
    other: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_file, "MAX_LISTED", 1000)
    long = [other] * 2000
    columns = {"image": [JPEG, None, JPEG], "list": pa.array([[other], long, [other]], pa.list_(pa.binary())), "n": [1, 2, 3]}
    account = read(tmp_path / "a.parquet", columns, row_group_size=2)
    told = [(image.member.partition("/")[2], image.offset, image.data) for image in account.images]
    in_list = [("list/0", 2, JPEG)] * (other is JPEG)
    assert told == [("image" * bool(in_list), offset, JPEG) for offset in (0, 2)] + in_list
    assert [json.loads(image.metadata or "")["n"] for image in account.images] == [1, 3, 3][: len(told)]
    refused = [("1", Reason.NO_BYTES)] if other == b"text" else [(f"{row}/list", Reason.TOO_LARGE) for row in (0, 1)]
    assert [(each.member, each.reason) for each in account.rejects] == refused
    assert account.damage is None


def test_rows_that_are_refused_are_told_each_by_itself_up_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_file, "MAX_LISTED", 10)
    monkeypatch.setattr(table_rows, "MAX_REFUSED", 5)
    lists = pa.array([[None] * 20] * 4, pa.list_(pa.binary()))
    account = read(tmp_path / "a.parquet", {"image": [JPEG] * 4, "a": lists, "b": lists})
    assert len(account.images) == 4
    assert [each.member for each in account.rejects] == ["0/a", "1/a", "2/a", "3/a", "0/b", "3/b"]
    assert account.rejects[-1].detail.startswith("3 rows up to this one: ")


@pytest.mark.parametrize("kind", ["columns", "fields"])
def test_a_table_of_many_columns_is_read_and_one_of_too_many_says_how_many_it_may_have(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"c{number}" for number in range(1000)]
    columns: dict[str, Any]
    if kind == "columns":
        columns = {name: [1] for name in names} | {"image": [JPEG]}
    else:
        columns = {"image": [dict.fromkeys(names, 1) | {"bytes": JPEG}]}
    account = read(tmp_path / "a.parquet", columns)
    assert [image.data for image in account.images] == [JPEG]
    assert list(json.loads(account.images[0].metadata or "").values()) == [1] * 1000
    assert account.damage is None
    monkeypatch.setattr(columns_module, "MAX_COLUMNS", 1000)
    account = read_all(tmp_path / "a.parquet")
    assert account.images == []
    assert "columns and fields, more than 1000, so none of 1 rows can be read" in (account.damage or "")


def test_a_list_that_repeats_a_value_of_a_dictionary_is_refused(tmp_path: Path) -> None:
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 40, pa.int32()), pa.array([JPEG + bytes(20_000_000)]))
    column = pa.ListArray.from_arrays(pa.array([0, 40], pa.int32()), values)
    account, held = peak(tmp_path / "a.parquet", {"image": column})
    assert [each.reason for each in account.rejects] == [Reason.TOO_LARGE]
    assert held < 50_000_000
