"""An audit whose output lies on a server that speaks S3 answers what a disk does, and a dataset moves there."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from causalprint.__main__ import main
from causalprint.models.bundles.bundle import Bundle
from causalprint.pipelines.open_audit import open_audit
from causalprint.schemas.config import Storage
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.verify import verify
from tests.audits import command, jpeg, photographs_tar
from tests.outputs import files_below, rows
from tests.pipelines.test_prevalence import with_held_out
from tests.servers import ObjectStore, s3_bucket

Capture = pytest.CaptureFixture[str]
CLOCKED = ("image_id", "shard", "member", "verdict", "source", "probability", "generated_probability")
"""Columns of a finding that no address changes, but for the shard's."""


class Audited(NamedTuple):
    """An audit of twelve photographs in a tar on disk.

    Attributes:
        store: in which its output lies, below ``OUT``.
        bundle: that it was made with.
        crawl: the folder of the tar.
    """

    store: ObjectStore
    bundle: Path
    crawl: Path

    @property
    def output(self) -> str:
        return f"{self.store.url}/OUT"

    @property
    def options(self) -> tuple[str, str]:
        return "--storage-options", self.store.storage.options


@pytest.fixture(scope="module")
def audited(bundle: Bundle, s3_server: int, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    root = tmp_path_factory.mktemp("s3")
    with_held_out(root / "bundle", bundle)
    photographs_tar(root / "crawl" / "0.tar", range(12))
    one = Audited(s3_bucket(s3_server), root / "bundle", root / "crawl")
    given = ("audit", str(one.crawl), "--output", one.output, "--bundle", str(one.bundle), "--slice-images", "6", *one.options)
    assert main([*given, "--json"]) == 0
    return one


def on_disk(store: ObjectStore, folder: Path) -> Path:
    """A copy of the output."""
    for name in store.names():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(name))
    return folder / "OUT"


def test_shares_and_samples_are_those_of_a_disk(audited: Audited, tmp_path: Path, capsys: Capture) -> None:
    disk = on_disk(audited.store, tmp_path)
    places = ((audited.output, audited.options), (disk, ()))
    shares = [command(capsys, "prevalence", place, "--by", "shard", *options) for place, options in places]
    assert [one.code for one in shares] == [0, 0]
    assert shares[0].found["rows"] == shares[1].found["rows"]
    assert shares[0].found["file"].startswith(f"{audited.output}/prevalence/")
    for number, (place, options) in enumerate(places):
        drawn = command(capsys, "sample", place, "--for-labels", 6, "--output", tmp_path / str(number), *options)
        assert (drawn.code, drawn.found["images"], drawn.found["lost"]) == (0, 6, [])
    assert files_below(tmp_path / "0") == files_below(tmp_path / "1")


def test_views_open_there(audited: Audited) -> None:
    fs, _path = filesystem(audited.output, audited.store.storage, patient=True)
    with duckdb.connect() as connection, open_audit(audited.output, storage_options=audited.store.storage.options) as tables:
        connection.register_filesystem(fs)
        connection.execute(audited.store.get("OUT/views.sql").decode())
        query = "FROM findings ORDER BY shard, member"
        found = connection.sql(query).fetchall()
        assert found == tables.sql(query).relation.fetchall()
    assert len(found) == 12


def test_what_is_forgotten_is_gone_as_from_a_disk(audited: Audited, s3_server: int, tmp_path: Path, capsys: Capture) -> None:
    store, disk = s3_bucket(s3_server), on_disk(audited.store, tmp_path)
    for name in audited.store.names():
        store.put(name, audited.store.get(name))
    ids = store.put("ids.txt", "\n".join(rows(disk, "images")["image_id"].to_pylist()[::3]).encode())
    there = command(capsys, "forget", f"{store.url}/OUT", "--image-id", f"@{ids}", "--storage-options", store.storage.options)
    here = command(capsys, "forget", disk, "--image-id", f"@{ids}", "--storage-options", store.storage.options)
    assert (there.code, there.found["bundles"]) == (0, here.found["bundles"])
    assert there.found["bundles"][0]["images"] == 4
    assert verify(f"{store.url}/OUT", store.storage, deep=True).findings == ()
    assert files_below(on_disk(store, tmp_path / "then")) == files_below(disk)


def findings(audited: Audited, storage: Storage) -> list[tuple[object, ...]]:
    with open_audit(audited.output, storage_options=storage.options) as tables:
        return tables.sql(f"SELECT {', '.join(CLOCKED)} FROM findings ORDER BY member").relation.fetchall()


def test_a_dataset_that_moves_there_keeps_its_rows_and_its_other_verdicts(
    audited: Audited, tmp_path: Path, capsys: Capture
) -> None:
    """Last, for the tar is removed from the disk."""
    store, options = audited.store, audited.options
    scoring = ("attribute", audited.output, "--bundle", audited.bundle, "--prior", "photograph=0.9", *options)
    assert command(capsys, *scoring).code == 0
    others = findings(audited, store.storage)
    uri = store.put("crawl/0.tar", (audited.crawl / "0.tar").read_bytes())
    (audited.crawl / "0.tar").unlink()
    again = ("audit", f"{store.url}/crawl", "--output", audited.output, "--bundle", audited.bundle, *options)
    night = command(capsys, *again, "--same-as", f"{audited.crawl}={store.url}/crawl")
    assert night.code == 0, night.log
    assert (night.found["slices"], night.found["computed"], night.found["moved"], night.found["kept"]["images"]) == (2, 0, 2, 12)
    assert (night.found["now"]["images"], night.found["new"]["shards"], night.found["vanished"]["shards"]) == (12, 0, 0)
    assert {row[1] for row in findings(audited, store.storage)} == {uri}
    second = command(capsys, *again)
    assert (second.found["computed"], second.found["kept"]["shards"]) == (0, 1)
    assert command(capsys, *scoring).code == 0
    assert findings(audited, store.storage) == [(one, uri, *rest) for one, _shard, *rest in others]
    assert verify(audited.output, store.storage, deep=True).findings == ()
    known = hashlib.sha256(jpeg(3)).hexdigest()
    traced = ("trace", audited.output, "--image-id", known, "--top", 3, "--output", tmp_path / "finds.parquet")
    assert command(capsys, *traced, "--extract", tmp_path / "finds", *options).code == 0
    assert len(list((tmp_path / "finds").iterdir())) >= 3
    gathered = command(capsys, "evidence", audited.output, "--image-id", known, "--output", tmp_path / "evidence", *options)
    assert (gathered.code, gathered.found["images"][0]["lost"]) == (0, None), gathered.found
