"""Imports go one way; the rules are those of pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECIPES = sorted(path.stem for path in (ROOT / "pipelines").glob("*.py") if path.stem != "__init__")


def test_the_layers_hold() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("packages", [["causalprint.schemas"], ["causalprint.transforms.formats"]])
def test_schemas_and_formats_load_neither_torch_nor_beam(packages: list[str]) -> None:
    modules = [name for package in packages for name in _modules(package)]
    assert len(modules) > 3
    _import_without(modules, "torch", "apache_beam", "diffusers")


def test_pipelines_load_neither_torch_nor_beam() -> None:
    _import_without([f"causalprint.pipelines.{name}" for name in RECIPES], "torch", "apache_beam", "diffusers")


def _modules(package: str) -> list[str]:
    folder = ROOT / Path(*package.split(".")[1:])
    return [f"{package}.{path.stem}".removesuffix(".__init__") for path in sorted(folder.glob("*.py"))]


def _import_without(modules: list[str], *heavy: str) -> None:
    code = (
        f"import importlib, sys\nfor name in {modules}:\n"
        "    importlib.import_module(name)\n"
        f"    found = {set(heavy)} & set(sys.modules)\n"
        "    if found: sys.exit(f'{name} imports {found}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
