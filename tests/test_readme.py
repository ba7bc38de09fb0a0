"""What the README shows, run as it stands there, over what the demo writes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest

from causalprint.pipelines.shards import demo as shards
from causalprint.schemas.tables import TABLES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", "docs/queries.md")
BINARIES = Path(sys.executable).parent


def fenced(text: str, language: str) -> list[str]:
    """The blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every command of the README, without its comment."""
    return [line.partition("#")[0].strip() for block in fenced(README, "sh") for line in block.splitlines() if line.strip()]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which ``make demo`` was typed, so to speak, with a third of its images: CI makes the whole demo besides."""
    folder = tmp_path_factory.mktemp("readme")
    crops = list(shards.native_crops())[::3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "native_crops", lambda: iter(crops))
        patch.setattr(shards, "SAMPLES", shards.SAMPLES // 3)
        shards.build_shards(folder / "demo" / "shards")
    done = run("causalprint demo --output demo", folder)
    assert done.returncode == 0, done.stderr
    assert "truth" in done.stdout
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_do_what_the_readme_says(demo: Path) -> None:
    run_here = [command for command in commands() if command.startswith("causalprint ")]
    assert run_here
    for command in run_here:
        # A pattern in quotes is the command's own to expand; the shell of the reader would pass it on as it is.
        done = run(command, demo)
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def test_what_is_left_to_make_is_what_ci_runs() -> None:
    made = {command.split()[1] for command in commands() if command.startswith("make ")}
    assert made == {"demo", "test"}
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(f"make {target}" in ci for target in made)
    assert all(command.startswith(("make ", "causalprint ")) for command in commands())


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


def test_the_readme_links_to_files_that_exist() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
