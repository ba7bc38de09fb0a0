"""Images that were resized before they were stored are counted wherever an audit is told, in the words of their sidecars."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from causalprint.__main__ import main
from tests.audits import command, jpeg, tar
from tests.outputs import rows


def test_a_resized_crawl_is_told_once_with_a_remedy(tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = [(64, 64), (64, 64), (1024, 768), (64, 48), None]
    members = []
    for place, side in enumerate(sides):
        members.append((f"{place}.jpg", jpeg(place, 64)))
        told = {} if side is None else {"original_width": side[0], "original_height": side[1], "width": 64, "height": 64}
        members.append((f"{place}.json", json.dumps({"url": "https://example.org", **told}).encode()))
    shard, out = tar(tmp_path / "00000.tar", members), tmp_path / "out"
    code, found, _ = command(capsys, "audit", shard, "-o", out, "--bundle", tiny)
    assert (code, found["attributed"], found["resampled"]) == (0, 5, 2)
    assert [row["resampled"] for row in rows(out, "images").to_pylist()] == [False, False, True, True, None]
    assert rows(out, "shards").column("resampled").to_pylist() == [2]
    for _ in range(2):  # that nothing is computed the second time changes nothing
        main(["audit", str(shard), "-o", str(out), "--bundle", str(tiny)])
        said = " ".join(capsys.readouterr().out.split())
        assert said.count("2 of 5 images were resized before they were stored") == 1
        assert "Before you download" in said
    assert command(capsys, "verify", out).code == 0


def test_where_no_sidecar_says_so_nothing_is_said(tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = tar(tmp_path / "00000.tar", [("a.jpg", jpeg(1, 64))])
    assert main(["audit", str(shard), "-o", str(tmp_path / "out"), "--bundle", str(tiny)]) == 0
    assert "resized" not in capsys.readouterr().out
