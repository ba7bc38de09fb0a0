"""Other verdicts on stored fingerprints: those of a fresh audit, beside the old ones, without an image."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors.numpy import load_file

from causalprint.__main__ import main
from causalprint.models.bundles.bundle import ATTRIBUTION_FILE, FINGERPRINT_FILE, Bundle, load_bundle, save_bundle
from causalprint.models.target_error import least_probability
from causalprint.pipelines.commands.report import ReportConfig
from causalprint.pipelines.html_report.make_report import make_report
from causalprint.pipelines.open_audit import open_audit
from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.config import Storage
from causalprint.schemas.runs import WrongNames
from causalprint.transforms.tables.manifests import read_manifest
from tests.audits import command, jpeg, photographs_tar, tar
from tests.bundles import photograph, with_held_out
from tests.outputs import files_below

Capture = pytest.CaptureFixture[str]


class Audited(NamedTuple):
    """Images, and audits of them by two bundles of one fingerprint, in an output each."""

    images: Path
    first: Path
    second: Path
    other: Bundle


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Audited:
    """Two tars: ordinary images, one flat, one too small, one damaged and one that cannot be decoded."""
    root = tmp_path_factory.mktemp("audited")
    photographs_tar(root / "in" / "0.tar", range(7))
    odd = [
        ("flat.png", _png(np.zeros((256, 256, 3), np.uint8))),
        ("small.jpg", jpeg(1, side=64)),
        ("cut.jpg", _without_last_scan()),
    ]
    tar(root / "in" / "1.tar", [*odd, ("broken.jpg", jpeg(11)[:2000]), ("sound.jpg", jpeg(12))])
    other = with_another_head(bundle, root / "other")
    for name, path in (("first", bundle.directory), ("second", other.directory)):
        assert main(["audit", str(root / "in"), "-o", str(root / name), "--bundle", str(path), "--slice-images", "3"]) == 0
    shutil.move(root / "in", root / "moved")  # no image is opened
    return Audited(root / "moved", root / "first", root / "second", other)


def with_another_head(bundle: Bundle, directory: Path, name: str = "other") -> Bundle:
    """The bundle with a source more and other limits."""
    shutil.copytree(bundle.directory, directory)
    draw = np.random.default_rng(3)
    tensors = load_file(bundle.directory / ATTRIBUTION_FILE)
    for key in ("weight", "bias", "centre"):
        tensors[key] = np.concatenate([tensors[key], tensors[key][-1:] + draw.normal(0, 0.5, tensors[key][-1:].shape)])
        tensors[key] = tensors[key].astype(np.float32)
    decision = replace(bundle.manifest.decision, cleared_limit=0.45, minimum_probability=0.4)
    manifest = replace(bundle.manifest, name=name, sources=(*bundle.manifest.sources, "zeta"), decision=decision)
    return save_bundle(directory, manifest, load_file(bundle.directory / FINGERPRINT_FILE), tensors, {})


@pytest.fixture
def out(audited: Audited, tmp_path: Path) -> Path:
    """A copy of the first bundle's audit."""
    return Path(shutil.copytree(audited.first, tmp_path / "out"))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _without_last_scan() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photograph(0)).save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    return whole[: whole.rfind(b"\xff\xda")] + b"\xff\xd9"


def _rows(root: Path, bundle_id: str) -> pa.Table:
    paths = sorted((root / "attributions" / f"bundle={bundle_id}").glob("*.parquet"))
    table = pa.concat_tables(pq.read_table(path, partitioning=None) for path in paths)
    return table.sort_by([("shard", "ascending"), ("offset", "ascending")])


def test_the_verdicts_are_those_of_a_fresh_audit(audited: Audited, out: Path, capsys: Capture) -> None:
    before = files_below(out)
    code, found, _ = command(capsys, "attribute", out, "--bundle", audited.other.directory)
    assert (code, found["exit_code"]) == (0, 0)
    fresh = _rows(audited.second, audited.other.bundle_id)
    mine = _rows(out, found["bundle_id"])
    assert set(fresh.column("reason").to_pylist()) >= {"flat", "too-small", "damaged"}
    assert "zeta" in {each["source"] for row in fresh.column("candidates").to_pylist() for each in row}
    assert mine.drop_columns("slice_id").equals(fresh.drop_columns("slice_id"))
    assert mine.column("slice_id").equals(_rows(out, found["scoring"]["embeddings"]).column("slice_id"))
    assert found["bundle_id"] != audited.other.bundle_id, "an audit by that bundle may write there too"
    after = files_below(out)
    assert before.items() <= after.items()
    new = {path.split("/")[0] for path in after.keys() - before.keys()}
    assert new == {"attributions", "shards"}
    theirs = _accounts(audited.second, audited.other.bundle_id)
    assert _accounts(out, found["bundle_id"]) == theirs
    assert found["rejects"] == [{"stage": "decode", "reason": "truncated-image", "images": 1}]
    assert (found["seen"], found["attributed"], found["rejected"]) == (12, 11, 1)


