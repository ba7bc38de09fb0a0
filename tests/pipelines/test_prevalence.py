"""Shares of an audit that was really run, by its command: what they rest on, how they are grouped, and what labels change."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from causalprint.models.bundles.bundle import ATTRIBUTION_FILE, FINGERPRINT_FILE, HELD_OUT_FILE, Bundle, load_bundle, save_bundle
from causalprint.models.bundles.held_out import read_held_out
from causalprint.models.bundles.manifest import BundleError
from causalprint.pipelines.audit_call import audit
from causalprint.pipelines.open_audit import open_audit
from causalprint.pipelines.prevalence import prevalence_of
from causalprint.schemas.config import Storage
from causalprint.schemas.evaluations import PREDICTIONS
from causalprint.schemas.prevalence import PREVALENCE, PrevalenceRow
from causalprint.transforms.tables.verify import verify
from tests.audits import Answer, command, jpeg, tar
from tests.bundles import with_held_out

Capture = pytest.CaptureFixture[str]
DOMAINS = ("example.org", "example.com")


class Audited(NamedTuple):
    output: Path
    bundle: Path
    shards: Path


@pytest.fixture(scope="module")
def audited(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    root = tmp_path_factory.mktemp("prevalence")
    with_held_out(root / "bundle", bundle)
    members = []
    for number in range(64):
        about = {"url": f"https://{DOMAINS[number >= 52]}/{number}.jpg", "date": f"20{10 + number % 3}-01-01", "camera": "X'1"}
        members += [(f"{number:05}.jpg", jpeg(number)), (f"{number:05}.json", json.dumps(about).encode())]
    shard = tar(root / "shards" / "0.tar", [*members, ("small.jpg", jpeg(0, 64))])
    audit(inputs=(str(shard),), output=str(root / "out"), bundle=str(root / "bundle"))
    return Audited(root / "out", root / "bundle", shard)


def rows_of(answer: Answer, **wanted: str) -> list[dict[str, Any]]:
    assert answer.code == 0, answer.log
    return [row for row in answer.found["rows"] if all(row[key] == value for key, value in wanted.items())]


def test_held_out_scores_are_kept_and_a_bundle_with_others_is_refused(audited: Audited, tmp_path: Path) -> None:
    bundle = load_bundle(audited.bundle)
    held_out = read_held_out(bundle)
    assert held_out is not None
    assert len(held_out.source) == 6 * 7 * 8
    assert set(held_out.source) == set(bundle.manifest.sources)
    best = np.array(bundle.manifest.sources)[held_out.probabilities.argmax(axis=1)]
    assert (best == held_out.source).mean() > 0.6
    moved = shutil.copytree(audited.bundle, tmp_path / "moved")
    (moved / HELD_OUT_FILE).write_bytes((moved / ATTRIBUTION_FILE).read_bytes())
    with pytest.raises(BundleError, match="fetch it again"):
        load_bundle(moved)
    fingerprint, attribution = (load_file(moved / name) for name in (FINGERPRINT_FILE, ATTRIBUTION_FILE))
    wrong = {"place": np.zeros(3, np.int32), "probabilities": np.zeros((3, 2), np.float32), "generated": np.zeros(3, np.float32)}
    with pytest.raises(BundleError, match="no scores of 6 sources"):
        save_bundle(moved, replace(bundle.manifest, files=()), fingerprint, attribution, {}, held_out=wrong)


def test_shares_of_all_images_and_of_groups(audited: Audited, capsys: Capture) -> None:
    answer = command(capsys, "prevalence", audited.output, "--by", "domain")
    (everything,) = rows_of(answer, group_by="all", what="generated")
    assert (everything["images"], everything["unscored"], everything["method"]) == (64, 1, "corrected")
    groups = rows_of(answer, group_by="domain", what="generated")
    assert {row["group"]: row["images"] for row in groups} == {"example.org": 52, "(groups of fewer than 50 images)": 12}
    for row in answer.found["rows"]:
        assert 0 <= row["low"] <= row["share"] <= row["high"] <= 1, row
        assert row["useless"] == (row["why"] is not None)
        assert row["useless"] or row["high"] - row["low"] <= 0.5
    sources = [row["name"] for row in rows_of(answer, group_by="all", what="source")]
    assert sources == ["real", "alpha", "beta", "gamma", "delta", "epsilon"]
    # One domain is one origin, and so less is known of it than of the whole.
    assert all(row["high"] - row["low"] > everything["high"] - everything["low"] for row in groups if row["images"])
    with open_audit(str(audited.output)) as tables:
        verdicts = tables.sql("SELECT count(*) FILTER (verdict = 'real') AS n FROM findings").rows()[0]["n"]
    (real,) = rows_of(answer, group_by="all", name="real")
    assert real["counted"] == pytest.approx(verdicts / 64, abs=1e-6)


def test_the_table_is_the_answer_the_same_bytes_again_and_no_orphan(audited: Audited, capsys: Capture) -> None:
    answer = command(capsys, "prevalence", audited.output, "--by", "year")
    file = Path(answer.found["file"])
    before, table = file.read_bytes(), pq.read_table(file, partitioning=None)
    assert table.schema.equals(PREVALENCE)
    assert table.schema.metadata[b"calibration"].decode() == answer.found["calibration"]
    assert [PrevalenceRow(*row.values()) for row in table.to_pylist()] == [PrevalenceRow(**row) for row in answer.found["rows"]]
    assert {row["group"] for row in rows_of(answer, group_by="year")} >= {"(groups of fewer than 50 images)"}
    command(capsys, "prevalence", audited.output, "--by", "year")
    assert file.read_bytes() == before
    assert verify(str(audited.output), Storage(), deep=True).findings == ()


@pytest.mark.parametrize("by", ["shard", "camera", "format"])
def test_any_column_or_key_groups(audited: Audited, by: str, capsys: Capture) -> None:
    groups = rows_of(command(capsys, "prevalence", audited.output, "--by", by), group_by=by, what="generated")
    assert max(row["images"] for row in groups) == 64


def test_a_key_that_no_image_has_is_named(audited: Audited, capsys: Capture) -> None:
    answer = command(capsys, "prevalence", audited.output, "--by", "colour")
    assert answer.code == 1
    assert "colour" in answer.found["error"]


def test_shares_do_not_depend_on_the_prior_of_the_verdicts(audited: Audited, tmp_path: Path, capsys: Capture) -> None:
    before = prevalence_of(str(audited.output))
    output = shutil.copytree(audited.output, tmp_path / "out")
    command(capsys, "attribute", output, "--prior", "photograph=0.9")
    after = prevalence_of(str(output))
    assert after.bundle != before.bundle
    for one, other in zip(before.rows, after.rows, strict=True):
        assert (one.name, one.images) == (other.name, other.images)
        assert (one.share, one.low, one.high) == pytest.approx((other.share, other.low, other.high), abs=1e-3)


def test_a_bundle_that_cannot_tell_its_errors_counts_and_says_so(audited: Audited, bundle: Bundle, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(audited.output, output)
    found = prevalence_of(str(output))
    assert found.calibration is not None
    # Where the bundle of the audit has gone, verdicts can be counted and nothing more.
    for manifest in (output / "runs").glob("*.json"):
        about = json.loads(manifest.read_text())
        about["run"]["config"]["bundle"] = str(bundle.directory)
        about["digest"] = ""
        manifest.write_text(json.dumps(about))
    found = prevalence_of(str(output))
    assert found.calibration is None
    generated = next(row for row in found.rows if row.what == "generated")
    assert (generated.method, generated.useless, generated.share) == ("counted", True, generated.counted)
    assert "how often the bundle errs" in (generated.why or "")


def test_an_evaluation_tells_the_errors_of_the_bundle_that_it_evaluated(
    audited: Audited, bundle: Bundle, tmp_path: Path, capsys: Capture
) -> None:
    with open_audit(str(audited.output)) as tables:
        found = tables.sql("SELECT image_id, verdict, fingerprint FROM embeddings JOIN attributions USING (image_id)").rows()
    draw = np.random.default_rng(0)
    sources = draw.choice(["real", "alpha", "unheard-of"], len(found))
    origins = draw.choice([f"o{number}" for number in range(12)], len(found))
    columns: dict[str, list[Any]] = {
        "image_id": [row["image_id"] for row in found],
        "source": sources.tolist(),
        "origin": origins.tolist(),
        "bundle": [load_bundle(audited.bundle).bundle_id] * len(found),
        "fingerprint": [np.array(row["fingerprint"], np.float16) for row in found],
    }
    names = [field.name for field in PREDICTIONS]
    nothing = {"probability": 0.0, "generated_probability": 0.0, "novelty": 0.0}
    rows = {name: columns.get(name, [nothing.get(name, "")] * len(found)) for name in names}
    (tmp_path / "evaluation").mkdir()
    pq.write_table(pa.table(rows, schema=PREDICTIONS), tmp_path / "evaluation" / "predictions.parquet")
    answer = command(capsys, "prevalence", audited.output, "--evaluation", tmp_path / "evaluation")
    assert f"{len(found)} images of the evaluation" in answer.found["calibrated_on"]
    (generated,) = rows_of(answer, what="generated")
    assert "hardly tell" in generated["why"]  # labels were drawn at random
    assert (generated["low"], generated["high"]) == (0, 1)
    (gamma,) = rows_of(answer, name="gamma", what="source")
    assert gamma["method"] == "counted"
    other = command(capsys, "prevalence", audited.output, "--evaluation", tmp_path / "evaluation", "--bundle", bundle.directory)
    assert other.code == 1
    assert "has no verdict" in other.found["error"]


def test_of_a_sample_of_shards_intervals_count_the_shards(
    audited: Audited, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(16):
        tar(tmp_path / "shards" / f"{number:02}.tar", [(f"{n}.jpg", jpeg(4 * number + n)) for n in range(4)])
    asked = ("audit", tmp_path / "shards", "-o", tmp_path / "out", "--bundle", audited.bundle, "--sample", 20)
    answer = command(capsys, *asked, "--sample-shards", 10)
    assert (answer.code, answer.found["seen"], answer.found["limited"]) == (0, 20, 10)
    accounts = pq.read_table(tmp_path / "out" / "shards").to_pylist()
    assert all(0 < row["image_limit"] < row["drawn_from"] == 4 for row in accounts)
    assert all(row["shard_chance"] == pytest.approx(10 / 16, rel=0.1) for row in accounts)
    assert command(capsys, *asked, "--sample-shards", 10).found["computed"] == 0
    refused = command(capsys, *asked, "--sample-shards", 11)
    assert "give --sample 20 --sample-shards 10 --seed 0" in refused.found["error"]
    assert "leaves some" in command(capsys, *asked, "--sample-shards", 25).found["error"]
    with open_audit(str(tmp_path / "out")) as tables:
        found = tables.sql("SELECT image_id, shard FROM findings ORDER BY shard, member").rows()
    labels = tmp_path / "labels.csv"
    shards = sorted({row["shard"] for row in found})
    lines = [f"{row['image_id']},{'generated' if shards.index(row['shard']) < 5 else 'real'}" for row in found]
    labels.write_text("\n".join(["image_id,label", *lines]))
    for given in ((), ("--labels", labels)):
        (counting,) = rows_of(command(capsys, "prevalence", tmp_path / "out", *given), what="generated")
        with monkeypatch.context() as patch:
            patch.setattr("causalprint.pipelines.prevalence.drawn_cells", lambda *_: None)
            (alone,) = rows_of(command(capsys, "prevalence", tmp_path / "out", *given), what="generated")
        assert counting["share"] == alone["share"]
        assert counting["high"] - counting["low"] > (1.1 if given else 1.0) * (alone["high"] - alone["low"])


def test_a_sample_is_drawn_labelled_and_rested_on(audited: Audited, tmp_path: Path, capsys: Capture) -> None:
    drawn = command(capsys, "sample", audited.output, "--for-labels", 40, "--output", tmp_path / "a")
    assert (drawn.code, drawn.found["images"], drawn.found["drawn_from"], drawn.found["lost"]) == (0, 40, 64, [])
    rows = list(csv.DictReader((tmp_path / "a" / "labels.csv").open()))
    assert sum(float(row["weight"]) for row in rows) == pytest.approx(64, abs=1e-3)
    page = (tmp_path / "a" / "index.html").read_text()
    assert all(
        f"images/{number:04}.jpg" in page and (tmp_path / "a" / f"images/{number:04}.jpg").stat().st_size for number in (1, 40)
    )
    assert not any(word in page for word in ("verdict", "0.9", "alpha"))
    command(capsys, "sample", audited.output, "--for-labels", 40, "--output", tmp_path / "b", "--side", 32)
    assert (tmp_path / "b" / "labels.csv").read_bytes() == (tmp_path / "a" / "labels.csv").read_bytes()
    unfilled = command(capsys, "prevalence", audited.output, "--labels", tmp_path / "a" / "labels.csv")
    assert "has no label yet" in unfilled.found["error"]
    with (tmp_path / "a" / "filled.csv").open("w") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(
            row | {"label": "" if n % 10 == 9 else "generated" if n % 4 == 0 else "real"} for n, row in enumerate(rows)
        )
    answer = command(capsys, "prevalence", audited.output, "--labels", tmp_path / "a" / "filled.csv")
    (generated,) = rows_of(answer, what="generated")
    assert (generated["method"], generated["labelled"]) == ("labelled", 36)
    assert generated["low"] < 0.25 < generated["high"]
    assert 0.1 < generated["share"] < 0.45
    (real,) = rows_of(answer, name="real")
    assert real["method"] == "labelled"
    (alpha,) = rows_of(answer, what="source", name="alpha")  # a label `generated` does not say by whom
    assert alpha["method"] == "corrected"


def test_a_sample_names_what_cannot_be_fetched(audited: Audited, tmp_path: Path, capsys: Capture) -> None:
    audited.shards.rename(tmp_path / "away.tar")
    try:
        drawn = command(capsys, "sample", audited.output, "--for-labels", 3, "--output", tmp_path / "a")
    finally:
        (tmp_path / "away.tar").rename(audited.shards)
    assert drawn.code == 3
    assert len(drawn.found["lost"]) == 3
    assert "could not be fetched again" in (tmp_path / "a" / "index.html").read_text()
