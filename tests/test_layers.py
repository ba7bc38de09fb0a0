"""Imports go one way; the rules are those of pyproject.toml."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audits import jpeg, tar

ROOT = Path(__file__).parents[1]
HEAVY = {"causalprint.research", "diffusers", "transformers", "huggingface_hub", "onnxruntime", "matplotlib"}
"""What neither an audit nor a training uses anything of, if its residual is a plain diffusion prior."""


def test_the_layers_hold() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "packages", [["causalprint.schemas"], [f"causalprint.transforms.{name}" for name in ("formats", "storage", "images")]]
)
def test_schemas_and_formats_load_neither_torch_nor_beam(packages: list[str]) -> None:
    modules = [name for package in packages for name in _modules(package)]
    assert len(modules) > 3
    _import_without(modules, "torch", "apache_beam", "diffusers")


def test_pipelines_load_neither_torch_nor_beam() -> None:
    modules = [*_modules("causalprint.pipelines"), "causalprint.research.cli"]
    assert {"causalprint.pipelines.cli", "causalprint.pipelines.training.train"} <= set(modules)
    _import_without(modules, "torch", "apache_beam", "diffusers")


@pytest.mark.slow
def test_an_audit_and_a_training_load_what_they_use_and_nothing_of_the_laboratory(tiny: Path, tmp_path: Path) -> None:
    prior = tiny / "residual"
    members = []
    for number in range(16):
        label = json.dumps({"source": ("real", "alpha")[number % 2], "origin": f"place-{number % 4}", "content": str(number)})
        members += [(f"{number:03d}.jpg", jpeg(number)), (f"{number:03d}.json", label.encode())]
    shard = tar(tmp_path / "labelled.tar", members)
    recipe = tmp_path / "recipe.yaml"
    default = (ROOT / "models" / "recipes" / "default.yaml").read_text(encoding="utf-8")
    recipe.write_text(default.replace("epochs: 5, batch: 256", "epochs: 1, batch: 16"), encoding="utf-8")
    audit = ["audit", str(shard), "--output", str(tmp_path / "out"), "--bundle", str(tiny)]
    train = ["train", str(shard), "--output", str(tmp_path / "bundle"), "--recipe", str(recipe), "--interventions", "0"]
    train += ["--residual", f"denoise:{prior}"]
    learns_without = HEAVY - {"onnxruntime"}  # the recipe's encoder needs it
    code = (
        "import sys\nfrom causalprint.__main__ import main\n"
        f"for run, unused in (({audit}, {HEAVY | {'boto3', 'pymongo', 'scipy', 'sklearn'}}), ({train}, {learns_without})):\n"
        "    assert main(run) == 0, run\n"
        "    found = unused & {'.'.join(name.split('.')[:2]) for name in sys.modules}\n"
        "    if found: sys.exit(f'{run[0]} imports {found}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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
