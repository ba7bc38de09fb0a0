"""Every query that the documents show, run as it stands there over an output."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import reduce
from pathlib import Path

import duckdb
import numpy as np
import pytest

from causalprint.pipelines.open_audit import AuditTables
from causalprint.schemas.config import Storage
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.write_manifest import write_run
from causalprint.transforms.tables.write_tables import write_slice
from tests.outputs import BUNDLE_ID, audit, output_at, run_into, shards, slices_of
from tests.samples import sample_shard, sample_slice

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/queries.md")
CHANGED = replace(sample_shard(1), generation="2")
DAMAGED = sample_shard(3)


def blocks(page: str) -> list[str]:
    """The SQL of a page, with whatever output it names called OUT."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^```sql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"'[^'\s]*?/?(images|embeddings|attributions|rejects|shards|runs)/\*", r"'OUT/\1/*", block) for block in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUT after two nights: three shards of 3 slices; then one as it was, a newer version of the second, and a damaged one."""
    folder = tmp_path_factory.mktemp("queries")
    output = output_at(folder / "OUT")
    kept, *_ = first = list(shards(3))
    audit(first, output, "20260101T000000Z-00000000")
    damage = "the file ends inside member 000000007.jpg"
    slices = (
        (kept, slices_of(kept)),
        (CHANGED, slices_of(CHANGED, 1)),
        (DAMAGED, [sample_slice(DAMAGED, damage=damage, rejects=6)]),
    )
    accounts = [reduce(Ledger.add, (write_slice(one, output) for one in several), Ledger(shard)) for shard, several in slices]
    closed = [write_account(ledger.close(BUNDLE_ID), output) for ledger in accounts]
    write_run(closed, run_into(output, "20260102T000000Z-00000000"))
    return folder


def results(folder: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, object]]]:
    """The rows of each query of a page by the names of its columns."""
    monkeypatch.chdir(folder)
    found = {}
    with duckdb.connect() as connection:
        connection.execute((folder / "OUT" / "views.sql").read_text(encoding="utf-8"))
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
    (differences,) = found["open_accounts attributions_missing rejects_missing"]
    assert set(differences.values()) == {0}
    shares = found["verdict source images different_images percent"]
    assert sum(_number(row["images"]) for row in shares) == 3 * 5 + 5 + 5, "what changed or vanished is not counted"
    assert sum(_number(row["percent"]) for row in shares) == pytest.approx(100, abs=0.1)
    finds = found["source probability url shard member image_id"]
    assert finds == sorted(finds, key=lambda row: -_number(row["probability"]))
    assert all(str(row["url"]).startswith("https://example.org/") for row in finds if row["url"])
    assert any(row["url"] for row in finds)
    rejects = found["stage reason images shards example example_url"]
    assert sum(_number(row["images"]) for row in rejects) == 3 * 2 + 2 + 6
    states = {str(row["state"]): (row["shards"], row["images"], row["rejected"]) for row in found["state shards images rejected"]}
    assert states == {"changed": (1, 7, 2), "kept": (1, 21, 6), "new": (1, 11, 6), "vanished": (1, 21, 6)}
    runs = found["run_id started finished device shards incomplete seen slices_computed"]
    assert [(row["shards"], row["slices_computed"]) for row in runs] == [(3, 9), (3, 5)]


def test_the_nearest_are_those_of_numpy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nearest,) = [
        rows for columns, rows in results(folder, "docs/queries.md", monkeypatch).items() if columns.startswith("similar")
    ]
    with AuditTables(str(folder / "OUT"), Storage()) as tables:
        best = "FROM findings WHERE verdict = 'known' ORDER BY probability DESC, image_id LIMIT 1"
        rows = tables.sql("SELECT e.*, f.url FROM current_embeddings e JOIN findings f USING (slice_id, member)").rows()
        (query,) = tables.sql(best).rows()
    vectors = np.array([row["fingerprint"] for row in rows], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    own = [row["image_id"] for row in rows].index(query["image_id"])
    similarities = vectors @ vectors[own]
    similarities[own] = -2
    best_ten = np.argsort(-similarities)[:10]
    assert [row["similarity"] for row in nearest] == pytest.approx(similarities[best_ten].tolist(), abs=1e-3)
    assert [(row["shard"], row["member"], row["url"]) for row in nearest] == [
        tuple(rows[place][name] for name in ("shard", "member", "url")) for place in best_ten
    ]


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return value
