"""The report on an audit: every number is what SQL gives, every text is only text, and a browser has nothing to complain of."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from causalprint.__main__ import main
from causalprint.pipelines.commands.report import ReportConfig
from causalprint.pipelines.html_report.make_report import make_report
from causalprint.pipelines.html_report.page import shown
from causalprint.pipelines.html_report.prelude import prelude
from causalprint.pipelines.html_report.queries import queries
from causalprint.pipelines.html_report.spectra import PHOTOGRAPHS
from causalprint.pipelines.open_audit import OpenAuditError, open_audit
from causalprint.pipelines.told import VerdictsError
from causalprint.research.pictures.chromium import find_chromium
from causalprint.schemas.config import Storage
from causalprint.schemas.names import printable
from causalprint.schemas.prevalence import PREVALENCE, PrevalenceRow
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.settings import agree
from tests.browser import AXE, WIDTHS, look
from tests.outputs import BUNDLE_ID, output_at
from tests.outputs import audit as audit_of_samples
from tests.pages import HOSTILE, Page, Reported
from tests.samples import sample_shard

MARKS = ("data-figure", "data-estimate", "data-card", "data-run", "data-words", "data-picture")
"""Attributes of elements whose numbers have a source: a query, the bundle's card, the run's manifest, the glossary."""


def test_every_number_of_the_page_is_what_its_query_gives(reported: Reported) -> None:
    with open_audit(str(reported.output)) as tables:
        tables.sql(reported.data["prelude"])
        rows = {name: tables.sql(figure["sql"]).rows() for name, figure in reported.data["figures"].items()}
    checked = set()
    for part in reported.page.said:
        name = part.element.get("data-figure")
        if name is None:
            continue
        value = rows[name][int(part.element["data-row"])][part.element["data-column"]]
        if "value" in part.element:
            assert json.loads(part.element["value"]) == value
        assert part.text == shown(part.element["data-column"], value)
        checked.add(name)
    assert checked >= {
        "answer",
        "by_whom",
        "finds",
        "shards",
        "by_shard",
        "histogram",
        "abstentions",
        "rejects",
        "accounts",
        "spectra",
        "mean_spectra",
    }
    assert {name: figure["rows"] for name, figure in reported.data["figures"].items()} == json.loads(json.dumps(rows))


def test_no_number_stands_on_the_page_without_a_mark_that_says_what_it_is_of(reported: Reported) -> None:
    unmarked = [
        part.text
        for part in reported.page.said
        if re.search(r"\d", part.text)
        and part.is_in("main")
        and not part.is_in("pre", "code", "script", "style", "time")
        and not part.has(*MARKS)
    ]
    assert unmarked == []


def test_the_answer_is_what_the_files_hold(reported: Reported) -> None:
    """By queries of another hand over the Parquet files themselves."""

    def table(name: str) -> str:
        return f"read_parquet('{reported.output}/{name}/*/*.parquet')"

    def ask(query: str) -> list[Any]:
        relation = duckdb.sql(query)
        assert relation is not None
        return list(relation.fetchall())

    (answer,) = reported.data["figures"]["answer"]["rows"]
    ((read, different),) = ask(f"SELECT count(*), count(DISTINCT image_id) FROM {table('attributions')}")
    ((refused,),) = ask(f"SELECT count(*) FROM {table('rejects')}")
    ((taken,),) = ask(
        f"SELECT count(*) FROM {table('attributions')} WHERE verdict in ('known', 'unknown') OR reason = 'no-source'"
    )
    counted = dict(ask(f"SELECT verdict, count(*) FROM {table('attributions')} GROUP BY 1"))
    assert (answer["read"], answer["different"], answer["refused"], answer["taken"]) == (read, different, refused, taken)
    assert (read, different, refused) == (17, 16, 3)
    assert answer["photographs"] == counted.get("real", 0)
    assert answer["not_judged"] == 1
    parts = ("taken", "photographs", "graphics", "undecided", "not_judged")
    assert sum(answer[part] for part in parts) == read
    finds = reported.data["figures"]["finds"]["rows"]
    assert len(finds) == taken > 2
    evidence = [row["log_likelihood_ratio"] for row in finds]
    assert evidence == sorted(evidence, reverse=True)
    assert reported.made[3:] == (read, taken, reported.made.pictures, 0)


def test_lines_of_spectra_are_the_means_that_the_files_hold(reported: Reported) -> None:
    """Computed from the Parquet files by another hand, and drawn on the axis that the page names."""
    named = "SELECT e.*, coalesce(source, family || ' (one of this family)') AS who, verdict FROM "
    tables = (f"read_parquet('{reported.output}/{name}/*/*.parquet')" for name in ("embeddings", "attributions"))
    joined = duckdb.sql(f'{named}{" e JOIN ".join(tables)} a USING (slice_id, member, "offset")')
    assert joined is not None
    table = joined.to_arrow_table().to_pylist()
    rows = {row["group_name"]: row for row in reported.data["figures"]["mean_spectra"]["rows"]}
    known = {row["who"] for row in table if row["verdict"] == "known"}
    assert known
    drawn = [given for tag, given in reported.page.elements if tag == "polyline" and given["class"] == "generated"]
    assert len(drawn) == len(rows) - (PHOTOGRAPHS in rows)
    for who in known:
        own = np.array([row["spectrum"] for row in table if row["verdict"] == "known" and row["who"] == who])
        assert rows[who]["images"] == len(own)
        np.testing.assert_allclose(rows[who]["decibels"], own.mean(axis=0), atol=0.006)
        low, high = rows[who]["axis_low"], rows[who]["axis_high"]
        heights = {f"{10 * ring},{100 * (high - at) / (high - low):.2f}" for ring, at in enumerate(rows[who]["decibels"], 1)}
        assert any(set(line["points"].split()) == heights for line in drawn)


def test_what_a_stranger_wrote_is_text_and_nothing_else(reported: Reported) -> None:
    shown_marks = printable(reported.text, keep="\n")
    assert shown_marks == reported.text  # no control character and no mark of direction is in the file
    assert "alert" in reported.text
    tags = [tag for tag, _ in reported.page.elements]
    assert tags.count("script") == 1
    assert "b" not in tags
    assert not any(name.startswith("on") for _, given in reported.page.elements for name in given)
    urls = [row["url"] for row in reported.data["figures"]["finds"]["rows"] if row["url"]]
    assert urls
    assert all(url.endswith(HOSTILE) for url in urls)


def test_the_page_needs_nothing_besides_and_runs_nothing(reported: Reported) -> None:
    loaded = [given[name] for tag, given in reported.page.elements for name in ("src", "href", "data", "action") if name in given]
    assert all(each.startswith(("data:", "#")) for each in loaded)
    assert "url(" not in reported.text.partition("</style>")[0]
    (policy,) = [
        given["content"] for tag, given in reported.page.elements if given.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; style-src")


def test_headings_follow_each_other_and_links_lead_somewhere(reported: Reported) -> None:
    levels = [int(tag[1]) for tag, _ in reported.page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [given["id"] for _, given in reported.page.elements if "id" in given]
    assert len(ids) == len(set(ids))
    targets = {given["href"][1:] for tag, given in reported.page.elements if tag == "a"}
    assert targets <= set(ids)
    assert all("alt" in given for tag, given in reported.page.elements if tag == "img")


def test_pictures_are_of_the_images_that_the_page_names(reported: Reported) -> None:
    pictures = [given for tag, given in reported.page.elements if tag == "img"]
    assert len(pictures) == reported.made.pictures > 4
    assert all(max(int(given["width"]), int(given["height"])) <= 160 for given in pictures)


def test_the_same_tables_give_the_same_page(reported: Reported) -> None:
    again = reported.output.parent / "again.html"
    assert main(["report", str(reported.output), "--images", "-o", str(again)]) == 0
    text = again.read_text(encoding="utf-8")
    assert text.replace(f" --output {again}", "") == reported.text


def test_a_picture_that_cannot_be_fetched_again_is_told_and_ends_with_3(reported: Reported, tmp_path: Path) -> None:
    shards = reported.output.parent / "shards"
    hidden = shards.rename(tmp_path / "elsewhere")
    try:
        assert main(["report", str(reported.output), "--images", "-o", str(tmp_path / "r.html")]) == 3
    finally:
        hidden.rename(shards)
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    lost = [part.text for part in page.said if part.element.get("class") == "lost"]
    assert len(lost) == reported.made.pictures
    assert all("is not there any more" in text for text in lost)


def test_an_audit_in_a_store_is_reported_there_also_without_its_bundle() -> None:
    root = "memory://reports/audit"
    agree(root, Storage(), None, None)
    audit_of_samples([sample_shard(0), sample_shard(1)], output_at(root), count=1)
    made = make_report(ReportConfig(audit=root, title=HOSTILE))
    assert (made.file, made.bundle_id, made.read) == (f"{root}/report.html", BUNDLE_ID, 10)
    fs, base = filesystem(root, Storage())
    page = Page(fs.cat_file(f"{base}/report.html").decode())
    assert page.texts_in("h1") == [printable(HOSTILE)]
    assert "The bundle's card is not here" in "".join(part.text for part in page.said)
    fs.rm(base, recursive=True)


def test_estimates_that_lie_beside_the_tables_stand_beside_the_counts(reported: Reported, tmp_path: Path) -> None:
    every = ("all", "")
    rows = [
        PrevalenceRow(*every, "generated", "generated", 17, 0, 0, 0.5, 0.25, 0.125, 0.5, "corrected", True, "too wide", None),
        PrevalenceRow(*every, "source", "alpha", 17, 0, 0, 0.5, 0.75, 0.125, 0.875, "counted", False, None, None),
        PrevalenceRow("domain", "", "generated", "generated", 3, 0, 3, 0.5, 0.5, 0.25, 0.75, "labelled", False, None, None),
        PrevalenceRow("shard", "one.tar", "generated", "generated", 9, 0, 9, 0.5, 0.5, 0.25, 0.75, "labelled", False, None, None),
    ]
    folder = reported.output / "prevalence" / f"bundle={reported.made.bundle_id}"
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([row._asdict() for row in rows], PREVALENCE), folder / "shard.parquet")
    try:
        make_report(ReportConfig(audit=str(reported.output), output=str(tmp_path / "r.html")))
    finally:
        shutil.rmtree(folder.parent)
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    said = " ".join(" ".join(part.text for part in page.said if part.has("data-estimate")).split())
    assert "an estimated 25.0 % are generated (95 % interval 12.5 % to 50.0 %)" in said
    assert "This says too little to rely on: too wide" in said
    assert "(not known) 3 50.0 %" in said
    assert "one.tar 9 50.0 % 25.0 % to 75.0 % within the interval" in said
    assert "alpha" not in said  # it was counted, not estimated


def test_verdicts_that_are_not_the_current_ones_are_told_from_the_tables_themselves(reported: Reported) -> None:
    with open_audit(str(reported.output)) as tables:
        columns = frozenset(tables.sql("FROM findings").relation.columns)
        asked = queries(None, claims=True, conflicts=True)
        answers = []
        for current in (True, False):
            tables.sql(prelude(reported.made.bundle_id, (), columns, current=current))
            answers.append({query.name: tables.sql(query.sql).rows() for query in asked})
    assert answers[0] == answers[1]


def test_a_bundle_that_judged_nothing_here_is_refused(reported: Reported, tmp_path: Path) -> None:
    with pytest.raises(VerdictsError, match=r"no bundle of .*, which has verdicts by tiny-"):
        make_report(ReportConfig(audit=str(reported.output), bundle="elsewhere"))
    with pytest.raises(VerdictsError, match=r"has no verdicts by demo; it has some by tiny-"):
        make_report(ReportConfig(audit=str(reported.output), bundle="demo"))
    with pytest.raises(OpenAuditError, match="is no output of an audit"):
        make_report(ReportConfig(audit=str(tmp_path)))


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("images", 1234567, "1,234,567"),
        ("percent_taken", 0.04, "under 0.1 %"),
        ("percent_taken", 12.34, "12.3 %"),
        ("probability", 0.99996, "over 0.999"),
        ("probability", 0.5, "0.500"),
        ("log_likelihood_ratio", -1.26, "-1.3"),
        ("retryable", True, "yes"),
        ("url", "a\u202eb", "a\\u202eb"),
        ("source", None, "\u2013"),
    ],
)
def test_values_are_shown_as_people_read_them(column: str, value: object, text: str) -> None:
    assert shown(column, value) == text


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="needs Chromium, which .ci/run installs")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_has_nothing_to_complain_of(reported: Reported, tmp_path: Path, dark: bool) -> None:
    found = look(reported.text, tmp_path, dark=dark)
    assert found.complaints == []
    assert [int(seen["width"]) for seen in found.seen] == [*WIDTHS, *WIDTHS, *WIDTHS[:1]]
    whole, judged, spoilt = found.seen[:2], found.seen[2:4], found.seen[4]
    assert all(seen["scroll"] <= seen["client"] for seen in whole)
    if AXE.is_file():
        assert [seen["violations"] for seen in judged] == [[], []]
        assert {text.partition(":")[0] for text in spoilt["violations"]} >= {"image-alt", "html-has-lang", "color-contrast"}


def test_the_digest_of_the_shown_bundle_is_that_of_its_manifest(reported: Reported, tiny: Path) -> None:
    digest = hashlib.sha256((tiny / "bundle.json").read_bytes()).hexdigest()
    assert digest in "".join(part.text for part in reported.page.said if part.is_in("code"))


def test_tables_of_before_spectra_were_stored_are_reported_without_them(reported: Reported, tmp_path: Path) -> None:
    older = Path(shutil.copytree(reported.output, tmp_path / "older"))
    for file in (older / "embeddings").rglob("*.parquet"):
        pq.write_table(pq.read_table(file, partitioning=None).drop_columns(["spectrum"]), file)
    settings = older / "_causalprint.json"
    about = json.loads(settings.read_text())
    settings.write_text(json.dumps({"schema_version": 4, "slicing": about["slicing"]}))
    made = make_report(ReportConfig(audit=str(older)))
    page = Page((older / "report.html").read_text(encoding="utf-8"))
    assert made.read == reported.made.read
    assert "The tables are of a version that stored no spectra." in "".join(part.text for part in page.said)
    assert not any(tag == "polyline" for tag, _ in page.elements)
