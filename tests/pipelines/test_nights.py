"""Two nights of one audit: what it is now, what is new, and what a scheduler is told."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

import causalprint as cp
from causalprint.__main__ import main
from causalprint.schemas.runs import RunManifest
from tests.audits import command, jpeg, photographs_tar, tar

Capture = pytest.CaptureFixture[str]
VIEWS = ("current_images", "current_attributions", "findings")


class Nights(NamedTuple):
    """An audit's input and output, and the manifests of its two runs."""

    crawl: Path
    out: Path
    first: RunManifest
    second: RunManifest


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Nights:
    """20 images of three shards; then one shard more, one changed, one vanished: 17 images, two of them broken."""
    folder = tmp_path_factory.mktemp("nights")
    crawl, out = folder / "crawl", folder / "out"
    for number, size in enumerate((8, 7, 5)):
        photographs_tar(crawl / f"{number}.tar", range(10 * number, 10 * number + size), side=64)
    first = cp.audit(inputs=(str(crawl),), output=str(out), bundle=str(tiny))
    (crawl / "0.tar").unlink()
    photographs_tar(crawl / "1.tar", range(50, 56), side=64)
    tar(crawl / "3.tar", [(f"{n}.jpg", jpeg(60 + n, side=64)[: 500 if n < 2 else None]) for n in range(6)])
    return Nights(crawl, out, first, cp.audit(inputs=(str(crawl),), output=str(out), bundle=str(tiny)))


@pytest.fixture
def copied(nights: Nights, tmp_path: Path) -> Path:
    """The output, to change."""
    return Path(shutil.copytree(nights.out, tmp_path / "out"))


def test_what_an_audit_is_now_is_what_the_dataset_is(nights: Nights) -> None:
    changes = nights.second.changes
    assert changes is not None
    several = {"new": changes.new, "kept": changes.kept, "changed": changes.changed, "vanished": changes.vanished}
    images = {name: (change.shards, change.images) for name, change in several.items()}
    assert images == {"new": (1, 6), "kept": (1, 5), "changed": (1, 6), "vanished": (1, 8)}
    attributed = {name: sum(count.images for count in change.verdicts) for name, change in several.items()}
    assert attributed == {"new": 4, "kept": 5, "changed": 6, "vanished": 8}
    assert changes.previous == nights.first.run.run_id
    assert nights.first.changes is not None
    assert (nights.first.changes.previous, nights.first.changes.new.images) == (None, 20)
    with cp.open_audit(str(nights.out)) as tables:
        assert [len(tables.sql(f"FROM {view}").rows()) for view in VIEWS] == [15, 15, 15]
        assert len(tables.attributions.rows()) == 30, "what was found before is still there"
        assert len(tables.sql("FROM current_rejects").rows()) == 2
        said = Counter(Path(row["shard"]).name for row in tables.findings.rows())
        assert said == {"1.tar": 6, "2.tar": 5, "3.tar": 4}
        assert tables.note == ""
    with duckdb.connect() as connection:
        connection.execute((nights.out / "views.sql").read_text())
        assert connection.sql("SELECT count(*), count(url) FROM findings").fetchall() == [(15, 11)]


def test_a_scheduler_is_told_what_is_new_and_warned_by_its_conditions(
    nights: Nights, copied: Path, tiny: Path, capsys: Capture
) -> None:
    audit = ["audit", nights.crawl, "-o", copied, "--bundle", tiny]
    code, found, _ = command(capsys, *audit, "--fail-if", "rejected > 11 %", "--fail-if", "abstain > 15")
    assert (code, found["exit_code"], found["failed_if"]) == (4, 4, ["rejected > 11 %"]), "2 of 17, and 15"
    shards = {name: (found[name]["shards"], found[name]["images"]) for name in ("new", "kept", "changed", "vanished", "now")}
    assert shards == {"new": (0, 0), "kept": (3, 17), "changed": (0, 0), "vanished": (0, 0), "now": (3, 17)}
    assert found["now"]["rejects"] == [{"stage": "decode", "reason": "truncated-image", "images": 2}]
    wrong = command(capsys, *audit, "--fail-if", "generted > 1 %")
    assert (wrong.code, wrong.found["exit_code"]) == (2, 2)
    assert "'generted > 1 %' is no condition" in wrong.found["error"]
    other = photographs_tar(copied.parent / "other.tar", range(2), side=64)
    assert main(["audit", str(other), "-o", str(copied), "--bundle", str(tiny), "--fail-if", "rejected > 11 %"]) == 0
    text = capsys.readouterr().out
    assert "the audit now has 19 images of 4 shards" in text
    assert "since run" not in text, "there is none before over these inputs"


def test_an_output_of_an_earlier_version_opens_and_says_what_is_not_known(copied: Path) -> None:
    for path in (copied / "runs").glob("*.shards.parquet"):
        path.unlink()
    with cp.open_audit(str(copied)) as tables:
        assert len(tables.findings.rows()) == 15
        assert "no run has listed its shards" in tables.note
    settings = copied / "_causalprint.json"
    about = json.loads(settings.read_text())
    settings.write_text(json.dumps({"schema_version": 2, "slicing": about["slicing"]}))
    shutil.rmtree(copied / "runs")
    for path in (copied / "rejects").rglob("*.parquet"):
        path.unlink()
    with cp.open_audit(str(copied)) as tables:
        assert len(tables.findings.rows()) == 30
        assert tables.rejects.rows() == []
        assert "every slice that is committed" in tables.note
