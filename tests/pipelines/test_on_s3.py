"""An output on a server that speaks S3 answers what it does on a disk; and a dataset moves from a disk to such a server."""

from __future__ import annotations

import hashlib
import shutil
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
from causalprint.transforms.tables.write_views import write_views
from tests.audits import command, jpeg, photographs_tar
from tests.bundles import with_held_out
from tests.outputs import files_below, rows
from tests.servers import ObjectStore, s3_bucket

Capture = pytest.CaptureFixture[str]


class Audited(NamedTuple):
    """An audit of twelve photographs in a tar.

    Attributes:
        output: on a disk.
        bundle: that it was made with.
        crawl: the folder of the tar.
    """

    output: Path
    bundle: Path
    crawl: Path


@pytest.fixture(scope="module")
def audited(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    root = tmp_path_factory.mktemp("s3")
    with_held_out(root / "bundle", bundle)
    photographs_tar(root / "crawl" / "0.tar", range(12))
    one = Audited(root / "OUT", root / "bundle", root / "crawl")
    assert main([*map(str, ("audit", one.crawl, "-o", one.output, "--bundle", one.bundle, "--slice-images", 6)), "--json"]) == 0
    return one


@pytest.fixture(scope="module")
def store(audited: Audited, s3_server: int) -> ObjectStore:
    """The same output below ``OUT`` of a bucket."""
    bucket = s3_bucket(s3_server)
    for path in audited.output.rglob("*"):
        if path.is_file():
            bucket.put(f"OUT/{path.relative_to(audited.output).as_posix()}", path.read_bytes())
    write_views(f"{bucket.url}/OUT", bucket.storage, filled=True)
    return bucket


def test_shares_and_samples_are_those_of_a_disk(audited: Audited, store: ObjectStore, tmp_path: Path, capsys: Capture) -> None:
    there = (f"{store.url}/OUT", "--storage-options", store.storage.options)
    shares = [command(capsys, "prevalence", *place, "--output", tmp_path) for place in (there, (audited.output,))]
    assert [one.code for one in shares] == [0, 0]
    assert shares[0].found["rows"] == shares[1].found["rows"]
    for name, place in (("a", there), ("b", (audited.output,))):
        drawn = command(capsys, "sample", *place, "--for-labels", 6, "--output", tmp_path / name)
        assert (drawn.code, drawn.found["images"], drawn.found["lost"]) == (0, 6, [])
    assert files_below(tmp_path / "a") == files_below(tmp_path / "b")


def test_views_open_there(audited: Audited, store: ObjectStore) -> None:
    fs, _path = filesystem(store.url, store.storage, patient=True)
    query = "FROM findings ORDER BY shard, member"
    with duckdb.connect() as connection, open_audit(str(audited.output)) as tables:
        connection.register_filesystem(fs)
        connection.execute(store.get("OUT/views.sql").decode())
        found = connection.sql(query).fetchall()
        assert found == tables.sql(query).relation.fetchall()
    assert len(found) == 12


def test_what_is_forgotten_is_gone_as_from_a_disk(audited: Audited, store: ObjectStore, tmp_path: Path, capsys: Capture) -> None:
    """Last, of those that read the bucket."""
    disk = shutil.copytree(audited.output, tmp_path / "OUT")
    options = ("--storage-options", store.storage.options)
    ids = store.put("ids.txt", "\n".join(rows(disk, "images")["image_id"].to_pylist()[::3]).encode())
    answers = [command(capsys, "forget", place, "--image-id", f"@{ids}", *options) for place in (f"{store.url}/OUT", disk)]
    assert [one.code for one in answers] == [0, 0]
    assert answers[0].found["bundles"] == answers[1].found["bundles"]
    assert answers[0].found["bundles"][0]["images"] == 4
    assert verify(f"{store.url}/OUT", store.storage, deep=True).findings == ()
    assert all(store.get(f"OUT/{path}") == data for path, data in files_below(disk).items())


def findings(output: Path) -> list[tuple[object, ...]]:
    columns = "image_id, shard, member, bundle, verdict, source, probability, generated_probability"
    with open_audit(str(output)) as tables:
        return tables.sql(f"SELECT {columns} FROM findings ORDER BY member").relation.fetchall()


def test_a_dataset_that_moves_there_keeps_its_rows_and_is_fetched_from_there(
    audited: Audited, s3_store: ObjectStore, tmp_path: Path, capsys: Capture
) -> None:
    crawl = Path(shutil.copytree(audited.crawl, tmp_path / "crawl"))
    output, options = tmp_path / "OUT", ("--storage-options", s3_store.storage.options)
    audit = ("--output", output, "--bundle", audited.bundle, "--slice-images", 6, *options)
    assert command(capsys, "audit", crawl, *audit).code == 0
    scoring = ("attribute", output, "--bundle", audited.bundle, "--prior", "photograph=0.9")
    assert command(capsys, *scoring).code == 0
    before = findings(output)
    uri = s3_store.put("crawl/0.tar", (crawl / "0.tar").read_bytes())
    shutil.rmtree(crawl)
    night = command(capsys, "audit", f"{s3_store.url}/crawl", *audit, "--same-as", f"{crawl}={s3_store.url}/crawl")
    assert night.code == 0, night.log
    assert (night.found["slices"], night.found["computed"], night.found["moved"], night.found["kept"]["images"]) == (2, 0, 2, 12)
    assert (night.found["now"]["images"], night.found["new"]["shards"], night.found["vanished"]["shards"]) == (12, 0, 0)
    assert command(capsys, *scoring).code == 0
    assert findings(output) == [(one, uri, *rest) for one, _shard, *rest in before]
    second = command(capsys, "audit", f"{s3_store.url}/crawl", *audit)
    assert (second.found["computed"], second.found["kept"]["shards"]) == (0, 1)
    assert verify(str(output), Storage(), deep=True).findings == ()
    known = hashlib.sha256(jpeg(3)).hexdigest()
    traced = command(
        *(capsys, "trace", output, "--image-id", known, "--top", 3, "--output", tmp_path / "finds.parquet"),
        *("--extract", tmp_path / "finds", *options),
    )
    assert (traced.code, len(list((tmp_path / "finds").iterdir()))) == (0, 3)
    gathered = command(capsys, "evidence", output, "--image-id", known, "--output", tmp_path / "evidence", *options)
    assert (gathered.code, gathered.found["images"][0]["lost"]) == (0, None)
