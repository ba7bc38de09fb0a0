"""Imports go one way; the rules are those of pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


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
    modules = _modules("causalprint.pipelines")
    assert {"causalprint.pipelines.cli", "causalprint.pipelines.training.train"} <= set(modules)
    _import_without(modules, "torch", "apache_beam", "diffusers")


def _modules(package: str) -> list[str]:
    folder = ROOT / Path(*package.split(".")[1:])
    paths = sorted(path.relative_to(folder).with_suffix("") for path in folder.rglob("*.py"))
    return [".".join([package, *path.parts]).removesuffix(".__init__") for path in paths]


def _import_without(modules: list[str], *heavy: str) -> None:
    code = (
        f"import importlib, sys\nfor name in {modules}:\n"
        "    importlib.import_module(name)\n"
        f"    found = {set(heavy)} & set(sys.modules)\n"
        "    if found: sys.exit(f'{name} imports {found}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
