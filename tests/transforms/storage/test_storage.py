"""Reading from real object stores, through connections that break."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from causalprint.schemas.config import ReadOptions, Slicing, Storage
from causalprint.schemas.elements import ImageSlice, ShardDamageError
from causalprint.transforms.formats.members import open_shard, read_member
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import match_shards
from causalprint.transforms.storage.storage import ShardSource, filesystem
from tests.servers import ObjectStore, breaking_proxy, free_port
from tests.shards import MAKERS, make_samples

SAMPLES = make_samples(60, width=96, height=80)
SMALL_BLOCKS = ReadOptions(block_bytes=40_000, attempts=3, backoff=0.01)
SLICING = Slicing(images=20)


def read_slices_of(store: ObjectStore, uri: str, options: ReadOptions = SMALL_BLOCKS) -> list[ImageSlice]:
    (shard,) = match_shards([uri], store.storage, options=options)
    return list(read_slices(shard, "bundle", SLICING, store.storage, options))


def images_of(slices: list[ImageSlice]) -> list[bytes]:
    return [image.data for each in slices for image in each.images]


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_every_format_is_read_from_an_object_store(kind: str, object_store: ObjectStore) -> None:
    uri = object_store.put(f"data/00000.{kind}", MAKERS[kind](SAMPLES))
    slices = read_slices_of(object_store, uri)
    assert images_of(slices) == [sample.data for sample in SAMPLES]
    assert [(each.last, each.damage) for each in slices] == [(False, None), (False, None), (True, None)]
    image = slices[1].images[7]
    again = read_member(uri, image.member, image.offset, object_store.storage)
    assert again.image_id == image.image_id


def test_a_folder_of_an_object_store_is_read(object_store: ObjectStore) -> None:
    for sample in SAMPLES[:12]:
        object_store.put(f"photos/{sample.member}", sample.data)
        object_store.put(f"photos/{sample.key}.json", json.dumps(sample.metadata).encode())
    slices = read_slices_of(object_store, f"{object_store.url}/photos")
    assert images_of(slices) == [sample.data for sample in SAMPLES[:12]]
    assert slices[0].shard.uri == f"{object_store.url}/photos/"
    assert json.loads(slices[0].images[3].metadata or "") == SAMPLES[3].metadata


def test_an_image_file_of_an_object_store_is_read_and_fetched_again(object_store: ObjectStore) -> None:
    for sample in SAMPLES[:12]:
        object_store.put(f"photos/{sample.member}", sample.data)
    object_store.put(f"photos/{SAMPLES[3].member}.json", json.dumps(SAMPLES[3].metadata).encode())
    uri = f"{object_store.url}/photos/{SAMPLES[3].member}"
    (whole,) = read_slices_of(object_store, uri)
    (image,) = whole.images
    assert (whole.shard.uri, image.member, image.data, whole.damage) == (uri, SAMPLES[3].member, SAMPLES[3].data, None)
    assert json.loads(image.metadata or "") == SAMPLES[3].metadata
    assert read_member(whole.shard.uri, image.member, image.offset, object_store.storage) == image._replace(metadata=None)
    globbed = list(match_shards([f"{object_store.url}/photos/00000*.jpg"], object_store.storage))
    assert len(globbed) == 10
    assert whole.shard in globbed
    (shard,) = match_shards([uri], object_store.storage)
    object_store.put(f"photos/{SAMPLES[3].member}.json", b"{}")
    (changed,) = read_slices(shard, "bundle", SLICING, object_store.storage, SMALL_BLOCKS)
    assert (changed.seen, changed.retryable) == (0, True)


@pytest.mark.parametrize("kind", ["tar", "tar.zst", "parquet", "tfrecord"])
def test_a_connection_that_breaks_once_costs_nothing(kind: str, object_store: ObjectStore) -> None:
    uri = object_store.put(f"00000.{kind}", MAKERS[kind](SAMPLES))
    with breaking_proxy(object_store.port, after=30_000, times=1) as (port, breaks):
        slices = read_slices_of(object_store.through(port), uri)
    assert breaks.done == 1
    assert images_of(slices) == [sample.data for sample in SAMPLES]
    assert (slices[-1].last, slices[-1].damage, slices[-1].retryable) == (True, None, False)


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_a_connection_that_keeps_breaking_gives_a_retryable_account(kind: str, object_store: ObjectStore) -> None:
    uri = object_store.put(f"00000.{kind}", MAKERS[kind](SAMPLES))
    with breaking_proxy(object_store.port, after=30_000, times=10**6) as (port, breaks):
        slices = read_slices_of(object_store.through(port), uri, replace(SMALL_BLOCKS, attempts=2))
    assert breaks.done >= 2
    assert [each.last for each in slices] == [False] * (len(slices) - 1) + [True]
    assert slices[-1].retryable
    assert slices[-1].seen == 0
    assert "could not be read" in (slices[-1].damage or "")
    assert "tried 2 times" in (slices[-1].damage or "")
    assert images_of(slices) == [sample.data for sample in SAMPLES[: 20 * (len(slices) - 1)]]


def test_a_store_that_breaks_late_keeps_the_slices_that_were_whole(s3_store: ObjectStore) -> None:
    """Slices are of 20 images, and the connection fails for good somewhere in the third."""
    uri = s3_store.put("00000.tar", MAKERS["tar"](SAMPLES))
    shard = open_shard(uri, s3_store.storage)
    with breaking_proxy(s3_store.port, after=10**9, times=10**6) as (port, breaks):
        slices = []
        for each in read_slices(
            shard, "bundle", SLICING, s3_store.through(port).storage, replace(SMALL_BLOCKS, attempts=2, read_ahead=0)
        ):
            slices.append(each)
            if len(slices) == 2:
                breaks.after = 3000  # look-ups pass
    assert [each.seen for each in slices] == [20, 20, 0]
    assert slices[-1].retryable
    whole = list(read_slices(shard, "bundle", SLICING, s3_store.storage, SMALL_BLOCKS))
    assert slices[:2] == whole[:2]


def test_a_shard_that_changes_while_it_is_read_is_retryable_and_mixes_nothing(object_store: ObjectStore) -> None:
    uri = object_store.put("00000.tar", MAKERS["tar"](SAMPLES))
    (shard,) = match_shards([uri], object_store.storage)
    slices = []
    for each in read_slices(shard, "bundle", SLICING, object_store.storage, SMALL_BLOCKS):
        slices.append(each)
        object_store.put("00000.tar", MAKERS["tar"](make_samples(60, seed=1)))
    assert len(slices) == 2
    assert images_of(slices[:1]) == [sample.data for sample in SAMPLES[:20]]
    assert (slices[1].seen, slices[1].last, slices[1].retryable) == (0, True, True)
    assert "changed" in (slices[1].damage or "")


def test_a_local_shard_that_changed_since_it_was_matched_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "00000.tar"
    path.write_bytes(MAKERS["tar"](SAMPLES))
    (shard,) = match_shards([str(path)], Storage())
    path.write_bytes(MAKERS["tar"](SAMPLES[:5]))
    (only,) = read_slices(shard, "bundle", SLICING, Storage())
    assert (only.seen, only.last, only.retryable) == (0, True, True)
    path.unlink()
    (only,) = read_slices(shard, "bundle", SLICING, Storage())
    assert "FileNotFoundError" in (only.damage or "")
    assert only.retryable


def test_generations_of_a_listing_and_of_a_look_up_agree(object_store: ObjectStore) -> None:
    for number in range(12):
        object_store.put(f"{number:05d}.tar", MAKERS["tar"](SAMPLES[:1]))
    one = {shard.uri: shard for shard in match_shards([f"{object_store.url}/00003.tar"], object_store.storage)}
    for pattern in (f"{object_store.url}/*.tar", object_store.url, f"{object_store.url}/{{00000..00011}}.tar"):
        shards = {shard.uri: shard for shard in match_shards([pattern], object_store.storage)}
        assert len(shards) == 12
        assert shards[f"{object_store.url}/00003.tar"] == one[f"{object_store.url}/00003.tar"]


def test_nothing_is_cached_where_existence_decides(object_store: ObjectStore) -> None:
    assert not list_names(object_store)
    object_store.put("a.tar", b"x")
    assert list_names(object_store) == ["a.tar"]


def list_names(store: ObjectStore) -> list[str]:
    fs, path = filesystem(store.url, store.storage)
    return [name.rpartition("/")[2] for name in fs.ls(path, detail=False)]


def test_a_store_that_is_not_there_is_one_clear_error() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    storage = Storage(json.dumps({"s3": {"endpoint_url": endpoint, "key": "k", "secret": "s"}}))
    with pytest.raises(ValueError, match=r"cannot reach 's3://bucket/a.tar'.*check the host of the URL.*--storage-options"):
        list(match_shards(["s3://bucket/a.tar"], storage, options=ReadOptions(attempts=1)))


def test_a_protocol_without_its_package_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(protocol: str, **_: object) -> None:
        raise ImportError(f"no module for {protocol}")

    monkeypatch.setattr(fsspec, "filesystem", refuse)
    with pytest.raises(ImportError, match="needs the package gcsfs: pip install gcsfs"):
        filesystem("gs://bucket/a.tar", Storage())


def test_an_unknown_protocol_names_those_that_work() -> None:
    with pytest.raises(ValueError, match=r"file://, s3:// or gs://"):
        filesystem("gopher://host/a.tar", Storage())


def test_a_short_answer_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(1000))
    shard = replace(open_shard(path.as_uri(), Storage()), size=5000)
    with pytest.raises(ShardDamageError, match="got 1000 of 5000 bytes") as caught:
        ShardSource(shard, Storage(), ReadOptions(attempts=1)).fetch(0, 5000)
    assert caught.value.retryable
