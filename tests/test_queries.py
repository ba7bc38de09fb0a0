"""Every query that the documents show, run as it stands there over an output."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.write_tables import write_slice
from tests.outputs import BUNDLE_ID, audit, output_at, shards
from tests.samples import sample_shard, sample_slice

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/queries.md")
CHANGED = sample_shard(1)


def blocks(page: str) -> list[str]:
    """The SQL of a page, with whatever output it names called OUT."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^```sql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"'[^'\s]*?/?(images|embeddings|attributions|rejects|shards|runs)/\*", r"'OUT/\1/*", block) for block in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUT: three shards of 3 slices; of the second there is a newer version; the fourth one is damaged."""
    folder = tmp_path_factory.mktemp("queries")
    output = output_at(folder / "OUT")
    audit(list(shards(3)), output, "20260101T000000Z-00000000")
    old = folder / "OUT" / output.path("shards", CHANGED.shard_id(BUNDLE_ID))
    os.utime(old, (old.stat().st_mtime - 86_400,) * 2)
    audit([replace(CHANGED, generation="2")], output, "20260102T000000Z-00000000", count=1)
    damaged = sample_shard(3)
    receipt = write_slice(sample_slice(damaged, damage="the file ends inside member 000000007.jpg", rejects=6), output)
    write_account(Ledger(damaged).add(receipt).close(BUNDLE_ID), output)
    return folder


def results(folder: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, object]]]:
    """The rows of each query of a page by the names of its columns."""
    monkeypatch.chdir(folder)
    found = {}
    with duckdb.connect() as connection:
        for block in blocks(page):
            for statement in duckdb.extract_statements(block):
                relation = connection.sql(statement.query)
                if relation is not None and statement.type == duckdb.StatementType.SELECT:
                    found[" ".join(relation.columns)] = [
                        dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()
                    ]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_query_runs_and_finds_something(folder: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, rows in results(folder, page, monkeypatch).items():
        assert rows, columns


def test_the_queries_say_what_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = results(folder, "docs/queries.md", monkeypatch)
    (damaged,) = found["uri damage retryable seen attributed rejected"]
    assert (damaged["uri"], damaged["seen"], damaged["rejected"]) == ("s3://crawl/00003.tar", 11, 6)
    (differences,) = found["bundle open_accounts attributions_missing rejects_missing"]
    assert [differences[name] for name in list(differences)[1:]] == [0, 0, 0]
    shares = found["bundle verdict source images different_images percent"]
    assert sum(_number(row["images"]) for row in shares) == 3 * 3 * 5 + 5 + 5
    assert sum(_number(row["percent"]) for row in shares) == pytest.approx(100, abs=0.1)
    finds = found["source probability url shard member image_id"]
    assert len(finds) == 20
    assert finds == sorted(finds, key=lambda row: -_number(row["probability"]))
    assert all(str(row["url"]).startswith("https://example.org/") for row in finds if row["url"])
    assert any(row["url"] for row in finds)
    rejects = found["stage reason images shards example example_url"]
    assert sum(_number(row["images"]) for row in rejects) == 3 * 3 * 2 + 2 + 6
    newest = found["bundle verdict source images"]
    assert sum(_number(row["images"]) for row in newest) == 2 * 3 * 5 + 5, "the old version and the damaged shard stay out"
    runs = found["run_id started finished device shards incomplete seen slices_computed"]
    assert [(row["shards"], row["slices_computed"]) for row in runs] == [(3, 9), (1, 1)]


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return value