def _accounts(root: Path, bundle_id: str) -> list[dict[str, object]]:
    rows = pq.read_table(root / "shards" / f"bundle={bundle_id}", partitioning=None).sort_by("uri")
    return [{**row, "uri": Path(row["uri"]).name} for row in rows.drop_columns(["slice_ids", "shard_id"]).to_pylist()]


def test_what_was_scored_is_not_scored_again_and_what_was_lost_is(audited: Audited, out: Path, capsys: Capture) -> None:
    arguments = ["attribute", out, "--bundle", audited.other.directory]
    first = command(capsys, *arguments).found
    whole = files_below(out)
    assert first["computed"] == first["slices"] == 5
    again = command(capsys, *arguments).found
    assert (again["computed"], again["slices"], again["verdicts"]) == (0, 5, first["verdicts"])
    partition = out / "attributions" / f"bundle={first['bundle_id']}"
    for account in (out / "shards" / f"bundle={first['bundle_id']}").iterdir():
        account.unlink()  # as kill -9 leaves it
    min(partition.iterdir()).unlink()
    after = command(capsys, *arguments).found
    assert (after["computed"], after["slices"]) == (1, 5)
    assert files_below(out) == whole
    max(partition.iterdir()).write_bytes(b"cut")
    assert command(capsys, *arguments).found["computed"] == 1
    assert files_below(out) == whole


def test_the_policy_is_recorded_and_names_the_partition(audited: Audited, out: Path, bundle: Bundle, capsys: Capture) -> None:
    own = command(capsys, "attribute", out).found
    assert own["scoring"]["embeddings"] == bundle.bundle_id, "by default it is the audit's bundle"
    assert _rows(out, own["bundle_id"]).equals(_rows(out, bundle.bundle_id))
    strict = command(capsys, "attribute", out, "--prior", "generated=0.05", "--minimum-probability", 0.999).found
    assert len({own["bundle_id"], strict["bundle_id"], bundle.bundle_id}) == 3
    assert (strict["scoring"]["minimum_probability"], strict["scoring"]["estimated_from"]) == (0.999, 0)
    manifest = read_manifest(str(out), strict["run_id"], Storage())
    assert manifest is not None
    assert manifest.run.scoring is not None
    assert manifest.run.scoring.prior.generated == 0.05
    assert manifest.run.config == AttributeConfig(str(out), prior="generated=0.05", minimum_probability=0.999)
    rows = _rows(out, strict["bundle_id"]).to_pylist()
    assert not [row for row in rows if row["source"] and row["probability"] < 0.999]
    ratios = [_rows(out, one["bundle_id"]).column("log_likelihood_ratio") for one in (own, strict)]
    assert ratios[0].equals(ratios[1])


def test_a_target_error_chooses_the_limit_and_is_recorded(out: Path, bundle: Bundle, tmp_path: Path, capsys: Capture) -> None:
    own = with_held_out(tmp_path / "own", bundle)
    found = command(capsys, "attribute", out, "--bundle", own.directory, "--target-error", 0.3).found
    chosen = found["scoring"]["wrong_names"]
    assert found["scoring"]["minimum_probability"] == chosen["limit"]
    manifest = read_manifest(str(out), found["run_id"], Storage())
    assert manifest is not None
    assert manifest.run.scoring is not None
    assert manifest.run.scoring.wrong_names == least_probability(own, 0.3) == WrongNames(**chosen)
    assert main(["attribute", str(out), "--bundle", str(own.directory), "--target-error", "0.3"]) == 0
    assert f"of {chosen['names']} names of held-out images {chosen['wrong']} are wrong" in " ".join(
        capsys.readouterr().out.split()
    )
    made = make_report(ReportConfig(audit=str(out)))
    page = Path(made.file).read_text(encoding="utf-8")
    assert (made.bundle_id, "The bundle's card is not here" in page) == (found["bundle_id"], False)
    assert f"causalprint attribute {out} --bundle {own.directory} --target-error 0.3" in page
    code, failed, _ = command(capsys, "attribute", out, "--target-error", 0.3)
    assert (code, "holds no scores of held-out images" in failed["error"]) == (1, True)
    for given in (["--target-error", "5"], ["--target-error", "0.1", "--minimum-probability", "0.5"]):
        code, failed, _ = command(capsys, "attribute", out, *given)
        assert (code, "--target-error" in failed["error"]) == (2, True)


def test_a_prior_can_be_estimated_and_is_told(out: Path, bundle: Bundle, capsys: Capture) -> None:
    found = command(capsys, "attribute", out, "--prior", "estimate").found
    known = _rows(out, bundle.bundle_id).column("log_likelihood_ratio").drop_null()
    assert found["scoring"]["estimated_from"] == len(known) == 8
    share = found["scoring"]["prior"]["generated"]
    posterior = 1 / (1 + np.exp(-known.to_numpy().astype(np.float64)) * (1 - share) / share)
    assert (posterior.sum() + 1) / (len(known) + 2) == pytest.approx(share, abs=0.01)
    said = command(capsys, "attribute", out, "--prior", f"generated={share:.4g}").found
    assert said["bundle_id"] == found["bundle_id"], "whoever gives the prior that was found gets the same verdicts"
    assert said["computed"] == 0
    assert main(["attribute", str(out), "--prior", "estimate"]) == 0
    assert f"generated={share:g}, estimated from 8 images" in " ".join(capsys.readouterr().out.split())
    code, failed, _ = command(capsys, "audit", out, "-o", out, "--prior", "estimate")
    assert code == 2
    assert "causalprint attribute OUT --prior estimate" in failed["error"]


