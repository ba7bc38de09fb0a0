"""The promises of the tables, kept by whole audits: resumable after any kill, invariant, closed, bounded."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from causalprint.pipelines.audit import execute, plan
from causalprint.schemas.config import AuditConfig
from tests.audits import jpeg, photographs_tar, tar
from tests.forks import Fork, Forks
from tests.outputs import files_below, rows
from tests.shards import MEMBER_WAYS, Sample, damaged_tar, make_samples

KILLS = 20

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of 26 images: two tars, one of them damaged, and two folders."""
    root = tmp_path_factory.mktemp("crawl")
    photographs_tar(root / "00000.tar", range(8))
    damaged = tar(root / "00001.tar", [(f"{seed}.jpg", jpeg(seed, side=256 if seed % 3 else 100)) for seed in range(100, 108)])
    data = bytearray(damaged.read_bytes())
    data[512 * 40 :] = data[512 * 40 :][:-9000]
    damaged.write_bytes(data)
    for name, seeds in {"a": range(200, 206), "b": range(300, 304)}.items():
        (root / name).mkdir()
        for seed in seeds:
            (root / name / f"{seed}.jpg").write_bytes(jpeg(seed))
    return root


def test_twenty_kills_change_nothing(forks: Forks, crawl: Path, tiny: Path, tmp_path: Path) -> None:
    """Killed with -9 at random moments and started again, an audit comes to the files of one that nobody disturbed."""
    draw = random.Random(20)

    def audit(output: Path) -> Fork:
        return forks.start("audit", crawl, "-o", output, "--bundle", tiny, "--slice-images", 2, "--json")

    began = time.monotonic()
    code = audit(tmp_path / "whole").wait().code
    length = time.monotonic() - began
    assert code == 3  # one shard is damaged
    whole = files_below(tmp_path / "whole")
    slices = len(_commits(tmp_path / "whole"))
    kills = outputs = 0
    while kills < KILLS:
        outputs += 1
        output = tmp_path / str(outputs)
        for _ in range(draw.randint(3, 7)):
            before = _commits(output)
            running = audit(output)
            # Some kills come at a random time, others soon after a random number of slices was committed.
            if draw.random() < 0.3:
                time.sleep(draw.uniform(0, length))
            else:
                enough = len(before) + draw.randint(0, 2)
                while running.runs and len(_commits(output)) < enough:
                    time.sleep(0.005)
                time.sleep(draw.uniform(0, 0.03))
            running.kill()
            killed = running.wait().code == -9
            kills += killed
            assert before.items() <= _commits(output).items(), "a committed slice was written again"
            if not killed or kills == KILLS:
                break
        kept = _commits(output)
        last = audit(output)
        assert last.wait().code == 3, last.err.read_text()
        assert json.loads(last.out.read_text())["computed"] == slices - len(kept)
        assert kept.items() <= _commits(output).items(), "a committed slice was written again"
        assert files_below(output) == whole


def test_workers_batches_and_order_change_nothing(
    forks: Forks, crawl: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    expected = tmp_path / "expected"
    assert forks.run("audit", crawl, "-o", expected, "--bundle", tiny, "--slice-images", 3).code == 3
    for number, (workers, batch_size) in enumerate([(1, 1), (1, 7), (2, 32), (3, 7)]):
        output = tmp_path / str(number)
        planned = plan(
            AuditConfig(
                inputs=(str(crawl),),
                output=str(output),
                bundle=str(tiny),
                batch_size=batch_size,
                slice_images=3,
                beam_options=(f"--direct_num_workers={workers}",),
            )
        )
        shuffled = random.Random(number).sample(planned.shards, len(planned.shards))
        execute(replace(planned, shards=tuple(shuffled)))
        for table in ("images", "embeddings", "attributions", "rejects", "shards"):
            assert rows(output, table).equals(rows(expected, table)), (table, workers, batch_size)
        assert files_below(output) == files_below(expected)


def test_ten_thousand_images_close_their_accounts_in_the_memory_of_a_thousand(forks: Forks, tiny: Path, tmp_path: Path) -> None:
    peaks = {}
    for size in (100, 1000):
        expected = _damaged_crawl(tmp_path / f"in-{size}", images=size)
        output = tmp_path / f"out-{size}"
        running = forks.start("audit", tmp_path / f"in-{size}", "-o", output, "--bundle", tiny, "--slice-images", 100, "--json")
        end = running.wait()
        peaks[size] = end.peak
        found: dict[str, Any] = json.loads(running.out.read_text())
        assert end.code == found["exit_code"] == 3
        assert found["seen"] == found["attributed"] + found["rejected"] == 10 * size
        assert found["rejected"] == len(expected) == size * 10 // 20
        rejects = {(row["shard"], row["member"]): row["reason"] for row in rows(output, "rejects").to_pylist()}
        assert rejects == expected
        assert all(row["seen"] == row["attributed"] + row["rejected"] == size for row in rows(output, "shards").to_pylist())
        analysed = rows(output, "attributions").filter(_not_too_small(output)).num_rows
        assert analysed == rows(output, "embeddings").num_rows > 0
    assert peaks[1000] < 1.3 * peaks[100]


def _damaged_crawl(folder: Path, images: int) -> dict[tuple[str, str], str]:
    """Ten tars of ``images`` each, one in twenty damaged, in all eight ways; returns the reason for every (shard, member)."""
    folder.mkdir()
    draw = random.Random(images)
    expected: dict[tuple[str, str], str] = {}
    ways = [way for way in MEMBER_WAYS if way != "cut inside"]
    for number in range(10):
        samples = make_samples(images, seed=number)
        large = draw.sample(range(images - 1), 6)
        for place in large[:2]:
            samples[place] = Sample(samples[place].key, "jpg", jpeg(number * 10_000 + place), samples[place].metadata)
        others = draw.sample([place for place in range(images - 1) if place not in large], images // 20 - 1)
        damaged = {place: ways[order % len(ways)] for order, place in enumerate(others)} | {images - 1: "cut inside"}
        data, reasons = damaged_tar(samples, damaged)
        path = folder / f"{number:05d}.tar"
        path.write_bytes(data)
        expected |= {(f"file://{path}", member): str(reason) for member, reason in reasons.items()}
    return expected


def _not_too_small(output: Path) -> Any:
    import pyarrow.compute as pc

    return pc.fill_null(pc.not_equal(rows(output, "attributions").column("reason"), "too-small"), True)


def _commits(output: Path) -> dict[str, tuple[int, int]]:
    """The committed slices: each attributions file, with what would change if it were written again."""
    found = {}
    for path in output.glob("attributions/*/*.parquet"):
        stat = path.stat()
        found[path.name] = (stat.st_ino, stat.st_mtime_ns)
    return found
