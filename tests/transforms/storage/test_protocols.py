"""From a URL to its filesystem: what is missing is said with a remedy that can be followed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fsspec
import pytest

from causalprint.schemas.config import Storage
from causalprint.transforms.match_shards import match_shards
from causalprint.transforms.storage.lookup import InputError
from causalprint.transforms.storage.protocols import opened, options_for
from causalprint.transforms.storage.storage import StoredFile, filesystem, is_local, stored_file

PACKAGES = {
    "az://container/0.tar": "adlfs",
    "abfs://container/0.tar": "adlfs",
    "abfss://c@a.dfs.core.windows.net/0.tar": "adlfs",
    "oss://bucket/0.tar": "ossfs",
    "gs://bucket/0.tar": "gcsfs",
    "gcs://bucket/0.tar": "gcsfs",
    "s3://bucket/0.tar": "s3fs",
    "s3a://bucket/0.tar": "s3fs",
    "hf://datasets/u/r/0.tar": "huggingface_hub",
    "sftp://host/0.tar": "paramiko",
    "smb://host/0.tar": "smbprotocol",
}


@pytest.mark.parametrize("url", PACKAGES)
def test_a_missing_package_is_named_as_pip_knows_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsspec, "filesystem", _missing)
    with pytest.raises(ImportError) as caught:
        opened(url, Storage())
    assert str(caught.value) == f"reading {url!r} needs the package {PACKAGES[url]}: pip install {PACKAGES[url]}"


def test_every_other_protocol_of_fsspec_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsspec, "filesystem", _missing)
    for protocol in set(fsspec.available_protocols()) - {"http", "https"}:
        with pytest.raises(
            ImportError, match=rf"^reading '{protocol}://x/0.tar'( needs (the package|a package)|: hdfs:// needs libhdfs)"
        ):
            opened(f"{protocol}://x/0.tar", Storage())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            "pipe:curl -s -L https://example.org/0.tar",
            "commands (pipe:) are not run; give the URL itself: https://example.org/0.tar",
        ),
        ("pipe:curl -s 'https://h/0.tar?token=S3CR3T' || true", "give the URL itself: https://h/0.tar"),
        ("pipe:cat /data/0.tar", "give the URL or the path of what it prints"),
        (
            "zip://i/::file:///tmp/x.zip",
            "chained URLs (::) are not read; give the archive itself, file:///tmp/x.zip, or",
        ),
        ("tar://a.jpg::s3://bucket/x.tar", "give the archive itself, s3://bucket/x.tar"),
        ("filecache::https://h/0.tar?sig=S3CR3T", "give the archive itself, https://h/0.tar"),
        ("gopher://host/0.tar", "no filesystem for gopher://"),
        ("s3://S3CR3T:S3CR3T@bucket/0.tar", "'s3://bucket/0.tar': credentials stand in --storage-options @FILE"),
        ("gs://S3CR3T@bucket/0.tar", "'gs://bucket/0.tar': credentials stand in --storage-options @FILE"),
    ],
)
def test_what_is_no_url_of_a_store_says_what_to_give(given: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"input|filesystem|credentials") as caught:
        opened(given, Storage())
    assert says in str(caught.value)
    assert "S3CR3T" not in str(caught.value)


@pytest.mark.parametrize("name", ["a::b.jpg", "x:y.jpg", "zip::a.jpg", "http:/a.jpg"])
def test_a_local_name_may_hold_colons(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (path := tmp_path / "c::d" / name).parent.mkdir(parents=True)
    path.write_bytes(b"")
    for given in (f"c::d/{name}", str(path), f"file://{path}", f"local://{path}"):
        fs, found = filesystem(given, Storage())
        assert (found, fs.exists(found), is_local(given)) == (str(path), True, True)
    assert not is_local("s3://bucket/a::b.jpg")
    assert filesystem("memory://a::b.jpg", Storage())[1].endswith("a::b.jpg")


def test_hdfs_without_its_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (OSError("Unable to load libhdfs: ./libhdfs.so: cannot open shared object file\n" * 40), ImportError("pyarrow")):
        monkeypatch.setattr(fsspec, "filesystem", lambda *_, error=error, **__: _raise(error))
        with pytest.raises(ImportError) as caught:
            opened("hdfs://nn/0.tar", Storage())
        assert "needs libhdfs and a Java virtual machine" in str(caught.value)
        assert "webhdfs://" in str(caught.value)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("options", "protocol", "expected"),
    [
        ({"anon": True}, "s3", {"anon": True}),
        ({"anon": True}, "file", {}),
        ({"s3": {"anon": True}}, "s3a", {"anon": True}),
        ({"s3": {"anon": True}}, "https", {}),
        ({"https": {"headers": {"a": "b"}}}, "http", {"headers": {"a": "b"}}),
        ({"abfs": {"account_name": "x"}}, "az", {"account_name": "x"}),
        ({"gs": {"token": "anon"}, "s3": {"key": "k"}}, "gcs", {"token": "anon"}),
        ({"client_kwargs": {"region_name": "x"}}, "s3", {"client_kwargs": {"region_name": "x"}}),
        ({"key": "k", "s3": {"secret": "s"}}, "s3", {"key": "k", "secret": "s"}),
        ({"file": {"auto_mkdir": True}}, "file", {"auto_mkdir": True}),
    ],
)
def test_options_go_to_the_store_that_they_are_for(options: dict[str, Any], protocol: str, expected: dict[str, Any]) -> None:
    assert options_for(options, protocol) == expected


@pytest.mark.parametrize("url", ["s3://bucket/0.tar", "http://127.0.0.1:9/0.tar"])
def test_an_option_that_a_store_does_not_take_is_named_and_its_value_not(url: str) -> None:
    storage = Storage(json.dumps({url.partition(":")[0]: {"secretkey": "S3CR3TS3CR3T"}}))
    with pytest.raises(InputError, match=r"takes other --storage-options: .*'secretkey'") as caught:
        list(match_shards([url], storage))
    assert "S3CR3T" not in str(caught.value)


@pytest.mark.parametrize(
    ("info", "generation"),
    [
        ({"ETag": '"abc"', "LastModified": "x"}, "abc"),
        ({"etag": "0x8D", "last_modified": "y"}, "0x8D"),
        ({"blob_id": "9f0c", "last_commit": None}, "9f0c"),
        ({"generation": "17", "etag": "z"}, "17"),
        ({"Last-Modified": "Mon"}, "5-Mon"),
        ({"last_modified": "Tue"}, "5-Tue"),
        ({"LastModified": "Wed", "ETag": None}, "5-Wed"),
        ({"mtime": 1.5}, "5-1.5"),
        ({}, "5-"),
    ],
)
def test_versions_are_told_by_whatever_a_store_has(info: dict[str, Any], generation: str) -> None:
    assert stored_file({"name": "a/0.tar", "size": 5, "type": "file", **info}) == StoredFile("a/0.tar", 5, generation)


def _missing(protocol: str, **_: object) -> None:
    raise ImportError(f"no module for {protocol}")


def _raise(error: Exception) -> None:
    raise error