def test_another_fingerprint_is_refused(audited: Audited, out: Path, bundle: Bundle, tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree(bundle.directory, tmp_path / "stranger")
    tensors = load_file(bundle.directory / FINGERPRINT_FILE)
    tensors["bias"] += np.float32(0.001)
    head = load_file(bundle.directory / ATTRIBUTION_FILE)
    stranger = save_bundle(tmp_path / "stranger", replace(bundle.manifest, name="stranger"), tensors, head, {})
    code, found, _ = command(capsys, "attribute", out, "--bundle", stranger.directory)
    assert code == 1
    assert stranger.bundle_id in found["error"]
    assert bundle.bundle_id in found["error"]
    code, found, _ = command(capsys, "attribute", out, "--embeddings", "nobody-0123")
    assert (code, "'nobody-0123'" in found["error"]) == (1, True)
    code, found, _ = command(capsys, "attribute", tmp_path)
    assert (code, "no output of an audit" in found["error"]) == (1, True)


def test_the_output_stays_readable(audited: Audited, out: Path, bundle: Bundle, capsys: Capture) -> None:
    found = command(capsys, "attribute", out, "--bundle", audited.other.directory).found
    with open_audit(str(out)) as tables:
        counts = tables.sql("SELECT bundle, count(*) AS images FROM findings GROUP BY ALL ORDER BY ALL").rows()
    assert counts == [{"bundle": found["bundle_id"], "images": 11}], "the newest verdicts; table attributions keeps the others"
    assert main(["inspect", str(out)]) == 0
    assert f"bundle {found['bundle_id']}: other verdicts on the embeddings of {bundle.bundle_id}" in capsys.readouterr().out
    partitions = command(capsys, "inspect", out).found["bundles"]
    told = {one["bundle_id"]: one for one in partitions}
    assert told[found["bundle_id"]]["verdicts"] == found["verdicts"]
    assert (told[found["bundle_id"]]["scored"], told[bundle.bundle_id]["scored"]) == (bundle.bundle_id, "")


def test_verify_takes_it_for_what_it_is_and_finds_what_was_exchanged(audited: Audited, out: Path, capsys: Capture) -> None:
    first = command(capsys, "attribute", out, "--bundle", audited.other.directory).found
    second = command(capsys, "attribute", out, "--prior", "generated=0.01").found
    whole = files_below(out)
    code, found, _ = command(capsys, "verify", out, "--deep")
    assert (code, found["findings"], found["slices"], found["shards"], found["runs"]) == (0, [], 15, 6, 3)
    mine, others = (out / "attributions" / f"bundle={one['bundle_id']}" for one in (first, second))
    mark = min(mine.iterdir())
    audits = out / "attributions" / f"bundle={first['scoring']['embeddings']}" / mark.name
    for wrong in (others / mark.name, max(mine.iterdir()), audits):
        mark.write_bytes(wrong.read_bytes())
        code, found, _ = command(capsys, "verify", out)
        assert (code, {one["path"] for one in found["findings"]}) == (3, {mark.relative_to(out).as_posix()}), wrong
    command(capsys, "verify", out, "--repair")
    command(capsys, "attribute", out, "--bundle", audited.other.directory)
    assert files_below(out) == whole
    embeddings = out / "embeddings" / f"bundle={first['scoring']['embeddings']}" / mark.name
    embeddings.write_bytes(max(embeddings.parent.iterdir()).read_bytes())
    code, found, _ = command(capsys, "attribute", out, "--prior", "generated=0.2")
    assert (code, found["incomplete"]) == (3, 1)
    assert "is not what its audit wrote" in found["incomplete_shards"][0]["damage"]


def test_an_output_of_an_earlier_version_is_scored_where_its_bundle_still_lies(
    out: Path, bundle: Bundle, audited: Audited, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("causalprint.transforms.tables.partition.FINGERPRINT_DIGEST", "unheard of")
    assert command(capsys, "attribute", out, "--bundle", audited.other.directory).code == 0
    for path in (out / "runs").glob("*.json"):
        text = path.read_text()
        data = json.loads(text)
        data["run"]["config"]["bundle"], data["digest"] = "/nowhere", ""
        path.write_text(json.dumps(data))
    code, found, _ = command(capsys, "attribute", out, "--bundle", audited.other.directory)
    assert (code, "nothing tells what the embeddings" in found["error"]) == (1, True)
    assert command(capsys, "attribute", out, "--bundle", bundle.directory).code == 0, "it is the very bundle"
    assert load_bundle(bundle.directory).fingerprint_digest == audited.other.fingerprint_digest
