"""What is kept of a method is kept under all of the code that it runs, in whatever folder of ``models`` that lies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import causalprint
from causalprint.research.comparison import cache
from causalprint.research.methods import BASELINES

MODELS = Path(causalprint.__file__).parent / "models"


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's models, whose sources are digested in place of its own."""
    shutil.copytree(MODELS, tmp_path / "models", ignore=shutil.ignore_patterns("weights", "__pycache__"))
    monkeypatch.setattr(cache, "_ROOT", tmp_path)
    return tmp_path / "models"


def digest_with(method: str, models: Path, changed: str, tmp_path: Path) -> str:
    """The digest of ``method`` where file ``changed`` of ``models`` is another."""
    root = tmp_path / f"with-{changed.replace('/', '-')}"
    shutil.copytree(models, root / "models")
    with (root / "models" / changed).open("a") as source:
        source.write("CHANGED = True\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "_ROOT", root)
        return cache.method_digest(BASELINES[method])


@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("causal", "baselines/causal.py"),
        ("causal", "training/recipe.py"),  # which it names itself
        ("causal", "training/closed_form.py"),  # which another module of that folder imports
        ("causal", "network/fusion.py"),  # in a folder that it does not name
        ("causal", "statistics/origins.py"),
        ("causal", "bundles/manifest.py"),
        ("causal", "residuals/denoise.py"),  # of a package that it names as a whole
        ("marra19", "lenses/spectrum.py"),
        ("marra19", "baselines/base.py"),
    ],
)
def test_a_change_of_what_a_method_imports_changes_its_digest(method: str, changed: str, copied: Path, tmp_path: Path) -> None:
    assert digest_with(method, copied, changed, tmp_path) != cache.method_digest(BASELINES[method])


@pytest.mark.parametrize(
    ("method", "changed"),
    [("causal", "generators/prior.py"), ("causal", "evaluation/scoring.py"), ("marra19", "training/recipe.py")],
)
def test_a_change_of_another_module_keeps_it(method: str, changed: str, copied: Path, tmp_path: Path) -> None:
    assert digest_with(method, copied, changed, tmp_path) == cache.method_digest(BASELINES[method])
