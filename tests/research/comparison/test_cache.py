"""What is kept of a method is kept under all of the code that it runs, in whatever folder that lies."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import causalprint
from causalprint.research.comparison import cache
from causalprint.research.methods import BASELINES
from causalprint.schemas.arrays import Crops

PACKAGE = Path(causalprint.__file__).parent


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what methods are made of, whose sources are digested in place of the package's own."""
    for folder in ("models", "research"):
        shutil.copytree(PACKAGE / folder, tmp_path / "copy" / folder, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    monkeypatch.setattr(cache, "_ROOT", tmp_path / "copy")
    return tmp_path / "copy"


def digest_with(method: str, package: Path, changed: str, tmp_path: Path) -> str:
    """The digest of ``method`` where file ``changed`` of ``package`` is another."""
    root = tmp_path / f"with-{changed.replace('/', '-')}"
    shutil.copytree(package, root)
    with (root / changed).open("a") as source:
        source.write("CHANGED = True\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "_ROOT", root)
        return cache.method_digest(BASELINES[method])


@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("causal", "research/methods/causal.py"),
        ("causal", "models/training/recipe.py"),  # which it names itself
        ("causal", "models/training/closed_form.py"),  # which another module of that folder imports
        ("causal", "models/network/fusion.py"),  # in a folder that it does not name
        ("causal", "models/statistics/origins.py"),
        ("causal", "models/bundles/manifest.py"),
        ("causal", "models/residuals/denoise.py"),  # of a package that it names as a whole
        ("marra19", "models/lenses/fourier.py"),
        ("marra19", "research/methods/base.py"),
    ],
)
def test_a_change_of_what_a_method_imports_changes_its_digest(method: str, changed: str, copied: Path, tmp_path: Path) -> None:
    assert digest_with(method, copied, changed, tmp_path) != cache.method_digest(BASELINES[method])


@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("causal", "research/generators/prior.py"),
        ("causal", "models/evaluation/scoring.py"),
        ("marra19", "models/training/recipe.py"),
    ],
)
def test_a_change_of_another_module_keeps_it(method: str, changed: str, copied: Path, tmp_path: Path) -> None:
    assert digest_with(method, copied, changed, tmp_path) == cache.method_digest(BASELINES[method])


def test_features_go_on_where_a_run_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (5 * cache.CHUNK + 3, 4, 4, 3), np.uint8)
    seen: list[int] = []

    def compute(chunk: Crops) -> cache.Features:
        seen.append(len(chunk))
        return np.asarray(chunk.mean(axis=(1, 2)))

    def stop(done: int) -> None:
        if done == 2 * cache.CHUNK:
            raise KeyboardInterrupt

    monkeypatch.setattr(cache, "SAVE_SECONDS", -1.0)
    file = tmp_path / "features" / "some.npy"
    with pytest.raises(KeyboardInterrupt):
        cache.cached_features(file, crops, compute, 1, resume=False, tell=stop)
    seen.clear()
    found = cache.cached_features(file, crops, compute, 1, resume=True, tell=lambda _: None)
    assert seen == [cache.CHUNK] * 3 + [3]
    np.testing.assert_array_equal(found.features, crops.mean(axis=(1, 2)))
    seen.clear()
    again = cache.cached_features(file, crops, compute, 1, resume=True, tell=lambda _: None)
    assert not seen
    assert again.seconds == found.seconds > 0
    cache.cached_features(file, crops, compute, 2, resume=False, tell=lambda _: None)
    assert sum(seen) > len(crops)
