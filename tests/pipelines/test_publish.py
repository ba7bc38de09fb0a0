"""An audit's tables in an Iceberg catalog: the rows that DuckDB reads, night after night, and nothing that was forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.utils.config import Config

from causalprint.pipelines.commands.forget import ForgetConfig
from causalprint.pipelines.forget import forget
from causalprint.pipelines.open_audit import open_audit
from causalprint.pipelines.publish import PublishedTable, publish
from causalprint.schemas.config import NO_OPTIONS, Storage
from causalprint.schemas.views import SCHEMAS
from causalprint.transforms.tables.settings import agree
from tests.audits import command
from tests.outputs import BUNDLE_ID, NIGHTS, audit, files_below, output_at, shards
from tests.servers import ObjectStore

Rows = dict[str, list[dict[str, Any]]]
OTHER = "other-000000000000"


@pytest.fixture(autouse=True)
def _catalog(tmp_path: Path, s3_server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog of this machine, ``local``, whose readers reach the S3 server, too."""
    folder = tmp_path / "catalog"
    folder.mkdir()
    for name, value in {
        "URI": f"sqlite:///{folder}/catalog.db",
        "WAREHOUSE": f"file://{folder}",
        "S3__ENDPOINT": f"http://127.0.0.1:{s3_server}",
        "S3__ACCESS_KEY_ID": "test",
        "S3__SECRET_ACCESS_KEY": "test",
        "S3__REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__LOCAL__{name}", value)
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())  # it reads the environment once, at import


def in_catalog(where: str = "true") -> Rows:
    """The rows of every table as pyiceberg reads them."""
    with load_catalog("local") as opened:
        tables = {name: opened.load_table(f"causalprint.{name}") for name in SCHEMAS}
        return {name: _in_order(table.scan(where).to_arrow().to_pylist()) for name, table in tables.items()}


def in_output(root: str, storage: Storage) -> Rows:
    """Those of the output as DuckDB reads them."""
    with open_audit(root, storage_options=storage.options) as opened:
        return {name: _in_order(opened.sql(f"FROM {name}").to_arrow().to_pylist()) for name in SCHEMAS}


def _in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: json.dumps(row, default=str, sort_keys=True))


def published(root: str, storage: Storage = NO_OPTIONS) -> dict[str, PublishedTable]:
    return {one.table.rpartition(".")[2]: one for one in publish(root, storage, "local", "causalprint").tables}


def changes(tables: dict[str, PublishedTable]) -> Iterator[tuple[str, int, int]]:
    return ((name, one.added, one.removed) for name, one in tables.items() if one.added or one.removed)


def test_every_night_the_tables_have_what_the_output_has(tmp_path: Path) -> None:
    root = str(tmp_path / "out")
    agree(root, Storage(), None, None)
    output = output_at(root)
    vanishes, changed, stays, comes = shards(4)
    audit([vanishes, changed, stays], output, NIGHTS[0], count=1)
    before = files_below(Path(root))
    first = published(root)
    assert first["images"] == PublishedTable("causalprint.images", added=3, removed=0, files=3, rows=15)
    assert in_catalog() == in_output(root, Storage())

    audit([replace(changed, generation="2"), stays, comes], output, NIGHTS[1], count=1)
    again = {name: (added, removed) for name, added, removed in changes(published(root))}
    assert again == dict.fromkeys(("images", "embeddings", "attributions", "rejects"), (2, 0)) | {
        "shards": (2, 0),
        "run_shards": (1, 0),
    }
    assert in_catalog() == in_output(root, Storage())
    assert list(changes(published(root))) == []
    assert before.items() <= files_below(Path(root)).items(), "no file was touched"

    gone = in_catalog()["images"][0]
    forget(ForgetConfig(root, image_id=(gone["image_id"],)))
    rewritten = {name: removed for name, _, removed in changes(published(root))}
    assert rewritten["images"] == rewritten["attributions"] > 0
    now = in_catalog()
    assert now == in_output(root, Storage())
    assert gone["image_id"] not in {row["image_id"] for name in ("images", "attributions") for row in now[name]}
    with load_catalog("local") as opened:
        images = opened.load_table("causalprint.images")
    assert len(images.snapshots()) == 1, "what was before cannot be read any more"
    bounds = {column for task in images.scan().plan_files() for column in task.file.lower_bounds}
    assert bounds == {images.schema().find_field("slice_id").field_id}, "metadata hold no value of an image"


def test_what_lies_in_a_store_is_registered_there(s3_store: ObjectStore) -> None:
    root = f"{s3_store.url}/out"
    agree(root, s3_store.storage, None, None)
    output = output_at(root, s3_store.storage)
    audit(list(shards(1)), output, NIGHTS[0], count=1)
    audit(list(shards(1)), replace(output, bundle_id=OTHER), NIGHTS[1], count=1)
    assert published(root, s3_store.storage)["images"].rows == 10
    expected = in_output(root, s3_store.storage)
    assert in_catalog() == expected
    assert in_catalog(f"bundle == '{OTHER}'")["images"] == [row for row in expected["images"] if row["bundle"] == OTHER] != []


def test_the_command_says_what_is_there_and_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "out"
    agree(str(root), Storage(), None, None)
    audit(list(shards(1)), output_at(root), NIGHTS[0], count=1)
    unknown = command(capsys, "publish", root, "--catalog", "nowhere")
    assert unknown.code == 1
    assert "PYICEBERG_CATALOG__NOWHERE__URI" in unknown.found["error"]
    assert command(capsys, "publish", tmp_path, "--catalog", "local").code == 1
    found = command(capsys, "publish", root, "--catalog", "local", "--namespace", "crawls").found
    assert [table["table"] for table in found["tables"]] == [f"crawls.{name}" for name in SCHEMAS]
    with load_catalog("local") as opened:
        table = opened.load_table("crawls.images")
    assert [field.doc for field in table.schema().fields][:2] == [
        field.metadata[b"description"].decode() for field in SCHEMAS["images"]
    ][:2]
    assert table.spec().fields[0].name == "bundle"
    assert {row["bundle"] for row in table.scan().to_arrow().to_pylist()} == {BUNDLE_ID}
