"""What lies beside the tables: others' loaders read it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from causalprint.pipelines.describe import CARD, CROISSANT, describe
from causalprint.schemas.config import Storage
from causalprint.schemas.tables import TABLES
from causalprint.transforms.tables.manifests import read_manifest
from tests.outputs import audit, output_at
from tests.samples import sample_shard

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("described")
    audit([sample_shard(0), sample_shard(1)], output_at(root), count=1)
    manifest = read_manifest(str(root), "run", Storage())
    assert manifest is not None
    describe(str(root), manifest, Storage())
    return root


def records(out: Path, table: str) -> list[dict[str, Any]]:
    return list(mlcroissant.Dataset(jsonld=out / CROISSANT).records(table))


def test_croissants_own_library_finds_nothing_to_complain_of(out: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        metadata = mlcroissant.Dataset(jsonld=out / CROISSANT).metadata
    assert {one.id for one in metadata.record_sets} == set(TABLES)
    assert not metadata.issues.errors
    assert all("license" in text or "creator" in text for text in metadata.issues.warnings), metadata.issues.warnings


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_column_of_every_table_is_described(out: Path, table: str) -> None:
    described = json.loads((out / CROISSANT).read_text())
    (fields,) = [one["field"] for one in described["recordSet"] if one["name"] == table]
    assert [field["@id"] for field in fields] == [f"{table}/{name}" for name in TABLES[table].names]
    assert all(field["description"] for field in fields)


def test_croissants_own_library_reads_the_rows(out: Path) -> None:
    stored = pq.read_table(min((out / "attributions").rglob("*.parquet"))).to_pylist()
    first = records(out, "attributions")[0]
    assert first["attributions/image_id"].decode() == stored[0]["image_id"]
    assert [one["attributions/candidates/source"].decode() for one in first["attributions/candidates"]] == [
        one["source"] for one in stored[0]["candidates"]
    ]
    assert np.array(records(out, "embeddings")[0]["embeddings/fingerprint"]).shape == (128,)


def test_a_readme_of_somebody_else_stays(out: Path, tmp_path: Path) -> None:
    manifest = read_manifest(str(out), "run", Storage())
    assert manifest is not None
    (tmp_path / CARD).write_text("# Ours\n")
    describe(str(tmp_path), manifest, Storage())
    assert (tmp_path / CARD).read_text() == "# Ours\n"
    assert (tmp_path / CROISSANT).exists()


def test_the_card_names_every_table_as_a_configuration(out: Path) -> None:
    head = yaml.safe_load((out / CARD).read_text().split("---")[1])
    assert [one["config_name"] for one in head["configs"]] == list(TABLES)
    assert [one["config_name"] for one in head["configs"] if one["default"]] == ["attributions"]
    for one in head["configs"]:
        assert list(out.glob(one["data_files"]))
