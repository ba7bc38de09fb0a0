"""``evaluate`` from labelled shards to its files: real bundles, written whole, the same files for the same command."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from causalprint.__main__ import main
from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.evaluation.perturbations import PERTURBATIONS
from causalprint.pipelines.commands.evaluate import EvaluateConfig
from causalprint.pipelines.evaluation.evaluate import EvaluationError, evaluate
from causalprint.pipelines.evaluation.text import print_evaluation, section
from causalprint.pipelines.results.sections import ResultsError, publish_section, read_section
from causalprint.schemas.evaluations import PREDICTIONS, Evaluation
from causalprint.schemas.records import from_json
from tests.audits import command, tar
from tests.bundles import photograph, tiny_bundle
from tests.outputs import files_below

FEW = 30
SOURCES = ("real", "alpha", "stranger")
PERTURBED = ["none", *PERTURBATIONS]


def shard(path: Path, sources: Sequence[str], count: int = 6, side: int = 256) -> str:
    """``count`` images, labelled in turn; three versions in a row share their content."""
    members = []
    for place in range(count):
        buffer = io.BytesIO()
        Image.fromarray(photograph(1000 + place, side, side)).save(buffer, "PNG")
        label = {"source": sources[place % len(sources)], "origin": f"place-{place % 2}", "content": str(place // 3)}
        members += [(f"{place:03d}.png", buffer.getvalue()), (f"{place:03d}.json", json.dumps(label).encode())]
    return str(tar(path, members))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    return shard(tmp_path_factory.mktemp("images") / "in.tar", SOURCES)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> tuple[str, str]:
    other = tiny_bundle(tmp_path_factory.mktemp("other"), sources=("alpha", "real"), name="other", seed=1)
    return str(tiny), str(other.directory)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, images: str, bundles: tuple[str, str]) -> tuple[EvaluateConfig, Evaluation]:
    """An evaluation with everything, of which several tests look at a part."""
    output = tmp_path_factory.mktemp("out") / "docs"
    output.mkdir()
    publish_section(output, "compare", "another command's", {})
    config = EvaluateConfig((images,), str(output), bundles, robustness=True, seeds=2, threads=2, rounds=FEW)
    return config, evaluate(config)


def test_every_figure_is_in_the_json_and_every_verdict_in_the_table(whole: tuple[EvaluateConfig, Evaluation]) -> None:
    config, found = whole
    output = Path(config.output)
    assert from_json(Evaluation, (output / "evaluation.json").read_bytes()) == found
    table = pq.read_table(output / "predictions.parquet")
    assert table.schema.equals(PREDICTIONS)
    ids = [load_bundle(path).bundle_id for path in config.bundles]
    assert [bundle.bundle_id for bundle in found.bundles] == ids
    rows = table.to_pylist()
    assert [row["bundle"] for row in rows] == [ids[0]] * 6 + [ids[1]] * 6
    assert [row["source"] for row in rows[:3]] == list(SOURCES)
    assert {row["origin"] for row in rows} == {"place-0", "place-1"}
    assert all((row["named"] is not None) == (row["verdict"] == "known") for row in rows)
    assert all(len(row["fingerprint"]) == 128 and any(row["fingerprint"]) for row in rows)
    known = [row for row in rows[:6] if row["source"] != "stranger"]
    recall = {
        source: np.mean([row["candidate"] == source for row in known if row["source"] == source]) for source in ("real", "alpha")
    }
    first = found.bundles[0]
    assert {row.source: row.interval.value for row in first.recalls if not row.origin} == pytest.approx(recall)
    measures = {measure.name: measure for measure in first.measures}
    assert measures["macro accuracy"].interval.value == pytest.approx(np.mean(list(recall.values())))
    assert measures["macro accuracy"].images == 4
    assert {"open set AUROC, novelty", "open set OSCR, novelty", "calibration error after", "log loss before"} <= set(measures)


def test_every_perturbation_has_its_row(whole: tuple[EvaluateConfig, Evaluation]) -> None:
    _, found = whole
    for bundle in found.bundles:
        assert [row.name for row in bundle.robustness] == PERTURBED
        none = bundle.robustness[0]
        assert none.flips.value == none.lost.value == none.answers.value == 0
        assert {row.name for row in bundle.robustness if row.draws == 2} == {
            name for name, one in PERTURBATIONS.items() if one.drawn
        }
        assert any(row.flips.value > 0 for row in bundle.robustness)


def test_bundles_stand_side_by_side_with_paired_differences(whole: tuple[EvaluateConfig, Evaluation]) -> None:
    config, found = whole
    first, second = ({measure.name: measure.interval.value for measure in bundle.measures} for bundle in found.bundles)
    assert {(row.bundle_id, row.name) for row in found.differences} == {
        (found.bundles[1].bundle_id, "macro accuracy"),
        (found.bundles[1].bundle_id, "generated against photographs, AUC"),
    }
    for row in found.differences:
        assert row.interval.value == pytest.approx(second[row.name] - first[row.name], abs=2e-6)
    text = (Path(config.output) / "RESULTS.md").read_text()
    head = next(line for line in text.splitlines() if line.startswith("| figure |"))
    assert all(bundle.bundle_id in head for bundle in found.bundles)


def test_the_section_shows_its_command_and_figures_that_are_there(whole: tuple[EvaluateConfig, Evaluation]) -> None:
    config, found = whole
    output = Path(config.output)
    document = (output / "RESULTS.md").read_text()
    assert read_section(document, "compare") == "another command's"
    shown_section = read_section(document, "evaluate")
    assert shown_section.splitlines()[2:4] == ["```sh", found.command]
    assert found.command.startswith("causalprint evaluate ")
    assert "--robustness --seeds 2" in found.command
    shown = re.findall(r"!\[[^\]]+\]\((\S+)\)", shown_section)
    assert {f"figures/{path.name}" for path in (output / "figures").iterdir()} == set(shown)
    assert {Path(name).stem for name in shown} == {
        f"evaluate-{name}"
        for name in (
            "confusion",
            "confusion-2",
            "fingerprints",
            "fingerprints-2",
            "reliability",
            "robustness",
            "spectra",
        )
    }
    for name in shown:
        with Image.open(output / name) as figure:
            figure.load()
            assert figure.format == "PNG"
        assert (output / name).stat().st_size < 60_000
    assert all(word in shown_section for word in ("void", "### Shortcut audits", "| **real** | all | 2 |", "stranger"))


def test_the_same_command_writes_the_same_files_and_another_track_its_own_section(
    tmp_path: Path, images: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    config = EvaluateConfig((images,), str(output), (str(tiny),), "aligned", seeds=1, threads=1, rounds=FEW)
    found = evaluate(config)
    tests = {measure.name: measure.interval.value for measure in found.bundles[0].measures if "swap" in measure.name}
    assert len(tests) == 3
    assert all(0 <= value <= 1 for value in tests.values())
    assert found.bundles[0].robustness == ()
    before = files_below(output)
    assert "figures/evaluate-aligned-confusion.png" in before
    evaluate(replace(config, threads=2))
    assert files_below(output) == before
    arguments = ("--bundle", tiny, "-o", output, "--track", "hard", "--seeds", 1, "--limit", 5)
    answer = command(capsys, "evaluate", images, *arguments)
    assert (answer.code, answer.found["track"]) == (0, "hard")
    assert [each["source"] for each in answer.found["images"]] == ["alpha", "alpha", "real", "stranger"]  # of two photographs one
    assert sum(each["images"] for each in answer.found["images"]) == 4
    assert from_json(Evaluation, (output / "evaluation.json").read_bytes()) == from_json(Evaluation, json.dumps(answer.found))
    document = (output / "RESULTS.md").read_text()
    assert read_section(document, "evaluate-aligned") == read_section(before["RESULTS.md"].decode(), "evaluate-aligned")
    assert "--track hard --seeds 1 --limit 5" in read_section(document, "evaluate-hard")


def test_perturbations_are_measured_by_name(tmp_path: Path, images: str, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--perturbation", "webp-80", "--perturbation", "jpeg-75", "--seeds", 1)
    answer = command(capsys, "evaluate", images, "--bundle", tiny, "-o", tmp_path / "out", *asked)
    rows = answer.found["bundles"][0]["robustness"]
    assert [row["name"] for row in rows] == ["none", "webp-80", "jpeg-75"]
    assert all(0 <= row["accused"]["value"] <= 1 for row in rows)
    document = (tmp_path / "out" / "RESULTS.md").read_text()
    assert "| falsely accused | true source excluded |" in document
    assert [row["excluded"] for row in rows] == [None] * 3  # too few held-out images of each source
    assert document.count("] | — |\n") == 3


def test_what_cannot_be_evaluated_is_said_and_nothing_is_written(tmp_path: Path, images: str, tiny: Path) -> None:
    output = tmp_path / "out"

    def attempt(*inputs: str, **other: Any) -> None:
        evaluate(EvaluateConfig(inputs, str(output), (str(tiny),), rounds=FEW, **other))

    with pytest.raises(EvaluationError, match=r"no image of .* is of a generator that tiny-\w+ knows \(real, alpha.*'source'"):
        attempt(shard(tmp_path / "strangers.tar", ["nobody", "real"], 4))
    with pytest.raises(EvaluationError, match="has no image labelled 'real'"):
        attempt(shard(tmp_path / "fakes.tar", ["alpha", "beta"], 4))
    with pytest.raises(EvaluationError, match=r"no image that can be decoded and is large enough \(2 were left out\)"):
        attempt(shard(tmp_path / "small.tar", ["alpha", "real"], 2, side=64))
    with pytest.raises(EvaluationError, match=r"no content of .* is there by two sources: .*make-aligned"):
        attempt(shard(tmp_path / "alone.tar", ["alpha"], 3), track="aligned")
    with pytest.raises(EvaluationError, match=r"--robustness measures every perturbation, webp-80 too"):
        attempt(images, robustness=True, perturbations=("webp-80",))
    with pytest.raises(EvaluationError, match="was given twice"):
        evaluate(EvaluateConfig((images,), str(output), (str(tiny), str(tiny))))
    with pytest.raises(EvaluationError, match=r"--perturbation 'jpg' is none of jpeg-90, .*noise$"):
        evaluate(EvaluateConfig((images,), str(tmp_path / "out"), (str(tiny),), perturbations=("jpg",)))
    with pytest.raises(EvaluationError, match="no local folder"):
        evaluate(EvaluateConfig((images,), "s3://bucket/out", (str(tiny),)))
    assert not output.exists()
    output.mkdir()
    (output / "figures").write_text("a file in the way")
    with pytest.raises(ResultsError, match="figures"):
        attempt(images, seeds=1)
    assert [path.name for path in output.iterdir()] == ["figures"]


def test_images_of_training_origins_are_said_to_be(whole: tuple[EvaluateConfig, Evaluation]) -> None:
    _, found = whole
    assert "perhaps those very images" not in section(found, {})
    bundle = found.bundles[0]
    learned = tuple(row._replace(trained=row.origin == "place-0") for row in bundle.recalls)
    text = section(replace(found, bundles=(replace(bundle, recalls=learned),)), {})
    assert f"**2 of 4 images of sources that {bundle.bundle_id} knows are from origins that its card names" in text
    assert re.search(r"\| real \| place-0 \| 1 \| .* † \|", text)


def test_a_person_sees_the_figures_and_where_the_rest_is(whole: tuple[EvaluateConfig, Evaluation]) -> None:
    config, found = whole
    console = Console(file=io.StringIO(), record=True, width=120)
    print_evaluation(found, config.output, console)
    printed = console.export_text()
    assert "macro accuracy" in printed
    assert all(bundle.bundle_id in printed for bundle in found.bundles)
    assert f"{config.output}/RESULTS.md" in printed.replace("\n", "")


def test_a_wrong_command_is_one_line(tmp_path: Path, images: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", images, "--bundle", str(tmp_path / "none"), "-o", str(tmp_path / "o")]) == 1
    assert re.fullmatch(r"causalprint: no bundle.json in .*\n", capsys.readouterr().err)
    assert main(["evaluate", images, "-o", str(tmp_path / "o"), "--track", "gif"]) == 2


def test_what_is_left_out_is_counted_and_said(tmp_path: Path, tiny: Path) -> None:
    whole = Path(shard(tmp_path / "in" / "0.tar", ("real", "alpha")))
    cut = Path(shard(tmp_path / "in" / "1.tar", ("real", "alpha")))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    tar(tmp_path / "in" / "2.tar", [("bare.png", whole.read_bytes()[:600])])
    found = evaluate(EvaluateConfig((str(tmp_path / "in"),), str(tmp_path / "out"), (str(tiny),), threads=2, rounds=FEW, seeds=1))
    assert 6 < sum(row.images for row in found.images) < 12
    assert dict(found.losses.reasons)["unlabelled"] == 1
    assert found.left_out == found.losses.images
    assert found.losses.damage[0].startswith(cut.as_uri())
    text = (tmp_path / "out" / "RESULTS.md").read_text()
    assert "1 unlabelled" in text
    assert f"1 shard is damaged and counts as far as it can be read: {cut.as_uri()}" in text
