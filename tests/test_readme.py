"""What the README shows, run as it stands there, over what the demo writes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.bundles.manifest import Origin
from causalprint.pipelines.shards import demo as shards
from causalprint.schemas.tables import TABLES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", "docs/queries.md")
LEFT_OUT = {
    "make demo": "the fixture makes a smaller one, and CI this one",
    "make test": "it runs this very test",
    "pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu": "no test can reach that index",
    "pip install --constraint constraints.txt .": "it would install into the environment that is tested; make does the same",
}
"""Lines that a test does not type, and why."""


def fenced(text: str, language: str) -> list[str]:
    """The blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def lines(text: str = README) -> list[str]:
    """Every line that the README has one type into a shell, comments and all."""
    return [line for block in fenced(text, "sh") for line in block.splitlines() if line.strip()]


def typed(script: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """What comes of lines typed into a new shell in ``folder``, which knows nothing but the system's programs."""
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "OMP_WAIT_POLICY") if name in os.environ}
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), **kept}
    shell = ["bash", "-eu", "-c", "\n".join(script)]
    return subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def command(line: str) -> str:
    """A line without its comment."""
    return line.partition(" #")[0].strip()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which ``make demo`` was typed, so to speak, with a ninth of its images: CI makes the whole demo besides."""
    folder = tmp_path_factory.mktemp("readme")
    crops = list(shards.native_crops())[::9]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "native_crops", lambda: iter(crops))
        patch.setattr(shards, "SAMPLES", shards.SAMPLES // 9)
        shards.build_shards(folder / "demo" / "shards")
    (folder / ".venv").symlink_to(sys.prefix)
    done = typed([". .venv/bin/activate", "causalprint demo --output demo"], folder)
    assert done.returncode == 0, done.stderr
    assert "truth" in done.stdout
    return folder


@pytest.fixture(scope="module")
def followed(demo: Path) -> subprocess.CompletedProcess[str]:
    """All that the README has one type, as it stands there, in its order and in one shell, but for :data:`LEFT_OUT`."""
    return typed([line for line in lines() if command(line) not in LEFT_OUT], demo)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_commands_do_what_the_readme_says(followed: subprocess.CompletedProcess[str]) -> None:
    assert followed.returncode == 0, (followed.stdout, followed.stderr)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_images_are_fetched_and_one_is_audited_by_itself(demo: Path, followed: subprocess.CompletedProcess[str]) -> None:
    assert followed.returncode == 0
    fetched = sorted((demo / "finds").iterdir())
    assert len(fetched) == 3
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in fetched] == [path.stem for path in fetched]
    with zipfile.ZipFile(demo / "evidence.zip") as evidence:
        about = json.loads(evidence.read(f"{fetched[0].stem}/evidence.json"))
    assert (about["agreement"], about["nearest"][0]["source"]) == ("exact", "causalprint-prior")
    (row,) = ds.dataset(demo / "one" / "attributions", partitioning="hive").to_table().to_pylist()
    assert row["image_id"] == hashlib.sha256((demo / "photo.jpg").read_bytes()).hexdigest()
    audited = ds.dataset(demo / "audit" / "attributions", partitioning="hive").to_table().to_pylist()
    (first,) = [one for one in audited if (one["member"], one["bundle"]) == ("000000.jpg", row["bundle"])]
    assert [row[name] for name in ("verdict", "source", "probability", "candidates")] == [
        first[name] for name in ("verdict", "source", "probability", "candidates")
    ]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_python_does_what_the_readme_says(demo: Path, followed: subprocess.CompletedProcess[str]) -> None:
    assert followed.returncode == 0
    (block,) = fenced(README, "python")
    (demo / "notebook.py").write_text(block)
    done = typed([". .venv/bin/activate", "python notebook.py"], demo)
    assert done.returncode == 0, done.stderr


def test_what_is_left_out_is_still_there_and_ci_makes_it() -> None:
    assert LEFT_OUT.keys() <= {command(line) for line in lines()}
    made = {line for line in LEFT_OUT if line.startswith("make ")}
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(line in ci for line in made)
    torch = next(word for line in LEFT_OUT for word in line.split() if word.startswith("torch=="))
    assert torch in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()


def test_the_environment_is_entered_before_its_first_command() -> None:
    typed_here = [command(line) for line in lines() if command(line) not in LEFT_OUT]
    assert typed_here[0] == ". .venv/bin/activate"


def test_the_row_shown_has_columns_of_its_table() -> None:
    (head,) = re.findall(r"^\| (image_id \|.*) \|$", README, re.MULTILINE)
    assert set(head.split(" | ")) <= set(TABLES["attributions"].names)


def test_the_sources_and_figures_are_the_bundles() -> None:
    manifest = load_bundle().manifest
    figures = {figure.name: figure for figure in manifest.figures}
    rows = []
    for source in manifest.sources:
        origins = [origin for origin in manifest.data if origin.source == source]
        recall = f"{round(100 * figures[f'recall, {source}'].value)} of 100"
        unseen, same = (recall, "") if len(origins) > 1 else ("not known", recall)
        rows.append(f"| {source} | {len(origins)} | {_images(origins)} | {unseen} | {same} |")
    assert "\n".join(rows) in README
    answered, right, thumbnail = (
        round(100 * figures[name].value) for name in ("answered", "right where answered", "shortcut audit: 16x16 thumbnail")
    )
    text = " ".join(README.split())
    assert f"on the {_images(manifest.data):,} images that it was made from" in text
    assert f"for {answered} of 100 images, and {right} of 100 answers are right" in text
    photographs, graphics = (round(100 * figures[f"{kind} accused"].value) for kind in ("photographs", "graphics"))
    assert f"takes {photographs} of 100 photographs and {graphics} of 100 graphics for generated" in text
    assert f"alone names {thumbnail} of 100 rightly, where guessing names 7" in text
    assert figures["shortcut audit: 16x16 thumbnail"].note.endswith("chance 0.07")


def _images(origins: Iterable[Origin]) -> int:
    return sum(origin.training + origin.validation for origin in origins)


def test_figures_measured_elsewhere_are_those_of_their_pages() -> None:
    evaluation = (ROOT / "docs" / "results" / "put-aside.md").read_text(encoding="utf-8")
    text = " ".join(README.split())
    rows = re.findall(r"^\| ([^|]+) \| (0\.\d+) \[.*?\] \| [\d,]+ \|", evaluation, re.MULTILINE)
    of_100 = {name: round(100 * float(value)) for name, value in rows}
    said = " ".join(evaluation.split())
    assert "Of 1,775 photographs of 31 origins it names a generator for 2, and takes 12 for generated at all" in said
    assert "Of 1,775 photographs of 31 origins it takes 12 for generated, of 312 graphics of 13 origins none" in text
    assert of_100["graphics accused"] == 0
    assert "of 80 paintings and portraits by people, 2 are taken for generated" in said
    assert "of 80 paintings by people 2" in text
    answered, right = of_100["answered"], of_100["right where answered"]
    assert f"answers {answered} of 100 images of sources that it knows, and {right} of 100 of these answers are right" in text
    found, strangers = of_100["generated found, TPR at 1 % FPR"], of_100["strangers found, TPR at 1 % FPR"]
    assert f"it finds {found} of 100 images by generators that it knows, of new origins, and {strangers} of 100" in text


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_query_runs_over_the_demo(demo: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo)
    (demo / "OUT").unlink(missing_ok=True)
    (demo / "OUT").symlink_to("demo/tables")
    with duckdb.connect() as connection:
        connection.execute((demo / "demo" / "tables" / "views.sql").read_text())
        for block in fenced((ROOT / page).read_text(encoding="utf-8"), "sql"):
            connection.execute(block)
            if page == "README.md":
                assert connection.fetchall(), block


@pytest.mark.slow
@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_table_opens_by_one_glob(demo: Path, table: str) -> None:
    folder = demo / "demo" / "tables" / table
    counts = {
        "duckdb": len(duckdb.execute(f"FROM '{folder}/*/*.parquet'").fetchall()),
        "polars": pl.read_parquet(f"{folder}/*/*.parquet").height,
        "pandas": len(pd.read_parquet(folder)),
        "pyarrow": ds.dataset(folder, partitioning="hive").count_rows(),
    }
    assert len(set(counts.values())) == 1, counts
    assert counts["duckdb"] > 0


@pytest.mark.parametrize(
    "page", sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_links_lead_to_files_and_headings_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [path for path in re.findall(r'src="([^"]+)"', text) if not (ROOT / page).parent.joinpath(path).exists()] == []
    for path, heading in re.findall(r"\]\((?!https?://)([^)#]*)(?:#([^)]*))?\)", text):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), path
        if heading:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in headings}, (path, heading)
