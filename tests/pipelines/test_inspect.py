"""What ``causalprint inspect`` shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from causalprint.__main__ import main
from causalprint.models.bundles.bundle import DEFAULT, load_bundle
from tests.audits import command, jpeg, photographs_tar, tar

Capture = pytest.CaptureFixture[str]


def test_an_output(tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    photographs_tar(tmp_path / "in" / "0.tar", range(3))
    damaged = photographs_tar(tmp_path / "in" / "1.tar", range(3, 6))
    damaged.write_bytes(damaged.read_bytes()[:-20_000])
    out = tmp_path / "out"
    audited = command(capsys, "audit", tmp_path / "in", "-o", out, "--bundle", tiny, "--slice-images", 2).found
    code, found, _ = command(capsys, "inspect", out)
    assert code == 0
    assert found["kind"] == "output"
    assert found["slicing"]["images"] == 2
    assert found["runs"] == [audited["run_id"]]
    (partition,) = found["bundles"]
    assert partition["bundle_id"] == audited["bundle_id"]
    assert partition["verdicts"] == audited["verdicts"]
    assert partition["rejects"] == audited["rejects"]
    tables = {table["table"]: table for table in partition["tables"]}
    assert tables["attributions"]["rows"] == tables["images"]["rows"] == audited["attributed"]
    assert tables["attributions"]["files"] == audited["slices"]
    assert tables["rejects"]["rows"] == audited["rejected"]
    assert (partition["shards"], partition["complete"]) == (2, 1)
    assert partition["incomplete_shards"] == audited["incomplete_shards"]
    assert main(["inspect", str(out)]) == 0
    text = capsys.readouterr().out
    assert "1 of 2 closed shards complete" in text
    now = found["now"]
    assert now["images"] == audited["attributed"]
    assert now["taken"] == sum(one["images"] for one in audited["verdicts"] if one["verdict"] in ("known", "unknown"))
    assert (now["conflicts"], now["estimate"]) == (0, None)
    assert sum(place["taken"] for place in now["domains"]) == now["taken"], "all were crawled from one site"
    assert f"now: {now['images']} images" in text
    assert f"causalprint report {out}" in text
    assert audited["bundle_id"] in text


def test_a_bundle(tiny: Path, capsys: Capture) -> None:
    bundle = load_bundle(tiny)
    code, found, _ = command(capsys, "inspect", tiny)
    assert (code, found["kind"], found["bundle_id"]) == (0, "bundle", bundle.bundle_id)
    assert found["manifest"]["sources"] == list(bundle.manifest.sources)
    assert main(["inspect", str(tiny)]) == 0
    text = capsys.readouterr().out
    for shown in (bundle.bundle_id, *bundle.manifest.sources, bundle.manifest.residual, "Apache-2.0"):
        assert shown in text


def test_the_bundle_inside_the_package_has_a_name(
    tiny: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    packaged = load_bundle().bundle_id
    assert command(capsys, "inspect", "default").found["bundle_id"] == packaged
    (tmp_path / "default").symlink_to(tiny)
    assert command(capsys, "inspect", "default").found["bundle_id"] == load_bundle(tiny).bundle_id
    assert command(capsys, "inspect", "bundle:default").found["bundle_id"] == packaged


def test_a_bundle_whose_figures_are_void(capsys: Capture) -> None:
    found = command(capsys, "inspect", DEFAULT).found
    assert found["void"] is True
    assert main(["inspect", str(DEFAULT)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(warning in text for warning in found["warnings"])
    assert "The figures are void as evidence of fingerprints" in text
    assert "nothing is proved about new origins" in text


def test_a_shard(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # however long the folder's name is
    members = [(f"{index:03d}.jpg", jpeg(index, side=32)) for index in range(12)]
    whole = tar(tmp_path / "whole.tar", [*members, ("README.md", b"#")])
    code, found, _ = command(capsys, "inspect", whole)
    (shard,) = found["shards"]
    assert (code, found["kind"], shard["format"]) == (0, "shards", "tar")
    assert (shard["images"], shard["skipped"], shard["rejects"], shard["damage"]) == (12, 1, [], None)
    assert shard["image_bytes"] == sum(len(data) for _, data in members)
    assert shard["members"] == [name for name, _ in members[:10]]
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[:3000])
    (damaged,) = command(capsys, "inspect", cut).found["shards"]
    assert damaged["damage"] is not None
    assert damaged["images"] < 12
    assert main(["inspect", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "whole.tar" in text
    assert damaged["damage"][:30] in text


def test_an_image_file(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(0, side=32))
    code, found, _ = command(capsys, "inspect", tmp_path / "a.jpg")
    (shard,) = found["shards"]
    assert (code, found["kind"], shard["uri"]) == (0, "shards", (tmp_path / "a.jpg").as_uri())
    assert (shard["images"], shard["members"], shard["damage"]) == (1, ["a.jpg"], None)


@pytest.mark.parametrize("what", ["nowhere", "notes.txt"])
def test_what_is_nothing_of_this_is_one_line(what: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    code, found, log = command(capsys, "inspect", tmp_path / what)
    assert code == 1
    assert what in found["error"]
    assert log.count("\n") == 1


def test_a_damaged_bundle_is_one_line(tiny: Path, tmp_path: Path, capsys: Capture) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "bundle.json").write_bytes((tiny / "bundle.json").read_bytes()[:100])
    code, found, _ = command(capsys, "inspect", copy)
    assert code == 1
    assert "bundle.json" in found["error"]
