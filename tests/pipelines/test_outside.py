"""What others see of a run: its work in the manifest, a metrics file, lineage events, and a log of records."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from causalprint.__main__ import main
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.progress import Status, display
from causalprint.schemas.config import Storage
from causalprint.schemas.runs import RunManifest, Work, work_of
from causalprint.transforms.counting import Tally
from causalprint.transforms.tables.manifests import read_manifest
from tests.audits import Answer, command, jpeg, photographs_tar, tar

Sample = tuple[str, tuple[tuple[str, str], ...]]


class Night(NamedTuple):
    """An audit that was watched: its answer, the metrics file, the events, and where it wrote."""

    answer: Answer
    metrics: Path
    events: list[dict[str, Any]]
    out: Path


@contextmanager
def lineage_service(status: int = 201) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A service on this machine: its URL, and the events that it was sent, each with ``path`` and ``key``."""
    events: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            events.append(body | {"path": self.path, "key": self.headers["Authorization"]})
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", events
        server.shutdown()


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("crawl")
    photographs_tar(root / "00000.tar", range(4))
    tar(root / "00001.tar", [("a.jpg", jpeg(10)), ("b.jpg", jpeg(11)[:2000])])
    return root


@pytest.fixture(scope="module")
def night(crawl: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    root = tmp_path_factory.mktemp("night")
    out, metrics = root / "out", root / "node" / "audit.prom"
    with pytest.MonkeyPatch.context() as patch, lineage_service() as (url, events):
        patch.setenv("OPENLINEAGE_API_KEY", "k3y")
        with redirect_stdout(io.StringIO()) as answered, redirect_stderr(io.StringIO()) as log:
            asked = ("audit", crawl, "-o", out, "--bundle", tiny, "--metrics-file", metrics, "--openlineage", url, "--json")
            code = main([str(word) for word in asked])
    return Night(Answer(code, json.loads(answered.getvalue()), log.getvalue()), metrics, events, out)


def manifest_of(night: Night) -> RunManifest:
    manifest = read_manifest(str(night.out), night.answer.found["run_id"], Storage())
    assert manifest is not None
    return manifest


def samples(path: Path) -> dict[Sample, float]:
    """The metrics file as Prometheus' own parser reads it, each number by its name and its labels but the output."""
    families = text_string_to_metric_families(path.read_text())
    read = [sample for family in families for sample in family.samples]
    return {
        (one.name, tuple((key, value) for key, value in sorted(one.labels.items()) if key != "output")): one.value for one in read
    }


def test_a_night_is_told_in_the_same_numbers_everywhere(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    found = night.answer.found
    manifest = manifest_of(night)
    work = manifest.work
    assert work is not None
    assert (work.images, work.rejects, work.kept) == (manifest.totals.seen, manifest.totals.rejected, 0) == (6, 1, 0)
    assert work.reasons == manifest.totals.reasons
    assert work.encoded_bytes == sum(len(jpeg(seed)) for seed in (*range(4), 10)) + 2000
    assert 0 < work.compute_seconds + work.decode_seconds < work.seconds * 64
    assert work.idle is not None
    assert 0 <= work.idle <= 1

    read = samples(night.metrics)
    assert read["causalprint_exit_code", ()] == found["exit_code"] == 0
    assert read["causalprint_seen", ()] == found["seen"] == 6
    reason = (("reason", "truncated-image"), ("stage", "decode"))
    assert read["causalprint_rejects", reason] == read["causalprint_work_reasons", reason] == 1
    assert work.device_idle is None, "there is no GPU"
    numbers = [field.name for field in fields(Work) if field.name not in ("reasons", "device_idle")]
    assert {name: read[f"causalprint_work_{name}", ()] for name in numbers} == {name: found["work"][name] for name in numbers}
    verdicts = {name: value for name, value in read.items() if name[0] == "causalprint_verdicts"}
    assert sum(verdicts.values()) == found["attributed"]
    assert len(verdicts) == len(found["verdicts"])
    assert [path.name for path in night.metrics.parent.iterdir()] == [night.metrics.name]

    assert command(capsys, "inspect", night.out).found["work"] == found["work"]
    assert main(["inspect", str(night.out)]) == 0
    assert f"6 images of {work.encoded_bytes:,} bytes" in capsys.readouterr().out


def test_lineage_has_a_start_and_an_end_of_one_run_with_what_it_read_and_wrote(night: Night, crawl: Path) -> None:
    start, end = night.events
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == end["run"]["runId"]
    for event in night.events:
        assert (event["path"], event["key"]) == ("/api/v1/lineage", "Bearer k3y")
        assert event["job"]["name"] == f"audit {night.out}"
        assert [(each["namespace"], each["name"]) for each in event["inputs"]] == [("file", str(crawl))]
        assert [(each["namespace"], each["name"]) for each in event["outputs"]] == [("file", str(night.out))]
        for facet in _facets(event):
            assert facet["_producer"] == event["producer"]
            assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")
    (output,) = end["outputs"]
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == night.answer.found["attributed"]
    told = {name: value for name, value in night.answer.found["work"].items() if value is not None}
    assert end["run"]["facets"]["causalprint"]["work"] == told


def _facets(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for each in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
        for name, held in each.items():
            if name.lower().endswith("facets"):
                yield from held.values()


def test_every_line_of_the_log_is_a_record(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    session = Session(log_format="json")
    with display(session.log) as show, pytest.MonkeyPatch.context() as patch:
        patch.setattr("causalprint.pipelines.progress.LINE_SECONDS", 0.0)
        show(Status(Tally(shards=1, images=7), 3, 100, 1.0))
    assert main(["inspect", str(tmp_path / "none"), "--log-format", "json"]) == 1
    assert main(["audit", "--log-format=json", "--limit", "x\x1b[2J"]) == 2
    lines = capsys.readouterr().err.splitlines()
    told, failed, misused = (json.loads(line) for line in lines)
    assert (told["level"], told["images"], told["shards"], told["of"]) == ("info", 7, 1, 3)
    assert (failed["level"], failed["exit_code"]) == ("error", 1)
    assert "none" in failed["message"]
    assert (misused["level"], misused["exit_code"]) == ("error", 2)
    assert all("\x1b" not in line for line in lines)


def test_a_run_that_fails_is_told_to_have_failed_and_is_not_hindered_by_who_is_told(
    crawl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = tmp_path / "audit.prom"
    asked = ("audit", crawl, "-o", tmp_path / "out", "--bundle", tmp_path / "none", "--metrics-file", metrics)
    with lineage_service() as (url, events):
        code, found, _ = command(capsys, *asked, "--openlineage", url)
    assert code == 1
    assert samples(metrics)["causalprint_exit_code", ()] == 1
    assert {name for name, _ in samples(metrics)} == {"causalprint_exit_code", "causalprint_finished_timestamp_seconds"}
    assert [event["eventType"] for event in events] == ["START", "FAIL"]
    assert events[1]["run"]["facets"]["errorMessage"]["message"] == found["error"]
    with lineage_service(status=403) as (url, _):
        again = command(capsys, *asked, "--openlineage", url)
    assert again.found == found
    assert "403" in again.log
    assert command(capsys, *asked, "--openlineage", "nowhere").found["error"].startswith("--openlineage 'nowhere' is no URL")


def test_idle_is_what_is_left_of_the_time_of_the_threads() -> None:
    counters = {"pool_ms": 8000, "decode_ms": 1000, "compute_ms": 5000, "rejects": 2, "rejects/decode/bomb": 2}
    work = work_of(counters, 1.0)
    assert work.idle == 0.25
    assert [count._asdict() for count in work.reasons] == [{"stage": "decode", "reason": "bomb", "images": 2}]
    assert work_of({"pool_ms": 10, "decode_ms": 11}, 1.0).idle == 0.0
    assert work_of({}, 1.0).idle is None
    beside = work_of({"pool_ms": 8000, "decode_ms": 4000, "device_ms": 1000, "on_device_ms": 900}, 1.0)
    assert (beside.idle, beside.device_idle, beside.compute_seconds) == (0.5, 0.1, 0.9)
