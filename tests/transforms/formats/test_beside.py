"""Tars with a table beside them, as img2dataset writes both: what the table says of samples that have no sidecar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from causalprint.schemas.config import Storage
from causalprint.transforms.match_shards import match_shards
from tests.shards import compress, make_samples, tar_of
from tests.transforms.formats.reading import read_all

SAMPLES = make_samples(4, metadata=False)
KEYS = [sample.key for sample in SAMPLES]
TABLE: dict[str, Any] = {"key": KEYS[:3], "caption": ["a", "b", None], "embedding": [bytes(600)] * 3}


def metadata(path: Path) -> list[str | None]:
    account = read_all(path)
    assert account.damage is None
    assert [image.data for image in account.images] == [sample.data for sample in SAMPLES]
    return [image.metadata for image in account.images]


def write(folder: Path, suffix: str = ".tar", table: dict[str, Any] | None = None) -> Path:
    path = folder / f"00000{suffix}"
    members = [(f"images/{sample.member}", sample.data) for sample in SAMPLES]
    members.insert(1, (f"images/{KEYS[0]}.json", b'{"caption":"its own"}'))
    path.write_bytes(compress(tar_of(members), suffix.rpartition(".")[2].replace("tar", "")))
    if table is not None:
        pq.write_table(pa.table(table), folder / "00000.parquet")
    return path


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.zst"])
def test_a_sample_without_a_sidecar_has_the_row_of_its_key(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path, suffix, TABLE)
    told = [json.loads(each) if each else None for each in metadata(path)]
    assert told == [{"caption": "its own"}, {"key": KEYS[1], "caption": "b"}, {"key": KEYS[2], "caption": None}, None]
    assert [shard.uri for shard in match_shards([str(tmp_path)], Storage())] == [path.as_uri()]


@pytest.mark.parametrize(
    "table",
    [None, {"caption": ["a"]}, {"key": [1, 2]}, {"key": KEYS, "image": [sample.data for sample in SAMPLES]}, {"key": ["other"]}],
)
def test_a_table_of_something_else_says_nothing(table: dict[str, Any] | None, tmp_path: Path) -> None:
    assert metadata(write(tmp_path, table=table))[1:] == [None] * 3


def test_a_damaged_table_and_a_link_say_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, table=TABLE)
    beside = tmp_path / "00000.parquet"
    beside.rename(tmp_path / "elsewhere.parquet")
    beside.symlink_to(tmp_path / "elsewhere.parquet")
    assert metadata(path)[1:] == [None] * 3
    beside.unlink()
    beside.write_bytes(b"PAR1 and no more PAR1")
    assert metadata(path)[1:] == [None] * 3
