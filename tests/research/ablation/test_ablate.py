"""``ablate`` trains a recipe without each of its parts: one table, the same bytes each time, on the features that train uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from causalprint.pipelines.commands.train import TrainConfig
from causalprint.pipelines.training.train import TrainingError, train
from causalprint.research.ablation.ablate import RESULT, AblateError, ablate
from causalprint.research.ablation.config import AblateConfig
from causalprint.research.ablation.report import Ablation, AblationRow, verdict
from causalprint.research.comparison.records import Measured
from causalprint.schemas.records import from_json
from tests.audits import command
from tests.bundles import tiny_prior
from tests.pipelines.training.test_train import commits, labelled, write_tar

ONLY = ("closed-form", "no-invariance", "rgb/image", "stats/image")


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tar(tmp_path_factory.mktemp("images") / "0.tar", labelled(0, ["here", "there"]))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recipe that computes little."""
    folder = tmp_path_factory.mktemp("recipe")
    lenses = "[{lens: rgb, reading: image}, {lens: stats, reading: image}]"
    (folder / "small.yaml").write_text(
        f"{{name: small, about: little, residual: 'denoise:{tiny_prior(folder / 'prior')}?sigma=0.05', interventions: [{{}}], "
        f"lenses: {lenses}, components: 8, objective: {{invariance: 0.5}}, optimiser: {{epochs: 1, batch: 8}}}}"
    )
    return str(folder / "small.yaml")


def config(shard: str, small: str, output: Path) -> AblateConfig:
    return AblateConfig((shard,), output, small, seeds=2, device="cpu", threads=1, only=ONLY, rounds=20)


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory, shard: str, small: str) -> Path:
    output = tmp_path_factory.mktemp("ablated")
    ablate(config(shard, small, output))
    return output


def read(output: Path) -> Ablation:
    return from_json(Ablation, (output / RESULT).read_text())


def test_every_row_is_tested_on_origins_that_were_not_learned_from(ablated: Path) -> None:
    found = read(ablated)
    assert [row.name for row in found.rows] == ["full", *ONLY]
    assert found.sources == found.headline == ("real", "checkerboard")
    assert [(split.seed, split.test) for split in found.splits] == [(0, 10), (1, 10)]
    assert found.best_lens in ONLY[2:]
    for row in found.rows:
        assert {one.name for one in row.figures} == {"accuracy", "accuracy_all", "real_auc", "over_recipe", "over_best"}
        accuracy = row.figure("accuracy")
        assert accuracy.low <= accuracy.value <= accuracy.high
        assert len(row.seeds) == 2
        assert row.accuracy == pytest.approx(sum(one.accuracy or 0 for one in row.seeds) / 2, abs=1e-4)
        assert row.invariance is not None
        assert row.independence is not None
        assert len(row.detection) == 2  # as they are, and in one version
        assert all(0 <= share <= 1 for pair in row.detection for share in pair if share is not None)
    assert found.rows[0].figure("over_recipe") == (0, 0, 0)
    best = next(row for row in found.rows if row.name == found.best_lens)
    of_full, of_best = (row.figure("accuracy").value for row in (found.rows[0], best))
    assert found.rows[0].figure("over_best").value == pytest.approx(of_full - of_best, abs=1e-4)


def test_the_section_has_the_command_every_row_and_the_verdict(ablated: Path, shard: str) -> None:
    document = (ablated / "RESULTS.md").read_text()
    found = read(ablated)
    assert f"causalprint lab ablate {shard} --output {ablated}" in document
    assert all(row.title in document for row in found.rows)
    assert document.rstrip().endswith(f"{verdict(found)}\n\n<!-- end ablation -->")


def test_again_it_replaces_its_section_by_the_same_from_the_same_features(ablated: Path, shard: str, small: str) -> None:
    before = (ablated / RESULT).read_bytes()
    features = commits(ablated / "features")
    results = ablated / "RESULTS.md"
    section = results.read_text()
    results.write_text(section.replace("without invariance", "as it was") + "\nBelow it.\n")
    ablate(config(shard, small, ablated))
    assert (ablated / RESULT).read_bytes() == before
    assert results.read_text() == section + "\nBelow it.\n"
    assert features
    assert commits(ablated / "features") == features


def test_a_training_takes_the_same_features(ablated: Path, shard: str, small: str, tmp_path: Path) -> None:
    features = commits(ablated / "features")
    kept = str(ablated / "features")

    def stop(text: str) -> None:
        if "fitting" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(TrainConfig((shard,), str(tmp_path / "bundle"), recipe=small, device="cpu", threads=1, features=kept), stop)
    assert features
    assert commits(ablated / "features") == features


def test_the_command_prints_the_table_as_json(
    ablated: Path, shard: str, small: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ("lab", "ablate", shard, "--recipe", small, "-o", tmp_path, "--features", ablated / "features", "--seeds", 1)
    answer = command(capsys, *asked, "--only", "full")
    assert answer.code == 0
    assert answer.found == json.loads((tmp_path / RESULT).read_text())
    assert [row["name"] for row in answer.found["rows"]] == ["full"]
    assert answer.found["best_lens"] is None
    unknown = command(capsys, *asked, "--only", "no-swap")
    assert unknown.code == 1
    assert unknown.found["error"].startswith("this recipe has no row no-swap; choose of full, closed-form, ")


def test_what_cannot_be_ablated_is_said(small: str, tmp_path: Path) -> None:
    one_source = write_tar(tmp_path / "real.tar", [(rows[0], rows[1]) for rows in labelled(0, ["here"])[::2]])
    with pytest.raises(TrainingError, match=r"found \{'real': 5\}"):
        ablate(config(one_source, small, tmp_path / "out"))
    with pytest.raises(AblateError, match="no row what"):
        ablate(AblateConfig((one_source,), tmp_path / "out", small, only=("what",)))


@pytest.mark.parametrize(
    ("gained", "said"),
    [
        ((0.05, 0.02, 0.08), "Fusion beats its best lens, b, which the same test chose, by 0.050 [0.020, 0.080] of"),
        ((-0.05, -0.08, -0.02), "Fusion loses to its best lens, b, which the same test chose, by 0.050 [0.020, 0.080] of"),
        ((0.01, -0.02, 0.04), "Fusion is not told apart from its best lens, b, which the same test chose: its macro accuracy"),
    ],
)
def test_the_verdict_says_whether_fusion_beats_its_best_lens(gained: tuple[float, float, float], said: str) -> None:
    rows = tuple(a_row(name, {"over_best": gained}) for name in ("full", "b"))
    assert verdict(Ablation((), "r", "", ("real", "x"), (), (), "b", rows)).startswith(said)
    assert not verdict(Ablation((), "r", "", ("real", "x"), (), (), None, rows))


def a_row(name: str, figures: Mapping[str, tuple[float, float, float]]) -> AblationRow:
    given = tuple(Measured(key, *values) for key, values in figures.items())
    return AblationRow(name, name, name != "full", given, (), None, None, None, None, ())
