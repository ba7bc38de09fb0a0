"""What is left out of an audit is told wherever somebody looks, and never by exit code 0 where images may be missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from causalprint.__main__ import main
from causalprint.schemas.config import Storage
from causalprint.transforms.tables.manifests import read_manifest
from tests.audits import command, jpeg, photographs_tar
from tests.outputs import rows

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    """A tar of four images, and its statistics."""
    root = tmp_path / "crawl"
    photographs_tar(root / "00000.tar", range(4), side=64)
    (root / "00000_stats.json").write_text("{}")
    return root


def test_what_is_plainly_no_shard_is_told_and_is_no_failure(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    code, found, _ = command(capsys, "audit", crawl, "-o", tmp_path / "out", "--bundle", tiny)
    example = (crawl / "00000_stats.json").as_uri()
    assert (code, found["left_out"]) == (0, [{"kind": ".json file", "count": 1, "example": example, "missing": False}])


def test_what_looks_like_a_shard_and_is_not_read_ends_with_3_everywhere(
    crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture
) -> None:
    (crawl / "00001.7z").write_bytes(b"7z")
    (crawl / "00002.7z").write_bytes(b"7z")
    out = tmp_path / "out"
    for _ in range(2):
        code, found, _ = command(capsys, "audit", crawl, "-o", out, "--bundle", tiny)
        assert (code, found["exit_code"], found["incomplete"], found["seen"]) == (3, 3, 0, 4)
        first, second = found["left_out"]
        assert first == {"kind": ".7z file", "count": 2, "example": (crawl / "00001.7z").as_uri(), "missing": True}
        assert second["missing"] is False
        manifest = read_manifest(str(out), found["run_id"], Storage())
        assert manifest is not None
        assert [each.count for each in manifest.run.left_out] == [2, 1]
    assert command(capsys, "inspect", out).found["left_out"] == found["left_out"]
    assert command(capsys, "inspect", crawl).found["left_out"] == found["left_out"]
    for arguments in (
        ["audit", str(crawl), "-o", str(out), "--bundle", str(tiny)],
        ["inspect", str(out)],
        ["inspect", str(crawl)],
    ):
        main(arguments)
        text = " ".join(capsys.readouterr().out.split())
        assert "NOT READ: 2 .7z files, such as" in text
        assert "left out: 1 .json file" in text


def test_an_image_without_bytes_is_a_reject_and_ends_with_3(tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(jpeg(1, side=64))
    (tmp_path / "photos" / "b.jpg").symlink_to(".git/annex/objects/b.jpg")
    (tmp_path / "photos" / "scores.npy").write_text("#")
    code, found, _ = command(capsys, "audit", tmp_path / "photos", "-o", tmp_path / "out", "--bundle", tiny)
    assert (code, found["seen"], found["attributed"]) == (3, 2, 1)
    assert found["rejects"] == [{"stage": "read", "reason": "no-bytes", "images": 1}]
    assert found["skipped_kinds"] == [{"kind": ".npy", "members": 1}]
    (row,) = rows(tmp_path / "out", "shards").to_pylist()
    assert row["damage"] == "'b.jpg' has no bytes: it is a link that leads nowhere"
    assert row["skipped_kinds"] == [{"kind": ".npy", "members": 1}]


def test_a_limit_with_a_new_first_shard_overwrites_nothing(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    asked = ("audit", crawl, "-o", out, "--bundle", tiny, "--limit", 3, "--slice-images", 2)
    assert command(capsys, *asked).found["seen"] == 3
    before = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    photographs_tar(crawl / "0.tar", range(10, 12), side=64)
    code, found, _ = command(capsys, *asked)
    assert (code, found["seen"], found["limited"]) == (0, 3, 1)
    assert before.items() <= {path: path.read_bytes() for path in out.rglob("*.parquet")}.items()
    accounts = rows(out, "shards").to_pylist()
    assert sum(row["seen"] for row in accounts) == rows(out, "attributions").num_rows == 6
    named = [slice_id for row in accounts for slice_id in row["slice_ids"]]
    assert sorted(named) == sorted(set(rows(out, "attributions")["slice_id"].to_pylist()))


def test_a_sample_is_drawn_once_and_is_no_failure(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    photographs_tar(crawl / "00001.tar", range(10, 14), side=64)
    out = tmp_path / "out"
    asked = ("audit", crawl, "-o", out, "--bundle", tiny, "--sample", 4, "--seed", 1)
    code, found, _ = command(capsys, *asked)
    assert (code, found["seen"], found["shards"], found["limited"]) == (0, 4, 2, 2)
    assert {(row["image_limit"], row["drawn_from"]) for row in rows(out, "shards").to_pylist()} == {(2, 4)}
    members = rows(out, "attributions")["member"].to_pylist()
    workers = ("--", "--direct_num_workers=2", "--direct_running_mode=multi_threading")
    code, again, _ = command(capsys, *asked, *workers)
    assert (code, again["computed"]) == (0, 0)
    command(capsys, *asked[:3], tmp_path / "other", *asked[4:], *workers)
    assert rows(tmp_path / "other", "attributions")["member"].to_pylist() == members
    code, refused, _ = command(capsys, *asked[:-1], 2)
    assert code == 1
    assert "give --sample 4 --seed 1" in refused["error"]
    assert command(capsys, "inspect", out).found["sample"] == {"images": 4, "seed": 1, "shards": None}


def test_a_limit_and_a_sample_are_one_too_many(crawl: Path, tmp_path: Path, capsys: Capture) -> None:
    code, found, _ = command(capsys, "audit", crawl, "-o", tmp_path / "out", "--limit", 3, "--sample", 3)
    assert code == 2
    assert "give one of them" in found["error"]
