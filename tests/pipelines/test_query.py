"""What ``causalprint query`` answers, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import fsspec
import pytest

import causalprint as cp
from causalprint.__main__ import main
from tests.audits import command
from tests.outputs import audit, files_below, output_at, shards, two_nights

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("query") / "it's OUT"
    two_nights(root)
    return root


def test_without_sql_verdicts_are_counted_in_a_table_of_80_columns(
    out: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["query", str(out)]) == 0
    text = capsys.readouterr().out
    assert "abstain" in text
    assert main(["query", str(out), "FROM findings LIMIT 2"]) == 0
    wide = capsys.readouterr().out
    assert "image_id" in wide
    assert "s3://crawl/" in wide
    assert max(len(line) for line in (text + wide).splitlines()) <= 80
    assert main(["query", str(out), "FROM findings WHERE false"]) == 0
    assert "no row" in capsys.readouterr().out


def test_json_is_one_object_with_every_row(out: Path, capsys: Capture) -> None:
    _, found, _ = command(capsys, "query", out, "SELECT shard, count(*) AS n FROM findings GROUP BY ALL ORDER BY ALL")
    assert found["columns"] == [{"name": "shard", "type": "VARCHAR"}, {"name": "n", "type": "BIGINT"}]
    assert found["rows"] == [[f"s3://crawl/{number:05}.tar", 15] for number in (1, 2, 3)]
    _, odd, _ = command(
        capsys, "query", out, "SELECT 'NaN'::FLOAT AS a, 1.5 AS b, DATE '2026-01-31' AS c, {'x': [1]} AS d, NULL AS e"
    )
    assert odd["rows"] == [[None, 1.5, "2026-01-31", {"x": [1]}, None]]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_rows_go_to_a_file_or_to_standard_output(kind: str, out: Path, tmp_path: Path, capsys: Capture) -> None:
    query = 'SELECT member, probability, candidates, metadata, "offset" FROM findings ORDER BY ALL'
    with cp.open_audit(str(out)) as tables:
        expected = tables.sql(query).rows()
    file = tmp_path / "new" / f"rows.{kind}"
    assert command(capsys, "query", out, query, "-o", file).found["output"] == str(file)
    back = duckdb.execute(f"SELECT member, probability, \"offset\" FROM '{file}' ORDER BY ALL").fetchall()
    assert back == [(row["member"], row["probability"], row["offset"]) for row in expected]
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    if kind != "parquet":
        assert main(["query", str(out), query, "--format", kind]) == 0
        assert capsys.readouterr().out == file.read_text()
    if kind == "json":
        assert json.loads(file.read_text())[0]["candidates"] == expected[0]["candidates"]


def test_the_views_can_be_kept(out: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["query", str(out), "--database", str(tmp_path / "audit.duckdb")]) == 0
    with duckdb.connect(str(tmp_path / "audit.duckdb"), read_only=True) as connection:
        assert connection.sql("SELECT count(*) FROM findings").fetchall() == [(45,)]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nope FROM findings", 'Referenced column "nope" not found'),
        ("SELECT 1 AS a, 2 AS a", "two columns are called a"),
        ("SELECT 1; SELECT 2", "give one query that reads"),
        ("", "give one query that reads"),
        ("COPY (SELECT 1) TO '{out}/images/x.parquet'", "give one query that reads"),
        ("CREATE TABLE t (i INT)", "give one query that reads"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}/images/x.parquet'", "give one query that reads"),
        ("ATTACH '{out}/x.db'", "give one query that reads"),
        ("SET enable_external_access = true", "give one query that reads"),
        ("FROM read_text('/etc/passwd')", "file system operations are disabled"),
        ("FROM read_text('{out}/../../../../../etc/passwd')", "file system operations are disabled"),
        ("FROM glob('/*')", "file system operations are disabled"),
        ("FROM read_csv('https://example.org/a.csv')", "file system operations are disabled"),
        ("FROM '/etc/passwd'", "does not exist"),
        ("FROM secret", "does not exist"),
    ],
)
def test_a_query_that_is_wrong_or_reaches_further_is_one_line(sql: str, says: str, out: Path, capsys: Capture) -> None:
    before = files_below(out)
    secret = [1]
    code, found, log = command(capsys, "query", out, sql.format(out=str(out).replace("'", "''")))
    assert (code, log.count("\n"), secret) == (1, 1, [1])
    assert says in found["error"]
    assert files_below(out) == before


def test_an_audit_in_a_store_is_asked_as_one_on_a_disk(capsys: Capture) -> None:
    root = "memory://bucket/OUT"
    audit(list(shards(1)), output_at(root))
    fsspec.filesystem("memory").pipe(
        "/bucket/OUT/_causalprint.json", b'{"schema_version": 3, "slicing": {"images": 1, "bytes": 1}}'
    )
    fsspec.filesystem("memory").pipe("/bucket/other", b"secret")
    assert command(capsys, "query", root, "SELECT count(*) AS n FROM findings").found["rows"] == [[15]]
    assert command(capsys, "query", root, "FROM read_text('memory://bucket/other')").code == 1
    assert command(capsys, "query", root, "FROM findings", "-o", "memory://bucket/rows.csv").code == 0
    assert fsspec.filesystem("memory").cat("/bucket/rows.csv").count(b"\n") >= 16
