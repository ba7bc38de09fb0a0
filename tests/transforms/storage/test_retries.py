"""One layer of retries: counted at the server, for reading, looking up, listing and writing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from causalprint.schemas.config import ReadOptions, Storage
from causalprint.schemas.elements import Shard, ShardDamageError
from causalprint.transforms.match_shards import match_shards
from causalprint.transforms.storage.lookup import InputError
from causalprint.transforms.storage.retries import Budget, retried
from causalprint.transforms.storage.storage import ShardSource
from causalprint.transforms.tables.output import OutputError, folder_names, get, put
from tests.servers import Web, web

FAST = ReadOptions(attempts=3, backoff=0.001, read_ahead=0)
OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"key": "k", "secret": "s", "client_kwargs": {"region_name": "us-east-1"}},
    "gs": {"token": "anon"},
    "https": {},
}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("causalprint.transforms.tables.output.DEFAULT_READING", FAST)


def store(protocol: str, server: Web) -> tuple[str, Storage]:
    if protocol == "https":
        return f"{server.url}/b", Storage()
    return f"{protocol}://b", Storage(json.dumps({protocol: {**OPTIONS[protocol], "endpoint_url": server.url}}))


def _read(root: str, storage: Storage) -> None:
    ShardSource(Shard(f"{root}/0.tar", 100, "1", "tar"), storage, FAST).fetch(0, 100)


def _look_up(root: str, storage: Storage) -> None:
    list(match_shards([f"{root}/0.tar"], storage, options=FAST))


def _glob(root: str, storage: Storage) -> None:
    list(match_shards([f"{root}/*.tar"], storage, options=FAST))


def _walk(root: str, storage: Storage) -> None:
    list(match_shards([root], storage, options=FAST))


def _put(root: str, storage: Storage) -> None:
    put(root, "a/b.parquet", b"data", storage)


def _create(root: str, storage: Storage) -> None:
    put(root, "a/b.parquet", b"data", storage, exclusive=True)


def _get(root: str, storage: Storage) -> None:
    get(root, "a/b.parquet", storage)


def _names(root: str, storage: Storage) -> None:
    folder_names(root, "a", storage)


WAYS: dict[str, Callable[[str, Storage], None]] = {
    "read": _read,
    "look up": _look_up,
    "glob": _glob,
    "walk": _walk,
    "put": _put,
    "create": _create,
    "get": _get,
    "names": _names,
}


CASES = [(protocol, way) for protocol in OPTIONS for way in WAYS if (protocol, way) != ("https", "create")]  # no output


@pytest.mark.parametrize("status", [503, 429])
@pytest.mark.parametrize(("protocol", "way"), CASES)
def test_a_store_that_fails_is_asked_so_often_and_no_more(protocol: str, way: str, status: int) -> None:
    with web(Web({}, fails=10**6, status=status)) as server:
        root, storage = store(protocol, server)
        with pytest.raises((InputError, ShardDamageError, OutputError)) as caught:
            WAYS[way](root, storage)
        at_once = 2 if (protocol, way) == ("gs", "look up") else 1  # gcsfs asks for an object and for a folder
        assert FAST.attempts <= len(server.asked) <= FAST.attempts * at_once, server.asked
    assert root in str(caught.value)
    assert "run the same command again" in str(caught.value)


@pytest.mark.parametrize(("protocol", "way"), CASES)
def test_what_a_store_refuses_is_not_asked_for_again(protocol: str, way: str) -> None:
    with web(Web({}, fails=10**6, status=403)) as server:
        root, storage = store(protocol, server)
        with pytest.raises((InputError, ShardDamageError, OutputError)):
            WAYS[way](root, storage)
        assert len(server.asked) <= 3, server.asked  # gcsfs looks for a folder too


def test_a_budget_ends_the_retries_of_a_run_and_successes_fill_it() -> None:
    budget = Budget(most=20, retry=5)
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise ConnectionResetError("gone")

    for _ in range(10):
        with pytest.raises(ShardDamageError, match="could not be read: ConnectionResetError: gone"):
            retried(fail, "s3://b/0.tar could not be read", FAST, budget)
    assert len(calls) == 10 + 20 // 5
    for _ in range(5):
        retried(lambda: None, "", FAST, budget)
    with pytest.raises(ShardDamageError, match="tried 2 times"):
        retried(fail, "s3://b/0.tar could not be read", FAST, budget)


@pytest.mark.parametrize("error", [FileNotFoundError("a"), PermissionError("a"), OSError(28, "No space left on device")])
def test_an_answer_that_stays_the_same_is_taken_at_once(error: OSError) -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise error

    with pytest.raises(ShardDamageError, match=r"\(tried once\)"):
        retried(fail, "it", FAST)
    assert len(calls) == 1
