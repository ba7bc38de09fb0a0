"""What ``causalprint verify`` says, and exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from causalprint.__main__ import main
from tests.audits import command, photographs_tar
from tests.outputs import files_below

Capture = pytest.CaptureFixture[str]


def test_an_audits_output_is_verified_repaired_and_completed(tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    photographs_tar(tmp_path / "in" / "0.tar", range(4))
    out = tmp_path / "out"
    audit = ["audit", tmp_path / "in", "-o", out, "--bundle", tiny, "--slice-images", 2]
    assert command(capsys, *audit).code == 0
    whole = files_below(out)
    code, found, _ = command(capsys, "verify", out, "--deep")
    assert (code, found["findings"], found["unverified"], found["removed"]) == (0, [], 0, [])
    assert (found["slices"], found["shards"], found["runs"], found["files"]) == (2, 1, 1, 13)
    path = min((out / "embeddings").rglob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    name = path.relative_to(out).as_posix()
    assert command(capsys, "verify", out).code == 0, "without --deep no byte of it is read"
    code, found, _ = command(capsys, "verify", out, "--deep")
    assert (code, [(one["path"], one["kind"]) for one in found["findings"]]) == (3, [(name, "damaged")])
    assert "its receipt says" in found["findings"][0]["detail"]
    assert main(["verify", str(out), "--deep", "--repair"]) == 3
    text = capsys.readouterr().out
    assert f"removed {name}" in text
    assert "next: the same audit again" in text
    again = command(capsys, *audit)
    assert (again.code, again.found["computed"]) == (0, 1)
    assert files_below(out) == whole
    assert command(capsys, "verify", out, "--deep").code == 0
    for manifest in (out / "runs").iterdir():
        manifest.unlink()
    assert main(["verify", str(out)]) == 0, "so is what a killed run leaves"
    assert "no run has finished here, or its manifest was removed" in capsys.readouterr().out


def test_the_manifest_ties_the_tables_to_the_run(tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    photographs_tar(tmp_path / "in" / "0.tar", range(2))
    audit = ["audit", tmp_path / "in", "-o", tmp_path / "out", "--bundle", tiny]
    first, again = (json.loads(Path(command(capsys, *audit).found["manifest"]).read_text()) for _ in range(2))
    (shard,) = first["totals"]["closed"]
    assert shard["uri"].endswith("in/0.tar")
    assert shard["account"] == first["totals"]["accounts"]
    assert again["totals"]["closed"] == first["totals"]["closed"], "who computed it is no part of it"
    other = command(capsys, *audit[:3], tmp_path / "other", *audit[4:], "--slice-images", 1).found
    assert json.loads(Path(other["manifest"]).read_text())["totals"]["accounts"] != first["totals"]["accounts"]


def test_what_is_no_output_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    code, found, _ = command(capsys, "verify", tmp_path)
    assert (code, found["exit_code"]) == (1, 1)
    assert "is no output of an audit" in found["error"]
