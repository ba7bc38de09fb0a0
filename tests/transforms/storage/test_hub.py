"""Data sets of Hugging Face's Hub, ``hf://``: from a Hub on loopback that answers as far as a reader asks it."""

from __future__ import annotations

import json

import pytest

from causalprint.schemas.config import ReadOptions, Slicing, Storage
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import match_shards
from tests.servers import Web, web
from tests.shards import MAKERS, make_samples

SAMPLES = make_samples(5, width=96, height=80)
ONCE = ReadOptions(attempts=1, block_bytes=8_000)
FILE = "/datasets/u/r/resolve/main/data/0.tar"


def hub(blob_id: str) -> dict[str, bytes]:
    data = MAKERS["tar"](SAMPLES)
    file = json.dumps([{"type": "file", "path": "data/0.tar", "size": len(data), "oid": blob_id}]).encode()
    folder = json.dumps([{"type": "directory", "path": "data", "size": 0, "oid": "b" * 40}]).encode()
    return {
        "/api/datasets/u/r": json.dumps({"id": "u/r", "sha": "a" * 40, "tags": [], "siblings": []}).encode(),
        "/api/datasets/u/r/tree/main": folder,
        "/api/datasets/u/r/tree/main/data": file,
        "/api/datasets/u/r/paths-info/main": file,
        FILE: data,
    }


@pytest.mark.parametrize("path", ["data/0.tar", "data/*.tar", "data", "data/{0..0}.tar"])
def test_a_data_set_of_the_hub_is_read_and_its_version_is_that_of_the_file(path: str) -> None:
    with web(Web(hub("9f0c" * 10))) as server:
        storage = Storage(json.dumps({"hf": {"endpoint": server.url, "token": False}}))
        (shard,) = match_shards([f"hf://datasets/u/r/{path}"], storage, options=ONCE)
        assert (shard.uri, shard.generation) == ("hf://datasets/u/r/data/0.tar", "9f0c" * 10)
        (whole,) = read_slices(shard, "b", Slicing(), storage, ONCE)
        assert [image.data for image in whole.images] == [sample.data for sample in SAMPLES]
        assert whole.damage is None
        server.files |= hub("0bad" * 10)
        (changed,) = read_slices(shard, "b", Slicing(), storage, ONCE)
        assert (changed.seen, changed.retryable) == (0, True)
