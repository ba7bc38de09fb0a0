"""The pages of results and decisions: complete, linked, with commands that exist and nothing that only their writers had."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from causalprint.pipelines.engine_worker import COMMAND
from causalprint.pipelines.runners import pipeline_options

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
STUDIES = sorted((DOCS / "results").glob("*.md"))
DECISIONS = sorted((DOCS / "decisions").glob("0*.md"))
ENGINES = [DOCS / "deploy" / f"{engine}.md" for engine in ("flink", "spark")]
PAGES = [*ENGINES, DOCS / "RESULTS.md", DOCS / "decisions" / "README.md", *STUDIES, *DECISIONS]


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """The words of every command of a page, without ``causalprint``."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("causalprint ")]


@cache
def help_of(*command: str) -> str:
    wide = os.environ | {"COLUMNS": "200"}
    words = [sys.executable, "-m", "causalprint", *command, "--help"]
    done = subprocess.run(words, env=wide, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def test_no_two_sections_of_the_results_share_a_name() -> None:
    named = [heading for page in STUDIES for heading in headings(page)]
    assert sorted({heading for heading in named if named.count(heading) > 1}) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_figures_are_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", STUDIES, ids=lambda page: page.name)
def test_a_study_says_what_was_found_and_names_commands_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "**What was found.**" in text or page.name == "methods.md"
    assert "shared/" not in text
    assert "<!--" not in text
    for words in commands(page):
        command = words[:2] if words[0] == "lab" else words[:1]
        options = [word for word in words if word.startswith("--")]
        assert [option for option in options if f"{option} " not in help_of(*command)] == [], command


def test_every_figure_is_shown_and_every_page_is_found_from_its_index() -> None:
    shown = {name for page in STUDIES for name in re.findall(r"\]\(\.\./figures/([^)]+)\)", page.read_text(encoding="utf-8"))}
    assert shown == {figure.name for figure in (DOCS / "figures").glob("*.png")}
    results = (DOCS / "RESULTS.md").read_text(encoding="utf-8")
    assert [page.name for page in STUDIES if f"(results/{page.name})" not in results] == []
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    titles = {page: page.read_text(encoding="utf-8").splitlines()[0].removeprefix(f"# {page.name[:3]}. ") for page in DECISIONS}
    assert [page.name for page, title in titles.items() if f"]({page.name}) | {title} |" not in index] == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_a_decision_asks_and_chooses(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.index("**Question.**") < text.index("**Chosen.**")


def test_the_container_copies_what_is_there_and_takes_the_tested_torch() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [name for line in dockerfile.splitlines() if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert {"causalprint", "schemas", "models", "transforms", "pipelines", "research", "setup.py"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    ignored = set((ROOT / ".dockerignore").read_text(encoding="utf-8").split())
    assert ignored.isdisjoint(copied)
    (torch,) = re.findall(r"torch==[\d.]+", dockerfile)
    assert torch in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert dockerfile.index("\nUSER ") < dockerfile.index('\nENTRYPOINT ["causalprint"]')


@pytest.mark.parametrize("page", ENGINES, ids=lambda page: page.name)
def test_commands_on_engines_are_given_options_that_beam_has(page: Path) -> None:
    found = commands(page)
    assert found
    for words in found:
        cut = words.index("--")
        assert [word for word in words[:cut] if word.startswith("--") and f"{word} " not in help_of("audit")] == []
        known = pipeline_options("direct", words[cut + 1 :])  # which refuses what Beam does not know
        assert known.get_all_options(drop_default=True)["job_endpoint"].endswith(":8099")


def test_the_pool_beside_a_taskmanager_starts_the_worker_that_is_installed() -> None:
    text = ENGINES[0].read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    deployment = yaml.safe_load(shown)
    (pool,) = deployment["spec"]["taskManager"]["podTemplate"]["spec"]["containers"]
    assert importlib.util.find_spec(pool["command"][-1]) is not None
    assert f"--container_executable={COMMAND}" in pool["args"]
    assert f'"{COMMAND} = causalprint.pipelines.engine_worker:main"' in (ROOT / "setup.py").read_text(encoding="utf-8")
    assert f"--environment_config=localhost:{pool['ports'][0]['containerPort']}" in text
