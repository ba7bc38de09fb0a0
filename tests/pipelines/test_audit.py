"""The main job, end to end: shards in, tables out, through the command."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from apache_beam.metrics import MetricsFilter

from causalprint.__main__ import main
from causalprint.pipelines.audit import build, execute, plan
from causalprint.pipelines.execution import AuditError
from causalprint.pipelines.progress import watched
from causalprint.pipelines.runners import RUNNERS, pipeline_options
from causalprint.schemas.config import AuditConfig, Storage
from causalprint.transforms.counting import NAMESPACE, Tally
from causalprint.transforms.deal_shards import Planned
from causalprint.transforms.formats.members import read_member
from causalprint.transforms.tables.manifests import read_manifest
from tests.audits import command, jpeg, photographs_tar, tar
from tests.outputs import files_below, rows
from tests.servers import ObjectStore, breaking_proxy
from tests.shards import make_samples

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    """Two tars and a folder of images: 11 images, one of them damaged, one too small, and a readme."""
    root = tmp_path / "crawl"
    photographs_tar(root / "00000.tar", range(4))
    tar(root / "00001.tar", [("a.jpg", jpeg(10)), ("b.jpg", jpeg(11)[:2000]), ("c.jpg", jpeg(12, side=64)), ("README.md", b"#")])
    (root / "photos").mkdir()
    for seed in range(20, 24):
        (root / "photos" / f"{seed}.jpg").write_bytes(jpeg(seed))
    return root


def test_every_image_is_accounted_for(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    code, found, _ = command(capsys, "audit", crawl, "-o", out, "--bundle", tiny, "--slice-images", 3)
    assert code == found["exit_code"] == 0
    assert (found["shards"], found["complete"], found["incomplete"]) == (3, 3, 0)
    assert (found["seen"], found["attributed"], found["rejected"], found["skipped"]) == (11, 10, 1, 1)
    assert found["rejects"] == [{"stage": "decode", "reason": "truncated-image", "images": 1}]
    assert sum(count["images"] for count in found["verdicts"]) == 10
    assert Path(found["manifest"]).is_file()
    for table, count in {"images": 10, "embeddings": 9, "attributions": 10, "rejects": 1, "shards": 3}.items():
        assert rows(out, table).num_rows == count
    by_member = {row["member"]: row for row in rows(out, "attributions").to_pylist()}
    assert by_member["c.jpg"]["verdict"] == "abstain"
    assert by_member["c.jpg"]["reason"] == "too-small"
    manifest = read_manifest(str(out), found["run_id"], Storage())
    assert manifest is not None
    asked = AuditConfig((str(crawl),), str(out), str(tiny), slice_images=3)
    assert manifest.run.config == asked, "nothing but what was asked is in the evidence"
    images = {row["member"]: row for row in rows(out, "images").to_pylist()}
    assert json.loads(images["00000.jpg"]["metadata"])["url"] == "https://example.org/0.jpg"
    assert found["slices"] == found["computed"] == len(list((out / "attributions").glob("*/*.parquet"))) == 5


def test_shards_that_a_runner_loses_are_an_error(crawl: Path, tmp_path: Path, tiny: Path) -> None:
    planned = plan(AuditConfig((f"{crawl}/*.tar",), str(tmp_path / "out"), str(tiny)))
    # The same shard twice is one when they are dealt out.
    with pytest.raises(AuditError, match="was given 4 shards and accounted for 2; run the same command again"):
        execute(replace(planned, shards=(*planned.shards, *planned.shards)))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_metrics_of_a_run_and_the_live_counts_are_the_totals_of_its_manifest(
    crawl: Path, tmp_path: Path, tiny: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    (crawl / "00002.tar").write_bytes(photographs_tar(crawl / "00002.tar", range(60, 64)).read_bytes()[:-40_000])
    for again in (False, True):
        beam_options = (f"--direct_num_workers={workers}",)
        config = AuditConfig((str(crawl),), str(tmp_path / "out"), str(tiny), slice_images=3, beam_options=beam_options)
        planned = plan(config)
        options = pipeline_options(config.runner, beam_options)
        root = beam.Pipeline(runner=RUNNERS[config.runner].create(options), options=options)
        build(root, planned, Planned(planned.shards))
        with watched(planned.shards) as follower:
            result = root.run()
            result.wait_until_finish()
            live = follower.poll().done
        metrics: Counter[str] = Counter()
        for metric in result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]:
            metrics[metric.key.metric.name] += metric.committed
        manifest = read_manifest(config.output, planned.run.run_id, config.storage)
        assert manifest is not None
        totals = manifest.totals
        computed, kept = (0, totals.seen) if again else (totals.seen, 0)
        assert (metrics["images"], metrics["kept"]) == (computed, kept)
        assert (metrics["shards"], metrics["shard_bytes"]) == (totals.shards, totals.shard_bytes)
        assert metrics["kept_bytes"] == (totals.shard_bytes if again else 0)
        rejects = {f"rejects/{count.stage}/{count.reason}": count.images for count in totals.reasons}
        assert len(rejects) > 1
        assert {name: n for name, n in metrics.items() if name.startswith("rejects/")} == ({} if again else rejects)
        assert metrics["rejects"] == (0 if again else totals.rejected)
        assert {"decode_ms", "compute_ms", "write_ms"} <= metrics.keys() or again
        assert live == Tally(**{name: metrics[name] for name in Tally._fields})


def test_what_is_committed_is_not_computed_again_and_what_is_new_is(
    crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    first = command(capsys, "audit", crawl, "-o", out, "--bundle", tiny).found
    before = files_below(out)
    again = command(capsys, "audit", crawl, "-o", out, "--bundle", tiny).found
    assert again["computed"] == 0
    assert {name: again[name] for name in ("seen", "verdicts", "rejects")} == {
        name: first[name] for name in ("seen", "verdicts", "rejects")
    }
    assert files_below(out) == before
    photographs_tar(crawl / "00002.tar", range(40, 42))  # new
    photographs_tar(crawl / "00000.tar", range(50, 53))  # changed
    more = command(capsys, "audit", crawl, "-o", out, "--bundle", tiny).found
    assert (more["shards"], more["computed"], more["seen"]) == (4, 2, 12)
    assert before.items() <= files_below(out).items()


def test_a_damaged_shard_leaves_with_3_and_is_named(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    cut = photographs_tar(crawl / "00002.tar", range(60, 64))
    cut.write_bytes(cut.read_bytes()[:-40_000])
    arguments = ["audit", crawl, "-o", tmp_path / "out", "--bundle", tiny]
    code, found, _ = command(capsys, *arguments)
    assert code == found["exit_code"] == 3
    assert (found["complete"], found["incomplete"]) == (3, 1)
    assert found["seen"] == found["attributed"] + found["rejected"]
    assert [Path(shard["uri"]).name for shard in found["incomplete_shards"]] == ["00002.tar"]
    assert main([str(argument) for argument in arguments]) == 3
    text = " ".join(capsys.readouterr().out.split())
    assert "incomplete shard" in text
    assert found["incomplete_shards"][0]["damage"].split()[0] in text


def test_the_closing_tables_tell_what_it_came_to(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert main(["audit", str(crawl), "-o", str(out), "--bundle", str(tiny)]) == 0
    captured = capsys.readouterr()
    text = captured.out
    assert "11 images seen = 10 attributed + 1 rejected, in 3 shards" in text
    assert "truncated-image" in text
    assert f"tables: {out}" in text
    assert f"next: causalprint inspect {out}" in text
    assert "Traceback" not in captured.err
    verdicts = rows(out, "attributions").column("verdict").to_pylist()
    for verdict in set(verdicts):
        assert verdict in text


def test_a_limit_is_kept_and_is_no_failure(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    code, found, _ = command(capsys, "audit", crawl, "-o", out, "--bundle", tiny, "--limit", 5)
    assert code == 0
    assert (found["seen"], found["limited"], found["incomplete"]) == (5, 1, 0)
    refused = command(capsys, "audit", crawl, "-o", out, "--bundle", tiny)
    assert refused.code == 1
    assert "--limit 5" in refused.found["error"]
    assert command(capsys, "audit", crawl, "-o", out, "--bundle", tiny, "--limit", 5).found["computed"] == 0


def test_another_residual_writes_beside_and_names_nobody(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    own = command(capsys, "audit", crawl, "-o", out, "--bundle", tiny).found
    before = files_below(out)
    other = command(
        capsys, "audit", crawl, "-o", out, "--bundle", tiny, "--residual", f"denoise:{tiny}/residual?timestep=200"
    ).found
    assert other["bundle_id"] != own["bundle_id"]
    assert {count["verdict"] for count in other["verdicts"]} == {"abstain"}
    assert before.items() <= files_below(out).items()
    written = pq.read_table(next((out / "attributions" / f"bundle={other['bundle_id']}").glob("*.parquet")))
    assert set(written.column("reason").to_pylist()) <= {"uncalibrated", "too-small"}


def test_inputs_may_be_globs_and_ranges(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    ranged = command(capsys, "audit", f"{crawl}/{{00000..00001}}.tar", "-o", tmp_path / "a", "--bundle", tiny).found
    globbed = command(capsys, "audit", f"{crawl}/*.tar", crawl / "00000.tar", "-o", tmp_path / "b", "--bundle", tiny).found
    assert ranged["shards"] == globbed["shards"] == 2
    assert files_below(tmp_path / "a") == files_below(tmp_path / "b")


def test_an_image_file_is_an_input_and_is_fetched_again_by_its_row(
    crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    photo = crawl / "photos" / "21.jpg"
    photo.with_suffix(".txt").write_text("a cat")
    code, found, log = command(capsys, "audit", photo, "-o", out, "--bundle", tiny)
    assert (code, found["seen"], found["attributed"], found["complete"]) == (0, 1, 1, 1)
    assert "left out" not in log
    (row,) = rows(out, "images").to_pylist()
    assert (row["shard"], row["member"], row["offset"]) == (photo.as_uri(), "21.jpg", 0)
    assert json.loads(row["metadata"]) == {"txt": "a cat"}
    again = read_member(row["shard"], row["member"], row["offset"])
    assert (again.data, again.image_id) == (photo.read_bytes(), row["image_id"])
    assert command(capsys, "audit", photo, "-o", out, "--bundle", tiny).found["computed"] == 0
    more = command(capsys, "audit", photo, crawl / "photos" / "2[03].jpg", "-o", out, "--bundle", tiny).found
    assert (more["seen"], more["shards"], more["complete"], more["computed"]) == (3, 3, 3, 2)
    whole = command(capsys, "audit", crawl, photo, "-o", tmp_path / "whole", "--bundle", tiny).found
    assert (whole["seen"], whole["shards"]) == (11, 3)
    (alone,) = [each for each in rows(out, "embeddings").to_pylist() if each["member"] == "21.jpg"]
    (inside,) = [each for each in rows(tmp_path / "whole", "embeddings").to_pylist() if each["member"] == "21.jpg"]
    assert alone["fingerprint"] == inside["fingerprint"]


def test_image_columns_are_chosen_and_another_choice_is_computed_anew(tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    images = [sample.data for sample in make_samples(4)]
    path, out = tmp_path / "a.parquet", tmp_path / "out"
    pq.write_table(pa.table({"image": images[:2], "edited_image": images[2:], "url": ["u"] * 2}), path)
    edited = command(capsys, "audit", path, "-o", out, "--bundle", tiny, "--image-column", "edited_image")
    assert (edited.code, edited.found["seen"]) == (0, 2)
    assert [(row["member"], row["metadata"]) for row in rows(out, "images").to_pylist()] == [
        ("0/edited_image", '{"url":"u"}'),
        ("1/edited_image", '{"url":"u"}'),
    ]
    every = command(capsys, "audit", path, "-o", out, "--bundle", tiny).found
    assert (every["seen"], every["computed"]) == (4, 1)
    for row in rows(out, "images").to_pylist():
        assert read_member(row["shard"], row["member"], row["offset"]).image_id == row["image_id"]
    code, _, log = command(capsys, "audit", path, "-o", tmp_path / "no", "--bundle", tiny, "--image-column", "imge")
    assert code == 1
    assert "image column 'imge' is not there or holds no bytes; columns are image, edited_image, url" in " ".join(log.split())
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--bundle", "nowhere"], "nowhere"),
        (["--residual", "magic:beans"], "magic"),
        (["--residual", "denoise:/no/such/folder"], "/no/such/folder"),
        pytest.param(
            ["--device", "cuda"], "cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
        ),
        (["--runner", "direct", "--", "--no_such_option=1"], "no_such_option"),
    ],
)
def test_what_cannot_work_is_one_line_before_anything_is_read_or_written(
    options: list[str], says: str, crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    bundle = [] if "--bundle" in options else ["--bundle", tiny]
    code, found, log = command(capsys, "audit", crawl, "-o", out, *bundle, *options)
    assert code == found["exit_code"] == 1
    assert says in found["error"]
    assert log.count("\n") == 1
    assert not out.exists()


def test_an_input_that_matches_nothing_is_one_line(tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    code, found, _ = command(capsys, "audit", tmp_path / "*.tar", "-o", tmp_path / "out", "--bundle", tiny)
    assert code == 1
    assert "*.tar" in found["error"]
    assert not (tmp_path / "out").exists()


def test_a_worker_that_fails_is_one_line_and_with_verbose_a_traceback(
    crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "images").write_text("a file where a folder must be")
    code, found, log = command(capsys, "audit", crawl, "-o", out, "--bundle", tiny)
    assert code == 1
    assert "images" in found["error"]
    assert "Traceback" not in log
    assert main(["audit", str(crawl), "-o", str(out), "--bundle", str(tiny), "--verbose"]) == 1


def test_the_same_settings_are_kept_or_refused(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    arguments = ["audit", crawl, "-o", tmp_path / "out", "--bundle", tiny]
    command(capsys, *arguments, "--slice-images", 2)
    assert command(capsys, *arguments).found["computed"] == 0
    refused = command(capsys, *arguments, "--slice-images", 3)
    assert refused.code == 1
    assert "leave out --slice-images" in refused.found["error"]


@pytest.mark.slow
def test_from_an_object_store_to_an_object_store(object_store: ObjectStore, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    local = photographs_tar(tmp_path / "in" / "00000.tar", range(4))
    object_store.put("in/00000.tar", local.read_bytes())
    object_store.put("in/00001.tar", local.read_bytes()[:-30_000])
    url, out = f"{object_store.url}/in/{{00000..00001}}.tar", f"{object_store.url}/out"
    options = ["--bundle", tiny, "--slice-images", 3, "--storage-options", object_store.storage.options]
    code, found, _ = command(capsys, "audit", url, "-o", out, *options)
    assert code == 3
    assert 4 < found["seen"] == found["attributed"] + found["rejected"]
    assert [shard["uri"] for shard in found["incomplete_shards"]] == [f"{object_store.url}/in/00001.tar"]
    names = object_store.names()
    again = command(capsys, "audit", url, "-o", out, *options).found
    assert again["computed"] == 0
    manifest = again["manifest"].removeprefix(f"{object_store.url}/")
    assert {*object_store.names()} - {*names} == {manifest, manifest.replace(".json", ".shards.parquet")}
    written = pq.read_table(io.BytesIO(object_store.get(next(name for name in names if "out/attributions/" in name))))
    assert written.column("shard")[0].as_py().startswith(object_store.url)
    seen = command(capsys, "inspect", out, "--storage-options", object_store.storage.options).found
    assert seen["bundles"][0]["verdicts"] == found["verdicts"]
    assert len(seen["runs"]) == 2


@pytest.mark.slow
def test_a_connection_that_stays_broken_leaves_an_incomplete_shard_that_the_next_run_completes(
    s3_store: ObjectStore, tmp_path: Path, tiny: Path, capsys: Capture
) -> None:
    local = photographs_tar(tmp_path / "in" / "00000.tar", range(4))
    url, out = s3_store.put("00000.tar", local.read_bytes()), tmp_path / "out"
    arguments = ["audit", url, "-o", out, "--bundle", tiny, "--slice-images", 2]
    with breaking_proxy(s3_store.port, after=60_000, times=1000) as (port, breaks):
        code, found, log = command(capsys, *arguments, "--storage-options", s3_store.through(port).storage.options)
    assert breaks.done > 1
    assert code == 3
    assert "Traceback" not in log
    assert [shard["retryable"] for shard in found["incomplete_shards"]] == [True]
    assert found["seen"] == found["attributed"] + found["rejected"] < 4
    again = command(capsys, *arguments, "--storage-options", s3_store.storage.options)
    assert (again.code, again.found["seen"]) == (0, 4)
    whole = command(capsys, *arguments[:3], tmp_path / "whole", *arguments[4:], "--storage-options", s3_store.storage.options)
    assert whole.code == 0
    assert files_below(out) == files_below(tmp_path / "whole")
