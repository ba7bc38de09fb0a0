"""What is written to real servers that speak the protocols of S3 and of Google Cloud Storage."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.dataset as ds
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from causalprint.schemas.config import Slicing, Storage
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.committed import bundle_ids, run_ids
from causalprint.transforms.tables.manifests import read_manifest
from causalprint.transforms.tables.output import folder_names, get, put
from causalprint.transforms.tables.settings import OutputSettingsError, agree
from tests.outputs import BUNDLE_ID, TABLES_OF_IMAGES, accounts_in, audit, files_below, output_at, receipts_in, shards
from tests.samples import sample_shard
from tests.servers import ObjectStore


def test_what_is_put_is_got(object_store: ObjectStore) -> None:
    root, storage = f"{object_store.url}/OUT", object_store.storage
    put(root, "a/b", b"0123456789", storage)
    assert get(root, "a/b", storage) == b"0123456789"
    assert get(root, "a/b", storage, tail=3) == b"789"
    assert get(root, "a/b", storage, tail=99) == b"0123456789"
    assert get(root, "a/c", storage) is None
    assert get(root, "a/c", storage, tail=3) is None
    put(root, "a/b", b"new", storage)
    assert get(root, "a/b", storage) == b"new"
    assert object_store.names() == ["OUT/a/b"]


def test_names_in_a_folder(object_store: ObjectStore) -> None:
    root, storage = f"{object_store.url}/OUT", object_store.storage
    for name in ("t/ab.parquet", "t/ac.parquet", "t/b.parquet", "t/a/deeper", "tt/other"):
        put(root, name, b"x", storage)
    assert folder_names(root, "t", storage) == ["a", "ab.parquet", "ac.parquet", "b.parquet"]
    assert folder_names(root, "nowhere", storage) == []


def test_an_audit_writes_the_same_bytes_as_to_a_disk_and_is_not_done_again(object_store: ObjectStore, tmp_path: Path) -> None:
    audit(list(shards(2)), output_at(tmp_path), count=2)
    root, storage = f"{object_store.url}/OUT", object_store.storage
    output = output_at(root, storage)
    assert len(audit(list(shards(2)), output, "r1", count=2)) == 4
    names = [name for name in object_store.names() if not {"runs", "packs", "views.sql"} & {*name.split("/")}]
    stored = {name.removeprefix("OUT/"): object_store.get(name) for name in names}
    assert stored == files_below(tmp_path)
    assert audit(list(shards(2)), output, "r2", count=2) == []
    assert len(list(receipts_in(output))) == 4
    assert [account.complete for account in accounts_in(output)] == [True, True]
    assert bundle_ids(root, storage) == [BUNDLE_ID]
    assert run_ids(root, storage) == ["r1", "r2"]
    manifest = read_manifest(root, "r2", storage)
    assert manifest is not None
    assert (manifest.totals.slices, manifest.totals.computed) == (4, 0)


def test_tables_open_where_they_are(object_store: ObjectStore) -> None:
    root = f"{object_store.url}/OUT"
    audit(list(shards(2)), output_at(root, object_store.storage), count=1)
    for table in TABLES_OF_IMAGES:
        fs, path = filesystem(f"{root}/{table}", object_store.storage)
        found = ds.dataset(path, filesystem=fs, partitioning="hive").to_table()
        assert found.column("bundle").unique().to_pylist() == [BUNDLE_ID]
        assert len(found.column("slice_id").unique()) == 2


def test_a_committed_slice_is_found_however_often_it_was_looked_for_before(object_store: ObjectStore) -> None:
    """Listings and absences must not be remembered: another worker, or another run, writes meanwhile."""
    output = output_at(f"{object_store.url}/OUT", object_store.storage)
    assert list(receipts_in(output)) == []
    computed: list[list[str]] = []
    other = threading.Thread(target=lambda: computed.append(audit([sample_shard()], output, count=1)))
    other.start()
    other.join()
    assert [receipt.slice_id for receipt in receipts_in(output)] == computed[0]
    assert audit([sample_shard()], output, "again", count=1) == []


def test_settings_are_written_once(object_store: ObjectStore) -> None:
    root, storage = f"{object_store.url}/OUT", object_store.storage
    first = agree(root, storage, Slicing(10), None)
    assert agree(root, storage, None, None) == first
    with pytest.raises(OutputSettingsError, match=f"{root} was begun with images a slice 10, this run asks for 20"):
        agree(root, storage, Slicing(20), None)


def test_exclusive_keeps_what_is_there(s3_store: ObjectStore) -> None:
    """On S3 alone: the GCS emulator takes no notice of the condition, which the service honours."""
    put(s3_store.url, "x", b"first", s3_store.storage, exclusive=True)
    with pytest.raises(FileExistsError):
        put(s3_store.url, "x", b"second", s3_store.storage, exclusive=True)
    assert s3_store.get("x") == b"first"


class UnconditionalFileSystem(MemoryFileSystem):
    """A store without conditional puts, as some that speak S3 are."""

    protocol = "unconditional"
    store: dict[str, Any] = {}  # noqa: RUF012 - as the parent keeps it
    pseudo_dirs = [""]  # noqa: RUF012 - as the parent keeps it

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        if mode == "create":
            raise OSError(errno.ENOSYS, "A header you provided implies functionality that is not implemented")
        super().pipe_file(path, value, mode=mode, **kwargs)


@pytest.fixture
def unconditional() -> Iterator[str]:
    fsspec.register_implementation("unconditional", UnconditionalFileSystem)
    yield "unconditional://store"
    UnconditionalFileSystem.store.clear()


def test_a_store_without_conditional_puts_is_asked_first(unconditional: str) -> None:
    put(unconditional, "x", b"first", Storage(), exclusive=True)
    with pytest.raises(FileExistsError):
        put(unconditional, "x", b"second", Storage(), exclusive=True)
    assert get(unconditional, "x", Storage()) == b"first"
