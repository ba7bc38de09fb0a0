"""Arrow IPC files and streams: the tables that ``datasets`` keeps."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path
from typing import Literal

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from causalprint.schemas.config import Storage
from causalprint.schemas.reasons import Reason
from causalprint.transforms.formats import arrow
from causalprint.transforms.formats.arrow import FILE_TAIL, why_no_images
from causalprint.transforms.formats.arrow_messages import blocks_of, message_at
from causalprint.transforms.formats.members import read_member
from causalprint.transforms.match_shards import match_inputs
from causalprint.transforms.storage.storage import RangeFile
from tests.servers import ObjectStore, breaking_proxy
from tests.shards import arrow_bytes, make_samples
from tests.transforms.formats.reading import Account, read_all, read_bytes

SAMPLES = make_samples(10)
WAYS = {"stream": arrow_bytes(SAMPLES, group=4), "file": arrow_bytes(SAMPLES, stream=False, group=4)}
ORIGINALS = [sample.data for sample in SAMPLES]
read_arrow = partial(read_bytes, suffix="arrow")


@pytest.mark.parametrize("way", WAYS)
def test_rows_come_in_order_with_their_other_columns_and_are_found_again(way: str, tmp_path: Path) -> None:
    path = tmp_path / "data-00000-of-00001.arrow"
    path.write_bytes(WAYS[way])
    account = read_all(path)
    assert [image.data for image in account.images] == ORIGINALS
    assert [image.offset for image in account.images] == list(range(10))
    assert [json.loads(image.metadata or "") for image in account.images] == [sample.metadata for sample in SAMPLES]
    assert (account.rejects, account.skipped, account.damage) == ([], [], None)
    for image in account.images[::3]:
        assert read_member(path.as_uri(), image.member, image.offset).data == image.data


def batch_ends(whole: bytes) -> list[int]:
    """The byte behind each record batch of a file."""
    end = len(whole) - FILE_TAIL
    footer = whole[end - int.from_bytes(whole[end : end + 4], "little") : end]
    found = [message_at(lambda start, stop: whole[start:stop], at) for at in blocks_of(footer)[1]]
    return [message.end for message in found if message]


@pytest.mark.parametrize("way", WAYS)
@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=40, deadline=None)
def test_one_that_is_cut_gives_what_was_before_and_is_incomplete(way: str, share: float) -> None:
    whole = WAYS[way]
    account = read_arrow(whole[: int(share * len(whole))])
    assert account.damage is not None
    assert [image.data for image in account.images] == ORIGINALS[: len(account.images)]
    if way == "stream":
        assert len(account.images) >= 4 * ((share > 0.55) + (share > 0.92)), "whole record batches, of 4, 4 and 2 rows"
    else:
        there = sum(end <= int(share * len(whole)) for end in batch_ends(whole))
        assert len(account.images) >= min(4 * there, 10), "without a footer too"


@pytest.mark.parametrize("rows", [1, 4, 7])
def test_a_stream_whose_writer_was_killed_between_record_batches_is_incomplete(rows: int) -> None:
    whole = arrow_bytes(SAMPLES, group=rows)
    at = 0
    while message := message_at(lambda start, stop: whole[start:stop], at):
        at = message.end
        account = read_arrow(whole[:at])
        assert account.damage is not None
        assert [image.data for image in account.images] == ORIGINALS[: len(account.images)]
    assert at == len(whole) - 8, "the end mark is left"


@pytest.mark.parametrize("way", WAYS)
@given(at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@example(at=0.018905314816355823, flip=1)  # bytes become text
@settings(max_examples=100, deadline=None)
def test_whatever_byte_is_flipped_the_account_closes(way: str, at: float, flip: int) -> None:
    whole = bytearray(WAYS[way])
    whole[int(at * len(whole))] ^= flip
    account = read_arrow(bytes(whole))
    assert len(account.images) + len(account.rejects) + len(account.skipped) >= 10 or account.damage is not None


@pytest.mark.parametrize("at", [92, 4, 43, 357], ids=["name", "length of the schema", "fields", "length of a batch"])
def test_a_schema_that_is_broken_is_damage_and_ends_nothing(at: int) -> None:
    whole = bytearray(WAYS["stream"])
    whole[at] ^= 0xFF
    account = read_arrow(bytes(whole))
    assert (account.images, account.damage is None) == ([], False)


def read_flipped(way: str, at: int, flip: int) -> tuple[Account, str | None]:
    """The account of a file or stream of which one byte is flipped, and why it would be left out of an input."""
    data = bytearray(WAYS[way])
    data[at] ^= flip
    return read_arrow(bytes(data)), why_no_images(RangeFile(lambda start, end: bytes(data[start:end]), len(data)), ())


@pytest.mark.parametrize("flip", [1, 64])
def test_no_byte_of_a_footer_hides_images_unnoticed(flip: int) -> None:
    end = len(WAYS["file"]) - FILE_TAIL
    footer = int.from_bytes(WAYS["file"][end : end + 4], "little")
    for at in range(end - footer, end + 4):
        account, why = read_flipped("file", at, flip)
        assert [image.data for image in account.images] == ORIGINALS or account.damage is not None
        assert why is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("flip", [8, 64])
def test_no_byte_before_the_first_values_leaves_a_file_out_as_one_without_images(flip: int, way: str) -> None:
    for at in range(8, WAYS[way].index(ORIGINALS[0])):
        account, why = read_flipped(way, at, flip)
        assert why is None
        assert len(account.images) + len(account.rejects) == 10 or account.damage is not None


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_what_polars_writes_is_whole(compression: Literal["uncompressed", "lz4", "zstd"]) -> None:
    frame = pl.DataFrame({"image": ORIGINALS, "kind": pl.Series(["a", "b"] * 5, dtype=pl.Categorical)})
    for write in (frame.write_ipc, frame.write_ipc_stream):
        buffer = io.BytesIO()
        write(buffer, compression=compression)
        account = read_arrow(buffer.getvalue())
        assert ([image.data for image in account.images], account.damage) == (ORIGINALS, None)


def test_columns_that_share_a_name_are_refused_by_name() -> None:
    images = pa.array(ORIGINALS[:2], pa.binary())
    nested = pa.StructArray.from_arrays([images, images], names=["bytes", "bytes"])
    for columns in ([images, images], [nested, images]):
        table = pa.table(columns, names=["image", "image"])
        buffer = io.BytesIO()
        with pa.ipc.new_file(buffer, table.schema) as writer:
            writer.write_table(table)
        assert "several columns are called" in (read_arrow(buffer.getvalue()).damage or "")


def test_images_may_begin_in_a_later_record_batch() -> None:
    buffer = io.BytesIO()
    table = pa.table({"image": pa.array([None] * 4 + ORIGINALS[:2], pa.binary()), "url": ["u"] * 6})
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    account = read_arrow(buffer.getvalue())
    assert ([image.data for image in account.images], len(account.rejects)) == (ORIGINALS[:2], 4)


def packed(parts: list[pa.Table], compression: str, *, stream: bool) -> bytes:
    """Each of ``parts`` as a record batch."""
    buffer, options = io.BytesIO(), pa.ipc.IpcWriteOptions(compression=compression)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(buffer, parts[0].schema, options=options) as writer:
        for part in parts:
            writer.write_table(part)
    return buffer.getvalue()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_record_batch_that_becomes_too_much_is_refused_before_it_is_read(
    compression: str, stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow, "MAX_BATCH", 5_000_000)
    bomb = ORIGINALS[1] + bytes(10_000_000)
    parts = [pa.table({"image": rows}) for rows in ([ORIGINALS[0]], [bomb, ORIGINALS[2]], [ORIGINALS[3], None])]
    path = tmp_path / "a.arrow"
    path.write_bytes(packed(parts, compression, stream=stream))
    pool, usual = pa.proxy_memory_pool(pa.system_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        account = read_all(path)
    finally:
        pa.set_memory_pool(usual)
    assert [(image.offset, image.data) for image in account.images] == [(0, ORIGINALS[0]), (3, ORIGINALS[3])]
    refused = [(1, Reason.TOO_LARGE), (2, Reason.TOO_LARGE), (4, Reason.NO_BYTES)]
    assert [(each.offset, each.reason) for each in account.rejects] == refused
    assert "more than 5000000" in account.rejects[0].detail
    assert account.damage is None
    assert (pool.max_memory() or 0) < 5_000_000
    assert read_member(path.as_uri(), "3", 3).data == ORIGINALS[3]


@pytest.mark.parametrize("stream", [True, False])
def test_a_dictionary_that_becomes_too_much_is_refused_before_it_is_read(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "MAX_BATCH", 5_000_000)
    table = pa.table({"image": pa.array([ORIGINALS[1] + bytes(10_000_000)] * 2).dictionary_encode()})
    account = read_arrow(packed([table], "zstd", stream=stream))
    assert account.images == []
    assert "more than 5000000" in str(account.damage if stream else account.rejects[0].detail)
    assert len(account.rejects) == (0 if stream else 2)


def test_large_batches_of_what_was_compressed_before_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "MAX_BATCH", 1000)
    account = read_arrow(packed([pa.table({"image": ORIGINALS})], "zstd", stream=True))
    assert ([image.data for image in account.images], account.damage) == (ORIGINALS, None)


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_a_message_of_any_bytes_says_something_or_nothing(data: bytes) -> None:
    message_at(lambda start, end: data[start:end], 0)
    blocks_of(data)


def test_a_table_without_images_is_left_out_by_name(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    table = pa.table({"indices": pa.array(range(5), pa.uint64())})
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "cache-1.arrow").write_bytes(buffer.getvalue())
    (tmp_path / "data.arrow").write_bytes(WAYS["stream"])
    (tmp_path / "state.json").write_text("{}")
    matched = match_inputs([str(tmp_path)], Storage())
    assert [shard.uri.rpartition("/")[2] for shard in matched.shards] == ["data.arrow"]
    assert [(each.kind, each.count, each.missing) for each in matched.left_out] == [
        (".json file", 1, False),
        ("Arrow file without images", 1, False),
    ]


def test_a_connection_that_breaks_once_costs_nothing(object_store: ObjectStore) -> None:
    uri = object_store.put("a.arrow", WAYS["stream"])
    with breaking_proxy(object_store.port, after=10_000, times=1) as (port, breaks):
        account = read_all(uri, storage=object_store.through(port).storage)
    assert breaks.done == 1
    assert ([image.data for image in account.images], account.damage) == (ORIGINALS, None)
