"""Templates say what they are given, keep values in their cells, and go where the code goes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from causalprint.schemas.rendering import Verbatim, markdown_table, number, render, shell

ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "models", "transforms", "pipelines", "research")
TEMPLATES = sorted(path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.md.j2"))


def test_a_name_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="is undefined"):
        render(TEMPLATES[0].as_posix())


def test_the_command_on_top_is_one_that_a_shell_takes() -> None:
    assert shell(["causalprint", "evaluate", "a folder/*.tar"]) == "```sh\ncausalprint evaluate 'a folder/*.tar'\n```"


def test_tables_hold_any_text() -> None:
    table = markdown_table([["a|b\nc", "1"]], ["source", "recall"])
    assert table == "| source | recall |\n| --- | ---: |\n| a\\|b c | 1 |"
    assert markdown_table([], ["a", "b", "c"], remarks=1).splitlines()[1] == "| --- | ---: | --- |"
    assert markdown_table([[Verbatim("[a](b|c)")]], ["link"]).endswith("| [a](b|c) |")
    assert [number(0.44111, 2), number(None), number(float("nan"))] == ["0.44", "—", "—"]


@pytest.mark.parametrize("template", TEMPLATES, ids=str)
def test_a_template_is_installed_with_the_package_beside_it_and_used(template: Path) -> None:
    assert (ROOT / template.parent / "__init__.py").exists()
    users = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".j2"}]
    assert any(re.search(rf'"{re.escape(template.as_posix())}"', path.read_text(encoding="utf-8")) for path in users)
