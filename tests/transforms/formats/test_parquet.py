"""Parquet files: which column holds the images, what becomes metadata, and what damage costs."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.reasons import Reason
from causalprint.transforms.storage.lookup import InputError
from tests.shards import make_samples, parquet_bytes
from tests.transforms.formats.reading import FAST, Account, read_all, read_bytes

SAMPLES = make_samples(40)
JPEG = SAMPLES[0].data
PARQUET = parquet_bytes(SAMPLES, group=10)
ORIGINALS = {sample.data for sample in SAMPLES}
read_parquet = partial(read_bytes, suffix="parquet")


def table_bytes(columns: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), buffer)
    return buffer.getvalue()


def read_table(columns: Mapping[str, Any], *chosen: str) -> Account:
    return read_parquet(table_bytes(columns), *chosen)


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        (["caption_bytes", "image"], "image"),
        (["hash", "JPG"], "JPG"),
        (["thumbnail", "jpeg", "img"], "img"),
        (["something", "else"], "else"),
    ],
)
def test_the_column_of_images_is_found(columns: list[str], chosen: str) -> None:
    account = read_table({name: [JPEG if name == chosen else b"other"] for name in columns})
    assert [image.data for image in account.images] == [JPEG]


def test_a_struct_of_bytes_and_path_is_preferred_to_plain_bytes_and_names_its_members() -> None:
    struct = pa.array([{"bytes": JPEG, "path": "a/b.jpg"}, {"bytes": JPEG, "path": None}])
    account = read_table({"digest": [b"x", b"y"], "photo": struct})
    assert [(image.member, image.offset) for image in account.images] == [("a/b.jpg", 0), ("1", 1)]


def test_the_column_can_be_named() -> None:
    account = read_table({"image": [b"no"], "other": [JPEG]}, "other")
    assert [image.data for image in account.images] == [JPEG]
    wrong = read_table({"image": [JPEG], "n": [1]}, "n")
    assert "image column 'n' is not there or holds no bytes; columns are image, n, and of bytes image" in (wrong.damage or "")


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())])
def test_every_type_of_bytes_is_read(kind: pa.DataType) -> None:
    if pa.types.is_dictionary(kind):
        column = pa.array([JPEG, JPEG], pa.binary()).dictionary_encode()
    else:
        column = pa.array([JPEG, JPEG], kind)
    assert [image.data for image in read_table({"image": column}).images] == [JPEG, JPEG]


def test_a_file_without_images_is_told_by_its_columns() -> None:
    with pytest.raises(InputError, match=r"no column holds image bytes; there are caption, n$"):
        read_table({"caption": ["https is a protocol"], "n": [1]})
    with pytest.raises(InputError, match=r"no column holds image bytes, but 'url' links .*img2dataset.*there are url, n$"):
        read_table({"url": ["https://example.org"], "n": [1]})


def test_a_file_of_no_rows_is_whole() -> None:
    account = read_table({"image": pa.array([], pa.binary())})
    assert account == Account([], [], [], None)


def test_rows_without_bytes_are_rejected_each_for_its_reason() -> None:
    struct = pa.array([{"bytes": JPEG, "path": "0"}, None, {"bytes": None, "path": "/etc/passwd"}, {"bytes": b"", "path": "3"}])
    account = read_table({"image": struct, "url": ["a", "b", "c", "d"]})
    assert [(each.member, each.offset, each.reason) for each in account.rejects] == [
        ("1", 1, Reason.NO_BYTES),
        ("/etc/passwd", 2, Reason.NO_BYTES),
        ("3", 3, Reason.EMPTY),
    ]
    assert [each.metadata for each in account.rejects] == ['{"url":"b"}', '{"url":"c"}', '{"url":"d"}']
    assert account.damage is None


def test_a_row_too_large_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(table_bytes({"image": [JPEG, JPEG * 2]}))
    account = read_all(path, replace(FAST, max_encoded_bytes=len(JPEG)))
    assert [each.reason for each in account.rejects] == [Reason.TOO_LARGE]


def test_metadata_are_json_whatever_the_columns_hold() -> None:
    columns: dict[str, Sequence[Any] | pa.Array] = {
        "image": [JPEG],
        "score": [float("nan")],
        "most": [float("inf")],
        "on": [dt.date(2024, 2, 29)],
        "at": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "UTC")),
        "for": [dt.timedelta(seconds=90)],
        "price": [Decimal("1.50")],
        "hash": [b"\xff\x00\x01"],
        "plain": [b"text"],
        "tags": [["a", "b"]],
        "box": [{"x": 1.5, "y": None}],
        "caption": ['a "cat" — 猫'],
        "nothing": pa.array([None], pa.string()),
        "thumbnail": [bytes(300)],
        "embedding": [[0.5] * 3000],
    }
    (image,) = read_table(columns).images
    told = json.loads(image.metadata or "", parse_constant=pytest.fail)
    assert told == {
        "score": None,
        "most": None,
        "on": "2024-02-29",
        "at": "2023-11-14T22:13:20.123456789+00:00",
        "for": 90.0,
        "price": "1.50",
        "hash": "/wAB",
        "plain": "text",
        "tags": ["a", "b"],
        "box": {"x": 1.5, "y": None},
        "caption": 'a "cat" — 猫',
        "nothing": None,
    }


def test_values_that_python_cannot_hold_do_not_cost_the_image() -> None:
    bad_text = pa.Array.from_buffers(pa.string(), 1, [None, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")])
    far = pa.array([2**61], pa.timestamp("ms"))
    (image,) = read_table({"image": [JPEG], "text": bad_text, "far": far}).images
    assert set(json.loads(image.metadata or "")) == {"text", "far"}


def test_the_rest_of_a_row_group_with_a_broken_page_is_rejected_row_by_row() -> None:
    at = PARQUET.index(SAMPLES[12].data)
    broken = PARQUET[:at] + b"\0" + PARQUET[at + 1 :]
    account = read_parquet(broken)
    assert [image.offset for image in account.images] == [*range(10), *range(20, 40)]
    assert [(each.offset, each.reason) for each in account.rejects] == [(row, Reason.CORRUPT_RECORD) for row in range(10, 20)]
    assert "rows 10 to 19 of 40 could not be read" in (account.damage or "")


def test_a_broken_page_of_metadata_costs_the_metadata_only() -> None:
    at = PARQUET.index(b"https://example.org/0/15")
    broken = PARQUET[:at] + b"?" + PARQUET[at + 1 :]
    account = read_parquet(broken)
    assert [image.data for image in account.images] == [sample.data for sample in SAMPLES]
    assert [image.metadata is None for image in account.images] == [10 <= row < 20 for row in range(40)]
    assert "metadata from row 10 to the end of row group 1 could not be read" in (account.damage or "")


@given(cut=st.integers(0, len(PARQUET) - 1))
@settings(max_examples=50, deadline=None)
def test_a_file_without_its_footer_gives_nothing_and_says_so(cut: int) -> None:
    account = read_parquet(PARQUET[:cut])
    assert (account.images, account.rejects) == ([], [])
    assert "none of its rows" in (account.damage or "")


@given(at=st.integers(0, len(PARQUET) - 1), flip=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_whatever_byte_is_flipped_no_image_is_changed_and_no_row_goes_missing(at: int, flip: int) -> None:
    account = read_parquet(PARQUET[:at] + bytes([PARQUET[at] ^ flip]) + PARQUET[at + 1 :])
    assert all(image.data in ORIGINALS for image in account.images)
    assert account.damage is not None or len(account.images) == 40
    footer = len(PARQUET) - 8 - int.from_bytes(PARQUET[-8:-4], "little")
    if 4 <= at < footer:
        assert len(account.images) + len(account.rejects) == 40
