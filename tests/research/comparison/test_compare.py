"""``compare`` trains and tests methods alike: one table, the same bytes for the same seed; it goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from causalprint.research.comparison.compare import PREDICTIONS, RESULT, compare
from causalprint.research.comparison.config import CompareConfig
from causalprint.research.comparison.data import CompareError
from causalprint.research.methods import BASELINES
from tests.audits import command
from tests.bundles import photograph
from tests.pipelines.training.test_train import write_tar

SIDE = 64
EACH = 8
METHODS = ("dzanic20", "marra19")
DETERMINISTIC = (RESULT, PREDICTIONS, "figures/compare-jpeg75-accuracy.png", "figures/compare-jpeg75-confusion.png")


def an_image(source: str, seed: int) -> npt.NDArray[np.uint8]:
    """A photograph, with the trace of one of two bad decoders unless it is real."""
    y, x = np.mgrid[:SIDE, :SIDE]
    trace = {"real": 0 * x, "alpha": (x + y) % 2, "beta": x // 2 % 2}[source]
    pixels: npt.NDArray[np.uint8] = np.clip(photograph(seed, SIDE, SIDE) + 40.0 * trace[..., None], 0, 255).astype(np.uint8)
    return pixels


def a_tar(path: Path, sources: Sequence[str] = ("real", "alpha", "beta"), origins: Sequence[str] = ("here", "there")) -> str:
    rows: list[tuple[npt.NDArray[np.uint8], dict[str, str] | None]] = []
    for source in sources:
        for origin in origins:
            for place in range(EACH):
                seed = 1000 * ["real", "alpha", "beta"].index(source) + 100 * sum(map(ord, origin)) + place
                rows.append((an_image(source, seed), {"source": source, "origin": origin, "content": f"{seed}"}))
    return write_tar(path, rows)


def config(output: Path, shard: str, **changes: Any) -> CompareConfig:
    usual = {"methods": METHODS, "seeds": 2, "clip": "none", "threads": 1, "rounds": 40, "device": "cpu", "crop": SIDE}
    return CompareConfig(inputs=(shard,), output=output, **{**usual, **changes})


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> str:
    return a_tar(tmp_path_factory.mktemp("images") / "0.tar")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, shard: str) -> Path:
    output = tmp_path_factory.mktemp("compared")
    compare(config(output, shard, robustness=True))
    return output


def read(output: Path) -> dict[str, Any]:
    found = json.loads((output / RESULT).read_text())
    assert isinstance(found, dict)
    return found


def value(row: dict[str, Any], name: str) -> float:
    return float(next(figure["value"] for figure in row["figures"] if figure["name"] == name))


def test_every_method_and_audit_is_a_row_with_its_figures(compared: Path) -> None:
    found = read(compared)
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == [*(name for name in BASELINES if name in METHODS), "audit-file", "audit-thumbnail", "audit-shuffled"]
    assert found["sources"] == ["real", "alpha", "beta"]
    assert set(found["headline"]) == set(found["sources"])
    assert found["best"] == "marra19"
    assert value(rows["marra19"], "accuracy") > 0.75
    assert value(rows["marra19"], "over_best") == 0
    assert value(rows["audit-shuffled"], "accuracy_all") < 0.7
    for row in found["rows"]:
        assert all(figure["low"] <= figure["high"] for figure in row["figures"] if figure["value"] is not None)
        assert len(row["seeds"]) == 2
        assert ("flips" in {one["name"] for one in row["figures"] if one["value"] is not None}) is not row["audit"]
    document = (compared / "RESULTS.md").read_text()
    assert "causalprint lab compare" in document
    assert BASELINES["marra19"].differs in document
    assert "standard errors" in document
    assert "by JPEG 75" in document.partition("<!-- end compare-jpeg75 -->")[0]


def test_predictions_are_of_origins_that_were_not_learned_from(compared: Path) -> None:
    rows = pq.read_table(compared / PREDICTIONS).to_pylist()
    assert {row["method"] for row in rows} >= set(METHODS)
    for seed, origin in enumerate(["here", "there"]):
        of_seed = [row for row in rows if row["seed"] == seed]
        assert {row["origin"] for row in of_seed} == {origin}
        assert {row["source"] for row in of_seed} == {"real", "alpha", "beta"}
    assert all(abs(sum(row["probabilities"]) - 1) < 1e-5 for row in rows)
    assert all(max(row["probabilities"]) == pytest.approx(row["probability"]) for row in rows)


def test_the_same_seeds_give_the_same_bytes(compared: Path, shard: str, tmp_path: Path) -> None:
    before = {name: (compared / name).read_bytes() for name in DETERMINISTIC}
    section = (compared / "RESULTS.md").read_text().partition("<!-- end compare-jpeg75 -->")[0]
    compare(config(compared, shard, robustness=True, cache=tmp_path / "another"))
    assert {name: (compared / name).read_bytes() for name in DETERMINISTIC} == before
    assert (compared / "RESULTS.md").read_text().partition("<!-- end compare-jpeg75 -->")[0] == section


def test_a_failed_method_is_named_and_resuming_keeps_the_others(
    shard: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("no such thing")

    with monkeypatch.context() as broken:
        broken.setattr("causalprint.research.methods.prism.learn_best", fail)
        with pytest.raises(CompareError, match=r"method prism failed, ZeroDivisionError: no such thing.*--resume"):
            compare(config(tmp_path, shard, methods=("marra19", "prism"), seeds=1))
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache" / "runs").glob("marra19-*")}
    assert len(kept) == 1
    compare(config(tmp_path, shard, methods=("marra19", "prism"), seeds=1, resume=True))
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    whole = tmp_path / "whole"
    compare(config(whole, shard, methods=("marra19", "prism"), seeds=1))
    assert read(whole)["rows"] == read(tmp_path)["rows"]


def test_a_method_that_cannot_run_here_is_a_row_that_says_why(shard: str, tmp_path: Path) -> None:
    from causalprint.research.methods import clip_linear

    name = clip_linear.CLIP_LINEAR.name
    found = compare(config(tmp_path, shard, methods=(name,), seeds=1))
    row = next(row for row in found.rows if row.name == name)
    assert row.unavailable is not None
    assert row.unavailable in (tmp_path / "RESULTS.md").read_text()
    assert not row.figures


def test_left_out_sources_are_tested_as_unknown(shard: str, tmp_path: Path) -> None:
    found = compare(config(tmp_path, shard, leave_out=("beta",), methods=("marra19",), seeds=1))
    assert found.sources == ("real", "alpha")
    assert [split.unknown for split in found.splits] == [2 * EACH]
    assert 0 <= found.rows[0].figure("open_auroc").value <= 1
    assert "Open set: beta left out" in (tmp_path / "RESULTS.md").read_text()


def test_given_test_images_are_the_test_of_every_seed(shard: str, tmp_path: Path) -> None:
    other = a_tar(tmp_path / "test.tar", origins=("elsewhere",))
    validation = a_tar(tmp_path / "val.tar", origins=("nowhere",))
    found = compare(config(tmp_path / "out", shard, test=(other,), validation=(validation,), methods=("marra19",)))
    assert [(split.train, split.validation, split.test) for split in found.splits] == [(6 * EACH, 3 * EACH, 3 * EACH)] * 2
    rows = pq.read_table(tmp_path / "out" / PREDICTIONS).to_pylist()
    assert {row["origin"] for row in rows} == {"elsewhere"}
    stranger = a_tar(tmp_path / "stranger.tar", ("beta",), ("elsewhere",))
    few = a_tar(tmp_path / "few.tar", ("real", "alpha"))
    with pytest.raises(CompareError, match="beta can be tested only as unknown: --leave-out beta"):
        compare(config(tmp_path / "strange", few, test=(stranger,)))


def test_the_command_says_what_is_wrong_in_one_line(shard: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found, _ = command(capsys, "lab", "compare", shard, "-o", tmp_path, "--methods", "marra19,magic")
    assert code == 1
    assert "there is no method magic; choose of" in found["error"]
    code, found, _ = command(
        capsys, "lab", "compare", shard, "-o", tmp_path, "--methods", "marra19", "--crop", SIDE, "--seeds", 1, "--clip", "none"
    )
    assert code == 0
    assert found["rows"][0]["deviation"] is None
