"""``lab structure`` reads what ``evaluate`` wrote, and writes its table and its section."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from causalprint.__main__ import main
from causalprint.pipelines.results.sections import read_section
from causalprint.research.structure.config import StructureConfig
from causalprint.research.structure.study import EvidenceError, Structure, structure
from causalprint.schemas.evaluations import PREDICTIONS
from causalprint.schemas.records import from_json
from tests.audits import command

SOURCES = ("real", "stylegan2-ffhq", "stable-diffusion-1", "sdxl-finetune", "dalle-2", "somebody")
"""Three in latents, two in pixels, and two without a declared design."""


def evidence(folder: Path, bundles: tuple[str, ...] = ("one-1", "two-2"), sources: tuple[str, ...] = SOURCES) -> Path:
    """An evaluation's table: fingerprints of what draws in latents lie apart."""
    draw = np.random.default_rng(0)
    rows = []
    for bundle in bundles:
        for place, source in enumerate(sources):
            centre = np.full(128, 3.0 if "diffusion" in source or "sdxl" in source else -3.0)
            rows += [
                {
                    **dict.fromkeys(("image_id", "origin", "content", "verdict", "candidate"), "x"),
                    "source": source,
                    "bundle": bundle,
                    "named": None,
                    "probability": 0.5,
                    "generated_probability": 0.5,
                    "novelty": 0.5,
                    "fingerprint": (centre + draw.normal(0, 1, 128)).astype(np.float16).tolist(),
                }
                for _ in range(10 + place)
            ]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, PREDICTIONS), folder / "predictions.parquet")
    return folder


def test_each_bundle_has_its_table_in_json_and_in_the_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, output = evidence(tmp_path / "evidence"), tmp_path / "out"
    code, found, _ = command(capsys, "lab", "structure", given, "--output", output, "--seed", 3)
    assert code == 0
    made = from_json(Structure, (output / "structure.json").read_bytes())
    assert made == structure(StructureConfig(given, output, 3))
    assert [bundle["bundle_id"] for bundle in found["bundles"]] == ["one-1", "two-2"]
    rows = {row.choice: row for row in made.bundles[0].rows}
    assert rows["space"].nmi == pytest.approx(1)
    assert (rows["space"].values, rows["space"].sources, rows["space"].images) == (2, 4, 11 + 12 + 13 + 14)
    text = read_section((output / "RESULTS.md").read_text(), "structure")
    assert f"causalprint lab structure {given} --output {output} --seed 3" in text
    assert "### Structure of two-2" in text
    assert "| space | 2 | 4 | 50 | 1.000 |" in text
    assert main(("lab", "structure", str(given), "--output", str(output))) == 0
    printed = capsys.readouterr().out
    assert "one-1: design choice" in printed
    assert f"section: {output}/RESULTS.md" in printed.replace("\n", "")


def test_what_cannot_be_studied_is_told(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(EvidenceError, match=r"predictions\.parquet is not there; give the folder that `causalprint evaluate"):
        structure(StructureConfig(tmp_path, output))
    pq.write_table(pa.table({"a": [1]}), tmp_path / "predictions.parquet")
    with pytest.raises(EvidenceError, match="is no table of an evaluation"):
        structure(StructureConfig(tmp_path, output))
    with pytest.raises(EvidenceError, match="fewer than 3 of its sources have a declared design"):
        structure(StructureConfig(evidence(tmp_path / "few", sources=("real", "dalle-2", "somebody")), output))
    assert not output.exists()
