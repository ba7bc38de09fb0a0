"""What the README shows, run as it stands there, over what the demo writes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest

from causalprint.models.bundles.bundle import load_bundle
from causalprint.pipelines.shards import demo as shards
from causalprint.schemas.tables import TABLES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", "docs/queries.md")


def fenced(text: str, language: str) -> list[str]:
    """The blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str = README) -> list[str]:
    """Every command of the README, without its comment."""
    return [line.partition("  #")[0].strip() for block in fenced(text, "sh") for line in block.splitlines() if line.strip()]


def typed(lines: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """What a reader sees who types ``lines`` into a new shell in ``folder``: it knows the system's programs alone."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    script = "\n".join(lines)
    return subprocess.run(["bash", "-eu", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which ``make demo`` was typed, so to speak, with a third of its images: CI makes the whole demo besides."""
    folder = tmp_path_factory.mktemp("readme")
    crops = list(shards.native_crops())[::3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "native_crops", lambda: iter(crops))
        patch.setattr(shards, "SAMPLES", shards.SAMPLES // 3)
        shards.build_shards(folder / "demo" / "shards")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "examples").symlink_to(ROOT / "examples")
    done = typed([". .venv/bin/activate", "causalprint demo --output demo"], folder)
    assert done.returncode == 0, done.stderr
    assert "truth" in done.stdout
    return folder


@pytest.fixture(scope="module")
def followed(demo: Path) -> subprocess.CompletedProcess[str]:
    """All that the README has one type, in its order, in one shell; what a test cannot reach is left out."""
    return typed([line for line in commands() if not line.startswith(("make ", "pip install "))], demo)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_commands_do_what_the_readme_says(followed: subprocess.CompletedProcess[str]) -> None:
    assert followed.returncode == 0, (followed.stdout, followed.stderr)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_python_does_what_the_readme_says(demo: Path, followed: subprocess.CompletedProcess[str]) -> None:
    assert followed.returncode == 0
    (block,) = fenced(README, "python")
    (demo / "notebook.py").write_text(block)
    done = typed([". .venv/bin/activate", "python notebook.py"], demo)
    assert done.returncode == 0, done.stderr
    done = typed([". .venv/bin/activate", "python examples/own_pipeline.py counts finds"], demo)
    assert done.returncode == 0, done.stderr


def test_what_is_left_to_make_is_what_ci_runs() -> None:
    made = {command.split()[1] for command in commands() if command.startswith("make ")}
    assert made == {"demo", "test"}
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(f"make {target}" in ci for target in made)
    others = [command for command in commands() if not command.startswith(("make ", "causalprint "))]
    # The last needs an index that no test can reach.
    assert others == [". .venv/bin/activate", "pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"]


def test_the_table_of_sources_is_the_bundles() -> None:
    manifest = load_bundle().manifest
    recalls = {figure.name.removeprefix("recall, "): figure.value for figure in manifest.figures}
    for source in manifest.sources:
        origins = [origin for origin in manifest.data if origin.source == source]
        images = sum(origin.training + origin.validation for origin in origins)
        elsewhere = "each origin held out" if len(origins) > 1 else "no: one origin"
        row = f"| {source} | {len(origins)} | {images} | {round(100 * recalls[source])} | {elsewhere} |"
        assert row in README
    figures = {figure.name: figure for figure in manifest.figures}
    thumbnail = figures["shortcut audit: 16x16 thumbnail"]
    for name, sentence in (("answered", "for {} of 100 images"), ("right where answered", "Of 100 answers, {} are right")):
        assert sentence.format(round(100 * figures[name].value)) in README
    assert f"A thumbnail alone names {round(100 * thumbnail.value)} of 100 sources rightly, chance 7" in README
    assert thumbnail.note.endswith("chance 0.07")


def test_the_dockerfile_copies_what_is_there() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert {"causalprint", "schemas", "models", "transforms", "pipelines", "research", "setup.py"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_query_runs_over_the_demo(demo: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo)
    (demo / "OUT").unlink(missing_ok=True)
    (demo / "OUT").symlink_to("demo/tables")
    with duckdb.connect() as connection:
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
def test_links_lead_to_files_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []
