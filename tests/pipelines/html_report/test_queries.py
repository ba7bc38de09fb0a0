"""Queries of the report over rows that a test makes: claims of files beside verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from causalprint.pipelines.html_report.queries import queries

ROWS = [
    ("generated", "Firefly", "generated"),
    ("generated", "Firefly", "photograph"),
    ("generated", None, "undecided"),
    ("camera", "Nikon", "photograph"),
    ("camera", "Nikon", "generated"),
    (None, None, "generated"),
    (None, None, "photograph"),
]
"""What a file claims, who it names, and what the bundle says."""


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("CREATE TABLE found (claim_kind VARCHAR, claim_source VARCHAR, outcome VARCHAR)")
        made.executemany("INSERT INTO found VALUES (?, ?, ?)", ROWS)
        made.execute(
            """CREATE VIEW findings_told AS SELECT *, 'x' AS who, 0.9 AS generated_probability, 's' AS shard, 'm' AS member,
                      0 AS "offset", claim_kind || outcome AS image_id,
                      (claim_kind, outcome) IN (('generated', 'photograph'), ('camera', 'generated')) AS conflict FROM found"""
        )
        yield made


def ask(connection: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, Any]]:
    (query,) = (query for query in queries(None, claims=True, conflicts=True) if query.name == name)
    relation = connection.sql(query.sql)
    assert relation is not None
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def test_claims_are_counted_beside_verdicts_and_no_claim_comes_last(connection: duckdb.DuckDBPyConnection) -> None:
    told = [(row["claim"], row["claimed_by"], row["images"], row["taken"]) for row in ask(connection, "claims")]
    assert told == [
        ("generated", "Firefly", 2, 1),
        ("generated", None, 1, 0),
        ("camera", "Nikon", 2, 1),
        ("(nothing)", None, 2, 1),
    ]


def test_the_bundle_is_measured_on_images_whose_files_say_where_they_are_from(connection: duckdb.DuckDBPyConnection) -> None:
    (row,) = ask(connection, "claimed")
    assert (row["generated"], row["found_too"], row["camera"], row["accused"]) == (3, 1, 2, 1)
    assert row["percent_found"] == pytest.approx(100 / 3)
    assert (row["percent_accused"], row["percent_right"]) == (50, 50)


def test_conflicts_are_listed_each_with_how_many_there_are(connection: duckdb.DuckDBPyConnection) -> None:
    rows = ask(connection, "conflicts")
    assert [(row["claim"], row["outcome"], row["conflicts"]) for row in rows] == [
        ("generated", "photograph", 2),
        ("camera", "generated", 2),
    ]


def test_what_needs_columns_that_are_not_there_is_not_asked() -> None:
    names = {query.name for query in queries(None, claims=False, conflicts=False)}
    assert names.isdisjoint({"claims", "claimed", "conflicts", "expected"})
