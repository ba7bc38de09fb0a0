"""Web servers, most of which know little: the same shards and rows from each, or one sentence that says what to do."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from causalprint.schemas.accounts import receipt_of
from causalprint.schemas.config import ReadOptions, Slicing, Storage
from causalprint.schemas.elements import ImageSlice
from causalprint.schemas.records import to_json
from causalprint.transforms.formats.members import read_member
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import match_shards
from causalprint.transforms.storage.lookup import InputError
from tests.servers import Web, free_port, web
from tests.shards import MAKERS, make_samples

SAMPLES = make_samples(5, width=96, height=80)
FAST = ReadOptions(block_bytes=8_000, attempts=3, backoff=0.001)
FILES = {f"/data/0000{number}.{kind}": MAKERS[kind](SAMPLES) for number, kind in enumerate(sorted(MAKERS))} | {
    f"/data/photos/{sample.member}": sample.data for sample in SAMPLES
}
TAR = next(name for name in FILES if name.endswith(".tar"))
FACTS = ("ranges", "lengths", "tags", "head")


def slices_of(url: str, storage: Storage = Storage(), options: ReadOptions = FAST) -> dict[str, list[ImageSlice]]:  # noqa: B008
    shards = list(match_shards([url], storage, options=options))
    return {shard.uri.rpartition("/data/")[2]: list(read_slices(shard, "b", Slicing(), storage, options)) for shard in shards}


@pytest.mark.parametrize("facts", list(product([True, False], repeat=4)))
def test_whatever_a_server_knows_every_shard_is_read_or_said_to_be_downloaded(facts: tuple[bool, ...]) -> None:
    told: dict[str, Any] = dict(zip(FACTS, facts, strict=True))
    with web(Web(FILES, **told)) as server:
        for glob in ("/data/0*", "/data/" if told["tags"] else "/data"):
            if not told["lengths"] and not told["ranges"]:
                with pytest.raises(
                    InputError, match=r"tells no size of .*/data/.* supports no range requests; download it first"
                ):
                    slices_of(server.url + glob)
                continue
            found = slices_of(server.url + glob)
            wanted = {name.removeprefix("/data/") for name in FILES if "photos" not in name}
            assert set(found) == wanted | ({"photos/"} if glob != "/data/0*" else set())
            for slices in found.values():
                assert [image.data for each in slices for image in each.images] == [sample.data for sample in SAMPLES]
                assert (slices[-1].damage, slices[-1].retryable) == (None, False)


def test_without_ranges_a_large_shard_is_asked_for_twice_at_most() -> None:
    data = MAKERS["tar"](make_samples(200, width=96, height=80))
    with web(Web({"/0.tar": data}, ranges=False)) as server:
        (shard,) = match_shards([f"{server.url}/0.tar"], Storage(), options=FAST)
        server.asked.clear()
        (whole,) = read_slices(shard, "b", Slicing(), Storage(), FAST)
    assert (len(whole.images), whole.damage) == (200, None)
    assert server.asked.count("GET /0.tar") <= 2 + FAST.read_ahead


def test_a_changed_file_is_noticed_by_whatever_the_server_tells_of_its_version() -> None:
    for tags in (True, False):
        with web(Web(dict(FILES), tags=tags)) as server:
            (shard,) = match_shards([f"{server.url}{TAR}"], Storage(), options=FAST)
            server.files[TAR] = MAKERS["tar"](SAMPLES[:3])
            (changed,) = read_slices(shard, "b", Slicing(), Storage(), FAST)
        assert (changed.seen, changed.retryable) == (0, True)
        assert "changed: generation" in (changed.damage or "")


@pytest.mark.parametrize("path", ["/data/00000.tar", "/data/0*.tar", "/data/{00000..00001}.tar", "/data/"])
def test_a_server_that_is_not_there_is_an_error_of_the_store(path: str) -> None:
    with pytest.raises(InputError, match=r"cannot reach 'http://127.0.0.1.*check the host of the URL, the network"):
        list(match_shards([f"http://127.0.0.1:{free_port()}{path}"], Storage(), options=FAST))


@pytest.mark.parametrize("path", [TAR, "/data/0*.tar", "/data/"])
def test_a_server_that_fails_is_asked_so_often_and_no_more(path: str) -> None:
    with web(Web(FILES, fails=10**6)) as server:
        with pytest.raises(InputError, match=r"cannot look up .*answers 503 .*; check URL, .*run the same command again later"):
            list(match_shards([server.url + path], Storage(), options=FAST))
        assert len(server.asked) == FAST.attempts


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_a_failure_that_passes_costs_nothing(status: int) -> None:
    with web(Web(FILES, fails=2, status=status)) as server:
        found = slices_of(f"{server.url}{TAR}")
    assert [len(slices[0].images) for slices in found.values()] == [len(SAMPLES)]


def test_what_the_server_refuses_is_asked_for_once_and_needs_credentials() -> None:
    with web(Web(FILES, secret="X-Amz-Signature=SECRET")) as server:
        with pytest.raises(InputError, match=r"the server refuses .*403.*--storage-options\), or the URL a fresh signature"):
            list(match_shards([f"{server.url}{TAR}"], Storage(), options=FAST))
        assert server.asked == [f"HEAD {TAR}", f"GET {TAR}"]
        with pytest.raises(InputError, match=r"gives no listing of .*\(403\); name the shards, as in a range"):
            list(match_shards([f"{server.url}/data/0*.tar"], Storage(), options=FAST))


def test_a_gap_in_a_range_is_named() -> None:
    there = {f"/{number:05d}.tar": FILES[TAR] for number in (0, 2)}
    with web(Web(there)) as server, pytest.raises(InputError, match=r"/00001.tar is not there \(2 of 3 are\)"):
        list(match_shards([f"{server.url}/{{00000..00002}}.tar"], Storage(), options=FAST))


def test_a_trickle_ends() -> None:
    options = ReadOptions(attempts=2, backoff=0.001, answer_seconds=1.5, least_rate=10**9, read_ahead=0)
    with web(Web(FILES)) as server:
        (shard,) = match_shards([f"{server.url}{TAR}"], Storage(), options=FAST)
        server.rate = 100
        (ended,) = read_slices(shard, "b", Slicing(), Storage(), options)
    assert ended.retryable
    assert "no whole answer within 2 s (tried 2 times)" in (ended.damage or "")


def test_a_signed_url_is_one_shard_whatever_signs_it_and_its_secret_is_nowhere(tmp_path: Path) -> None:
    made = []
    for night in ("A", "B"):
        secret = f"versionId=3&X-Amz-Credential=S3CR3T%2F{night}&X-Amz-Signature=S3CR3T{night}"
        with web(Web({"/0.tar": FILES[TAR], "/0.jpg": SAMPLES[0].data}, secret=secret)) as server:
            server_url = f"{server.url}/0.tar?{secret}"
            for url in (server_url, f"{server.url}/0.jpg?{secret}"):
                (shard,) = match_shards([url], Storage(), options=FAST)
                (whole,) = read_slices(shard, "b", Slicing(), Storage(), FAST)
                assert (len(whole.images), whole.damage) == (len(SAMPLES) if "tar" in url else 1, None)
                assert shard.uri == url.replace(secret, "versionId=3")
                assert "S3CR3T" not in to_json(receipt_of(whole)) + repr(whole.shard)
                image = whole.images[0]
                assert read_member(url, image.member, image.offset, Storage(), FAST).data == image.data
            made.append((shard.uri.partition("/0")[2], shard.generation, image.member))
            other = server_url.replace(f"S3CR3T{night}", "S3CR3TC")
            with pytest.raises(InputError, match="the server refuses") as caught:
                list(match_shards([other], Storage(), options=FAST))
            assert "S3CR3T" not in str(caught.value)
    assert made[0] == made[1]


def test_files_that_only_a_secret_tells_apart_are_not_taken_for_one() -> None:
    with web(Web({"/get": FILES[TAR]})) as server:
        with pytest.raises(InputError, match="told apart by a secret"):
            list(match_shards([f"{server.url}/get?token=1", f"{server.url}/get?token=2"], Storage(), options=FAST))
        assert len(list(match_shards([f"{server.url}/get?id=1", f"{server.url}/get?id=2"], Storage(), options=FAST))) == 2


def test_headers_of_storage_options_are_sent_and_a_glob_takes_no_query() -> None:
    with web(Web(FILES)) as server:
        storage = Storage(json.dumps({"https": {"headers": {"Authorization": "Bearer S3CR3TS3CR3T"}}}))
        assert len(slices_of(f"{server.url}/data/0*.tar", storage)) == 1
        with pytest.raises(InputError, match="a glob takes no query; name the shards"):
            list(match_shards([f"{server.url}/data/*.tar?token=S3CR3T"], Storage()))
