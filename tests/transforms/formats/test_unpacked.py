"""What a shard becomes is bounded by its bytes: what more comes out of it is not read, and is damage; sound shards are whole."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from causalprint.transforms.formats import tar
from causalprint.transforms.formats.samples import ORPHAN
from tests.shards import MAKERS, Sample, compress, make_samples, tar_of, write_shard, zip_of
from tests.transforms.formats.reading import FAST, read_all
from tests.transforms.formats.test_tar_links import linked_tar

SAMPLES = make_samples(6)
JPEG = SAMPLES[0].data
BLANK = [Sample(f"{number}", "jpg", JPEG + bytes(1_000_000 + number)) for number in range(24)]
STRICT = replace(FAST, max_unpacked_bytes=0)
"""A hundred times its bytes, and no more."""
LITTLE = replace(FAST, max_unpacked_bytes=1_000_000, max_unpacked_times=0)
PACKED = sorted({"zip", "tfrecord.gz", *(kind for kind in MAKERS if kind.startswith("tar."))})


@pytest.mark.parametrize("kind", [*MAKERS, "folder"])
def test_a_sound_shard_is_read_to_its_end(kind: str, tmp_path: Path) -> None:
    account = read_all(write_shard(kind, SAMPLES, tmp_path / f"a.{kind}"), STRICT)
    assert [image.data for image in account.images] == [sample.data for sample in SAMPLES]
    assert all(image.metadata for image in account.images)
    assert (account.rejects, account.damage) == ([], None)


@pytest.mark.parametrize("kind", PACKED)
def test_what_becomes_too_much_is_read_up_to_there_and_the_account_says_so(kind: str, tmp_path: Path) -> None:
    path = write_shard(kind, BLANK, tmp_path / f"a.{kind}")
    account = read_all(path, replace(FAST, max_unpacked_bytes=5_000_000, max_unpacked_times=0))
    assert 0 < len(account.images) < 24
    assert [image.data for image in account.images] == [sample.data for sample in BLANK[: len(account.images)]]
    assert "more than 5000000 bytes" in (account.damage or "")
    assert str(path.stat().st_size) in (account.damage or "")
    assert read_all(path, replace(FAST, max_unpacked_bytes=26_000_000, max_unpacked_times=0)).damage is None


def write_table(path: Path, values: list[bytes], encoding: str) -> Path:
    table = pa.table({"image": values})
    if encoding == "arrow":
        with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as file:
            file.write_table(table)
        return path
    options: dict[str, Any] = {"use_dictionary": False, "column_encoding": {"image": encoding}}
    pq.write_table(table, path, compression="zstd", **({} if encoding == "dictionary" else options))
    return path


@pytest.mark.parametrize("encoding", ["dictionary", "PLAIN", "DELTA_BYTE_ARRAY", "arrow"])
def test_a_table_is_bounded_however_it_repeats_its_values(encoding: str, tmp_path: Path) -> None:
    path = write_table(tmp_path / f"a.{'arrow' if encoding == 'arrow' else 'parquet'}", [JPEG + bytes(400_000)] * 9, encoding)
    account = read_all(path, LITTLE)
    assert [image.offset for image in account.images] == [0, 1]
    assert account.images[0].data is account.images[1].data  # held once
    assert "more than 1000000 bytes come out of" in (account.damage or "")
    assert len(read_all(path).images) == 9


def test_sidecars_of_no_image_count_too(tmp_path: Path) -> None:
    members = [("a.jpg", JPEG), *((f"{number}.txt", bytes(100_000)) for number in range(50)), ("z.jpg", JPEG)]
    path = tmp_path / "a.zip"
    path.write_bytes(zip_of(members, zipfile.ZIP_DEFLATED))
    account = read_all(path, LITTLE)
    assert [image.member for image in account.images] == ["a.jpg"]
    assert "more than 1000000 bytes" in (account.damage or "")


def test_columns_of_metadata_that_become_too_much_cost_no_image(tmp_path: Path) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 40, pa.int32()), pa.array(["x" * 70_000]))
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [JPEG] * 40, "text": texts}), path, compression="zstd", store_schema=False)
    account = read_all(path, replace(FAST, max_unpacked_bytes=1_000_000))
    assert [image.data for image in account.images] == [JPEG] * 40
    assert account.images[39].metadata is None
    assert "columns of metadata become too many bytes" in (account.damage or "")


def test_a_long_text_is_no_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [JPEG] * 2, "text": ["x" * 65_536, "x" * 65_537], "n": [1, 2]}), path)
    first, second = read_all(path).images
    assert (len(first.metadata or "") > 65_536, second.metadata) == (True, '{"n":2}')


@pytest.mark.parametrize("compression", ["", "gz"])
def test_links_give_no_more_again_than_the_shard_has(compression: str, tmp_path: Path) -> None:
    members: list[tuple[str, bytes | str]] = [("a.jpg", JPEG), *((f"link{number}.jpg", "hard:a.jpg") for number in range(40))]
    path = tmp_path / f"a.tar{'.' if compression else ''}{compression}"
    path.write_bytes(compress(linked_tar(members), compression))
    account = read_all(path, replace(FAST, max_unpacked_bytes=20 * len(JPEG)))
    assert len(account.images) == min(41, 1 + 20 + path.stat().st_size // len(JPEG))
    assert len(account.images) + len(account.rejects) == 41
    assert all("too many links" in reject.detail for reject in account.rejects)
    assert bool(account.rejects) == (compression == "gz")
    assert len(read_all(path).images) == 41


@pytest.mark.parametrize("compression", ["bz2", "xz"])
def test_a_few_bytes_become_no_gigabytes_at_once(compression: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.tar.{compression}"
    path.write_bytes(compress(tar_of([("a.bin", bytes(60_000_000)), ("a.jpg", JPEG)]), compression))
    tracemalloc.start()
    account = read_all(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [image.data for image in account.images] == [JPEG]
    assert peak < 20_000_000


def test_a_tar_of_too_many_members_to_list_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = Mock(wraps=tar._listed)
    monkeypatch.setattr(tar, "MAX_LISTED_BYTES", 10_000)
    monkeypatch.setattr(tar, "_listed", listed)
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of([("a.jpg", JPEG), *((f"a.{number}.txt", b"x") for number in range(1000))]))
    account = read_all(path, replace(FAST, max_sample_bytes=20_000))
    assert listed.call_count == 1
    assert {each.kind for each in account.skipped} == {ORPHAN}
    assert len(account.skipped) + len(json.loads(account.images[0].metadata or "")) == 1000
