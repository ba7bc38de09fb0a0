"""``audit --dry-run``: what it foretells is what the audit then comes to, and it writes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.audits import command, jpeg, photographs_tar, tar

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of 240 images, of which not all are looked at, and one of five, two of them broken."""
    folder = tmp_path_factory.mktemp("crawl")
    photographs_tar(folder / "0.tar", range(240), side=40)
    tar(folder / "1.tar", [(f"{n}.jpg", jpeg(n, side=40)[: 300 if n < 2 else None]) for n in range(5)])
    return folder


def files_of(out: Path) -> list[Path]:
    return [path for path in out.glob("*/bundle=*/*.parquet") if not path.name.startswith("_")]


def foretell(capsys: Capture, crawl: Path, out: Path, tiny: Path, *options: object) -> dict[str, Any]:
    code, found, log = command(capsys, "audit", crawl, "-o", out, "--bundle", tiny, *options, "--dry-run")
    assert code == 0, log
    return found


def test_it_writes_nothing_and_the_audit_comes_to_what_it_said(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    found = foretell(capsys, crawl, out, tiny, "--slice-images", 50)
    assert not out.exists()
    assert (found["shards"], found["kept"], found["counted"], found["sampled_shards"]) == (2, 0, False, 2)
    assert found["bytes"] == sum(path.stat().st_size for path in crawl.iterdir())
    audited = command(capsys, "audit", crawl, "-o", out, "--bundle", tiny, "--slice-images", 50).found
    assert found["images"] == pytest.approx(audited["seen"], rel=0.1)
    written = files_of(out)
    assert found["files"] == pytest.approx(len(written), rel=0.25)
    assert found["output_bytes"] == pytest.approx(sum(path.stat().st_size for path in written), rel=0.25)
    again = foretell(capsys, crawl, out, tiny)
    assert (again["kept"], again["images"], again["files"], again["output_bytes"]) == (2, 0, 0, 0)
    photographs_tar(crawl / "2.tar", range(7), side=40)
    night = foretell(capsys, crawl, out, tiny)
    (crawl / "2.tar").unlink()
    assert (night["shards"], night["kept"], night["images"], night["counted"]) == (3, 2, 7, True)


def test_what_only_moved_is_read_and_costs_no_computing(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    command(capsys, "audit", crawl / "1.tar", "-o", out, "--bundle", tiny)
    shutil.copytree(crawl, elsewhere)
    found = foretell(capsys, elsewhere, out, tiny, "--same-as", f"{crawl}={elsewhere}")
    assert (found["shards"], found["kept"], found["moved"]) == (2, 0, 1)
    only = foretell(capsys, elsewhere / "1.tar", out, tiny, "--same-as", f"{crawl}={elsewhere}")
    assert (only["moved"], only["images"], only["seconds"], only["core_hours"]) == (1, 5, 0, 0)


@pytest.mark.parametrize(
    ("options", "images"), [(("--limit", 20), 20), (("--sample", 30), 30), (("--sample", 9, "--sample-shards", 2), 9)]
)
def test_what_is_asked_for_is_not_estimated(
    options: tuple[object, ...], images: int, crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture
) -> None:
    found = foretell(capsys, crawl, tmp_path / "out", tiny, *options)
    assert found["images"] == images
    known_to = pytest.approx(0.98 / images**0.5, rel=1e-3)
    assert found["sampled_to"] == (None if options[0] == "--limit" else [known_to, known_to])  # no shard was left out


def test_what_an_audit_would_refuse_is_refused(crawl: Path, tmp_path: Path, tiny: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert command(capsys, "audit", crawl, "-o", out, "--bundle", tiny, "--limit", 3).code == 0
    code, found, _ = command(capsys, "audit", crawl, "-o", out, "--bundle", tiny, "--dry-run")
    assert code == 1
    assert "--limit 3" in found["error"]
